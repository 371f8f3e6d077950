import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { countRows, rangesOf } from '../../contract/datasets/parts.ts';
import type { Dataset, Run } from '../../contract/entities.ts';
import { toPlainError } from '../../contract/errors.ts';
import type { Split } from '../../contract/rows.ts';
import type { FittedRows } from '../../data/mix/fittedRows.ts';
import { selectRows } from '../../data/mix/select.ts';
import { readRows } from '../../data/readRows.ts';
import { factsColumn } from '../../data/stored/rowReading.ts';
import type { RowKey } from '../../data/rowKeys.ts';
import { splitRows } from '../../data/split.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { contentKey } from '../../formats/files/tokenFile.ts';
import type { ServiceContext } from '../context.ts';
import { rowKeysOf } from '../data/sharedRows.ts';
import { mixLeaves } from './mixTree.ts';
import { deduplicationOf, planSeed } from './planMix.ts';
import { sourceOfRun } from './trainingSources.ts';

type Place = Pick<ServiceContext, 'paths' | 'database' | 'project'>;
type Trained = Pick<Run, 'name' | 'datasetId' | 'datasetName' | 'mix' | 'config' | 'dataContract'>;

/** Rows of one dataset of a run, numbered among all rows of the dataset (NumberedRow.index), ascending. */
export interface RunRows {
  dataset: Dataset;
  /** Those that it may have trained on: of a mix whose passes end early, more than it has. */
  train: number[];
  heldOut: number[];
}

/** Version of the keys: files of another are not read. */
const keysVersion = 1;

/**
 * Which rows a run trains on and holds out: the split alone, whatever the tokens of a row.
 * @throws StudioError not_found where a dataset is gone
 */
export async function runRows(place: Place, run: Trained): Promise<RunRows[]> {
  const { node } = sourceOfRun(place, run);
  const { heldOutFraction, seed } = run.config;
  const leaves = mixLeaves(node);
  if (run.dataContract && run.dataContract.hash === null) {
    // Before there were mixes, rows were split by their numbers.
    const { dataset } = leaves[0]!;
    return [{ dataset, ...splitRows(dataset.rows, heldOutFraction, seed) }];
  }
  const sources: { rows: FittedRows; validation: FittedRows | null }[] = [];
  for (const { dataset, split } of leaves) {
    const validation = split === 'train' && countRows(dataset, 'validation') > 0;
    sources.push({
      rows: bareRows(await contentKeys(place, dataset, split)),
      validation: validation ? bareRows(await contentKeys(place, dataset, 'validation')) : null,
    });
  }
  const selected = selectRows(sources, {
    deduplicate: deduplicationOf(node),
    heldOutFraction,
    seed: planSeed(node, seed),
  });
  return leaves.map(({ dataset, split }, i): RunRows => {
    const numbers = (rows: Uint32Array, part: Split) => numbersWithin(rangesOf(dataset, part), rows);
    const isOwnSplit = sources[i]!.validation !== null && heldOutFraction > 0;
    return {
      dataset,
      train: numbers(selected[i]!.train, split),
      heldOut: numbers(selected[i]!.heldOut, isOwnSplit ? 'validation' : split),
    };
  });
}

/** Keys of the rows that a run was trained on; null where a dataset of it is gone. */
export async function trainedRowKeys(place: Place, run: Trained): Promise<ReadonlySet<RowKey> | null> {
  const found = new Set<RowKey>();
  try {
    for (const { dataset, train } of await runRows(place, run)) {
      if (!existsSync(join(place.paths.datasets, dataset.file))) return null;
      const keys = await rowKeysOf(place, dataset);
      for (const row of train) found.add(keys[row]!);
    }
  } catch (error) {
    if (toPlainError(error).code === 'not_found') return null;
    throw error;
  }
  return found;
}

/** Rows of a part, numbered within it, by their numbers among all rows; ascending. */
function numbersWithin(ranges: readonly { begin: number; count: number }[], rows: Uint32Array): number[] {
  let [range, before] = [0, 0];
  return Array.from(rows.slice().sort(), (row) => {
    while (row >= before + ranges[range]!.count) before += ranges[range++]!.count;
    return ranges[range]!.begin + row - before;
  });
}

/** As token files have them (sourceTokens.ts), found once for the same content. */
export async function contentKeys(
  { paths }: Pick<Place, 'paths'>,
  dataset: Dataset,
  split: Split,
): Promise<Float64Array> {
  const all = await factsColumn(paths.datasets, dataset, 'content');
  if (all) {
    const parts = rangesOf(dataset, split).map(({ begin, count }) => all.subarray(begin, begin + count));
    return parts.length === 1 ? parts[0]! : Float64Array.from(parts.flatMap((part) => [...part]));
  }
  const kept = join(paths.cache, 'rows', `${dataset.contentHash}.${split}.${keysVersion}.content`);
  if (existsSync(kept)) {
    const bytes = readFileSync(kept);
    return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  }
  const keys: number[] = [];
  for await (const { row } of readRows(paths.datasets, dataset, { split }))
    keys.push(contentKey(JSON.stringify(row)));
  const found = Float64Array.from(keys);
  writeFileAtomic(kept, [new Uint8Array(found.buffer)]);
  return found;
}

/** Rows of which only the content is known: each counts as one that is trained on. */
export function bareRows(keys: Float64Array): FittedRows {
  const ones = new Uint32Array(keys.length).fill(1);
  return { keys, wholeTokens: ones, tokens: ones, wholeLabels: ones, labels: ones };
}
