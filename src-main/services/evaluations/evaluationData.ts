import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Dataset, DatasetFormat, Example } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ScoredData } from '../../contract/inputs.ts';
import { countRows } from '../../contract/datasets/parts.ts';
import { splits, type Row, type Split } from '../../contract/rows.ts';
import { folderInPlace } from '../../data/foreignFiles.ts';
import { exampleOf } from '../../data/rowExample.ts';
import { readFileRows } from '../../data/readFileRows.ts';
import { fewShotPrefix, gsm8kItem, type Gsm8kItem } from '../../evaluation/gsm8k.ts';
import { typedPath } from '../homePaths.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasets.ts';
import { runRows } from '../mixes/runRows.ts';
import type { Subject } from './subjects.ts';

export interface ScoredRow {
  row: Row;
  format: DatasetFormat;
}

/** What a subject is scored on. */
export interface EvaluationData {
  /** A path, or words that say where the rows come from. */
  path: string;
  hash: string;
  /**
   * Rows as prompt and answer.
   * @param format that they must have; absent: whatever each of them has
   * @throws StudioError dataset_invalid
   */
  examples(format?: DatasetFormat): AsyncIterable<Example>;
  /** The same as rows, which a template makes text of. */
  rows(): AsyncIterable<ScoredRow>;
  /** Solved examples of the same task for prompts. @throws StudioError not_found */
  shots(): AsyncIterable<Example>;
}

/** The file or dataset that is named. @throws StudioError not_found */
export function givenData(datasets: DatasetService, data: ScoredData): Promise<EvaluationData> {
  return 'path' in data ? fileData(data.path) : datasetData(datasets, datasets.get(data.dataset));
}

/** A file of rows. @throws StudioError not_found */
async function fileData(given: string): Promise<EvaluationData> {
  const path = typedPath(given);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats)
    throw new StudioError('not_found', `There is no file ${path}.`, 'Check the path of the data file.');
  if (stats.isDirectory()) throw folderInPlace(path);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return {
    path,
    hash: hash.digest('hex'),
    examples: (format) => fileExamples(path, format),
    rows: () => readFileRows(path, undefined),
    shots() {
      const file = trainFileBeside(path);
      if (!existsSync(file)) throw noShots(`there is no ${file}`);
      return fileExamples(file, 'gsm8k');
    },
  };
}

async function* fileExamples(path: string, format: DatasetFormat | undefined): AsyncGenerator<Example> {
  for await (const { row, format: found } of readFileRows(path, format)) yield exampleOf(row, found);
}

async function* datasetExamples(
  datasets: DatasetService,
  dataset: Dataset,
  split: Split | undefined,
): AsyncGenerator<Example> {
  for await (const { row } of datasets.read(dataset, { split })) yield exampleOf(row, dataset.format);
}

async function* datasetRows(
  datasets: DatasetService,
  dataset: Dataset,
  split: Split | undefined,
): AsyncGenerator<ScoredRow> {
  for await (const { row } of datasets.read(dataset, { split })) yield { row, format: dataset.format };
}

/** What is scored of a dataset with parts: what is not for training. Undefined: all, where it is one part alone. */
function scoredSplit(dataset: Dataset): Split | undefined {
  const parts = splits.filter((split) => countRows(dataset, split) > 0);
  return parts.length < 2 ? undefined : parts.includes('test') ? 'test' : 'validation';
}

/** The studio's own copy of a dataset: it stays when its source is moved or changed, and holds what was trained on. */
async function datasetData(datasets: DatasetService, dataset: Dataset): Promise<EvaluationData> {
  const split = scoredSplit(dataset);
  return {
    path: split === undefined ? dataset.name : `${dataset.name}, ${split} rows`,
    hash:
      split === undefined
        ? dataset.contentHash
        : createHash('sha256').update(`${dataset.contentHash} ${split}`).digest('hex'),
    examples(format) {
      if (format !== undefined && dataset.format !== format)
        throw new StudioError(
          'dataset_invalid',
          `The dataset "${dataset.name}" holds rows of the format ${dataset.format}, not ${format}.`,
          'Choose a dataset that was imported from the benchmark’s own file.',
        );
      return datasetExamples(datasets, dataset, split);
    },
    rows: () => datasetRows(datasets, dataset, split),
    shots() {
      if (split !== undefined && countRows(dataset, 'train') > 0)
        return datasetExamples(datasets, dataset, 'train');
      const wanted = trainFileBeside(dataset.sourcePath);
      const known = datasets.list().find((other) => trainFileOf(other) === wanted);
      if (known) return datasetExamples(datasets, known, 'train');
      if (existsSync(wanted)) return fileExamples(wanted, 'gsm8k');
      throw noShots(`there is neither a dataset from ${wanted} nor that file`);
    },
  };
}

const trainFileBeside = (testFile: string) => join(dirname(testFile), 'train.jsonl');
const trainFileOf = ({ format, sourcePath }: Dataset) => (format === 'gsm8k' ? sourcePath : null);

function noShots(what: string): StudioError {
  return new StudioError(
    'not_found',
    `Shots need solved examples, and ${what}.`,
    'Put train.jsonl beside the test file or import it, or ask without solved examples (0 shots).',
  );
}

/** The text of a number of solved examples in front of each item, chosen by seed. */
export async function shotsFor(
  data: EvaluationData,
  { shots, seed }: { shots: number; seed: number },
): Promise<string> {
  if (shots === 0) return '';
  const pool: Gsm8kItem[] = [];
  for await (const example of data.shots()) pool.push(gsm8kItem(example, pool.length));
  return fewShotPrefix(pool, shots, seed);
}

/** Data of which some solved examples are shown in front of each item: with others it is another benchmark. */
export async function withShots(
  data: EvaluationData,
  settings: { shots: number; seed: number },
): Promise<EvaluationData> {
  if (settings.shots === 0) return data;
  const shown = await shotsFor(data, settings);
  const hash = createHash('sha256').update(`${data.hash} ${shown}`).digest('hex');
  return { ...data, hash };
}

/** What is named, or the held-out rows of the subject's run. */
export async function perplexityData(
  context: ServiceContext,
  datasets: DatasetService,
  subject: Subject,
  data: ScoredData | null,
): Promise<EvaluationData> {
  if (data !== null) return givenData(datasets, data);
  if (!subject.run)
    throw new StudioError(
      'usage',
      'Perplexity of the base model needs data.',
      'Choose a dataset, give a data file, or a run as the adapter, whose held-out rows are then used.',
    );
  return heldOutData(context, datasets, subject.run);
}

async function heldOutData(
  context: ServiceContext,
  datasets: DatasetService,
  run: NonNullable<Subject['run']>,
): Promise<EvaluationData> {
  const parts = await runRows(context, run);
  const count = parts.reduce((sum, { heldOut }) => sum + heldOut.length, 0);
  if (count === 0)
    throw new StudioError(
      'usage',
      'The run held no rows out.',
      'Choose a dataset, give a data file, or train with a held-out fraction above 0.',
    );
  async function* heldOutRows(): AsyncGenerator<ScoredRow> {
    for (const { dataset, heldOut } of parts) {
      const wanted = new Set(heldOut);
      for await (const { index, row } of datasets.read(dataset))
        if (wanted.has(index)) yield { row, format: dataset.format };
    }
  }
  const hash = createHash('sha256')
    .update(JSON.stringify(parts.map(({ dataset, heldOut }) => [dataset.contentHash, heldOut])))
    .digest('hex');
  const rows = parts.reduce((sum, { dataset }) => sum + dataset.rows, 0);
  return {
    path: `${run.datasetName}, held-out rows (${count} of ${rows}, seed ${run.config.seed})`,
    hash,
    async *examples() {
      for await (const { row, format } of heldOutRows()) yield exampleOf(row, format);
    },
    rows: heldOutRows,
    shots() {
      throw noShots('held-out rows have none beside them');
    },
  };
}
