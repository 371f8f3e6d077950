import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Example } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { formatOf, toExample } from '../../data/formats.ts';
import { readExamples } from '../../data/importDataset.ts';
import { readRawRows } from '../../data/rows.ts';
import { splitRows } from '../../data/split.ts';
import { fewShotPrefix, gsm8kItem, type Gsm8kItem } from '../../evaluation/gsm8k.ts';
import { typedPath } from '../homePaths.ts';
import type { DatasetService } from '../data/datasets.ts';
import type { Subject } from './subjects.ts';

/** What a subject is scored on. */
export interface EvaluationData {
  /** A path, or words that say where the rows come from. */
  path: string;
  hash: string;
  examples(): AsyncIterable<Example>;
  /** Null where the rows are no file of their own. */
  file: string | null;
}

/** A file of rows. @throws StudioError not_found */
export async function fileData(given: string): Promise<EvaluationData> {
  const path = typedPath(given);
  if (!existsSync(path))
    throw new StudioError('not_found', `There is no file ${path}.`, 'Check the path of the data file.');
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return {
    path,
    hash: hash.digest('hex'),
    file: path,
    async *examples() {
      for await (const row of readRawRows(path)) yield toExample(path, row, formatOf(path, row));
    },
  };
}

/** Few-shot examples come from train.jsonl beside the test file. */
export async function shotsFor(testFile: string, settings: { shots: number; seed: number }): Promise<string> {
  const trainFile = join(testFile, '..', 'train.jsonl');
  if (!existsSync(trainFile))
    throw new StudioError(
      'not_found',
      `${settings.shots} shots need solved examples, and there is no ${trainFile}.`,
      'Put train.jsonl beside the test file, or use --shots 0.',
    );
  const pool: Gsm8kItem[] = [];
  for await (const row of readRawRows(trainFile)) pool.push(gsm8kItem(row, pool.length));
  return fewShotPrefix(pool, settings.shots, settings.seed);
}

/** A file, or the held-out rows of the subject's run. */
export async function perplexityData(
  datasets: DatasetService,
  subject: Subject,
  path: string | null,
): Promise<EvaluationData> {
  if (path !== null) return fileData(path);
  if (!subject.run)
    throw new StudioError(
      'usage',
      'Perplexity of the base model needs data.',
      'Give a dataset file with --path, or a run with --adapter, whose held-out rows are then used.',
    );
  return heldOutData(datasets, subject.run.datasetId, subject.run.config);
}

function heldOutData(
  datasets: DatasetService,
  datasetId: string,
  config: { heldOutFraction: number; seed: number },
): EvaluationData {
  const dataset = datasets.get(datasetId);
  const { heldOut } = splitRows(dataset.rows, config.heldOutFraction, config.seed);
  if (heldOut.length === 0)
    throw new StudioError(
      'usage',
      'The run held no rows out.',
      'Give a dataset file with --path, or train with a held-out fraction above 0.',
    );
  const wanted = new Set(heldOut);
  const hash = createHash('sha256')
    .update(JSON.stringify([dataset.contentHash, heldOut]))
    .digest('hex');
  return {
    path: `${dataset.name}, held-out rows (${heldOut.length} of ${dataset.rows}, seed ${config.seed})`,
    hash,
    async *examples() {
      let row = 0;
      for await (const example of readExamples(datasets.file(dataset))) if (wanted.has(row++)) yield example;
    },
    file: null,
  };
}
