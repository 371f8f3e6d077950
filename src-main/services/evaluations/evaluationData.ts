import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Dataset, DatasetFormat } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ScoredData } from '../../contract/inputs.ts';
import { countRows } from '../../contract/datasets/parts.ts';
import { splits, type Row, type Split } from '../../contract/rows.ts';
import { fileName } from '../../data/stored/rowReading.ts';
import type { BenchmarkRecord } from '../../evaluation/benchmarks/benchmark.ts';
import { hashOfFiles, openFileRecords } from '../../data/fileRecords.ts';
import { typedPath } from '../homePaths.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
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
  /** What is scored as rows that a template makes text of. @throws StudioError dataset_invalid */
  rows(): AsyncIterable<ScoredRow>;
  /** The same with the fields of its file. @throws StudioError dataset_invalid */
  records(): AsyncIterable<BenchmarkRecord>;
  /** Rows of the same kind that are not scored, for solved examples; null: there are none. */
  others(): AsyncIterable<BenchmarkRecord> | null;
}

/** The file, folder or dataset that is named. @throws StudioError not_found */
export function givenData(datasets: DatasetService, data: ScoredData): Promise<EvaluationData> {
  return 'path' in data
    ? fileData(data.path)
    : Promise.resolve(datasetData(datasets, datasets.get(data.dataset)));
}

/** A file of rows, or a folder of them with parts. @throws StudioError not_found */
async function fileData(given: string): Promise<EvaluationData> {
  const path = typedPath(given);
  if (!existsSync(path))
    throw new StudioError('not_found', `There is no file ${path}.`, 'Check the path of the data file.');
  const files = await openFileRecords(path);
  const { format } = files;
  const scored = scoredSplit([...files.splits]);
  const shown = scored === 'test' && files.splits.has('validation') ? 'validation' : 'train';
  return {
    path,
    hash: await hashOfFiles(path, files, scored),
    async *rows() {
      for await (const row of files.rows(scored)) yield { row, format };
    },
    records: () => files.records(scored),
    others() {
      if (scored !== undefined && files.splits.has(shown)) return files.records(shown);
      const beside = trainFilesBeside(path).find((file) => file !== path && existsSync(file));
      return beside === undefined ? null : recordsOfFile(beside);
    },
  };
}

async function* recordsOfFile(path: string): AsyncGenerator<BenchmarkRecord> {
  yield* (await openFileRecords(path)).records();
}

/** What is scored of data with parts: what is not for training. Undefined: all, where it is one part alone. */
function scoredSplit(parts: readonly Split[]): Split | undefined {
  return parts.length < 2 ? undefined : parts.includes('test') ? 'test' : 'validation';
}

/** The studio's own copy of a dataset: it stays when its source is moved or changed, and holds what was trained on. */
function datasetData(datasets: DatasetService, dataset: Dataset): EvaluationData {
  const parts = splits.filter((split) => countRows(dataset, split) > 0);
  const split = scoredSplit(parts);
  return {
    path: split === undefined ? dataset.name : `${dataset.name}, ${split} rows`,
    hash:
      split === undefined
        ? dataset.contentHash
        : createHash('sha256').update(`${dataset.contentHash} ${split}`).digest('hex'),
    async *rows() {
      for await (const { row } of datasets.read(dataset, { split })) yield { row, format: dataset.format };
    },
    records: () => datasetRecords(datasets, dataset, split),
    others() {
      const rest = split === undefined ? [] : parts.filter((part) => part !== split);
      const shown = rest.includes('validation') ? 'validation' : rest[0];
      if (shown !== undefined) return datasetRecords(datasets, dataset, shown);
      const wanted = trainFilesBeside(dataset.sourcePath);
      const known = datasets
        .list()
        .find(({ id, sourcePath }) => id !== dataset.id && wanted.includes(sourcePath));
      if (known) return datasetRecords(datasets, known, 'train');
      const file = wanted.find((path) => path !== dataset.sourcePath && existsSync(path));
      return file === undefined ? null : recordsOfFile(file);
    },
  };
}

async function* datasetRecords(
  datasets: DatasetService,
  dataset: Dataset,
  split: Split | undefined,
): AsyncGenerator<BenchmarkRecord> {
  let next = 0;
  for await (const { index, row, source } of datasets.read(dataset, { split })) {
    const file = source ? fileName(dataset, source.file) : basename(dataset.sourcePath);
    yield {
      index: next++,
      place: `"${dataset.name}", row ${index + 1}`,
      file,
      value: source?.value ?? (row.kind === 'verbatim' ? { prompt: row.prompt, answer: row.answer } : {}),
      row,
    };
  }
}

/** Where solved examples lie by custom: `train.jsonl` beside, or `dev/x_dev.csv` beside `test/x_test.csv`. */
function trainFilesBeside(testFile: string): string[] {
  const name = basename(testFile);
  const renamed = ['dev', 'train'].flatMap((part) => {
    const other = name.replace(/test|validation/, part);
    const folder = dirname(testFile);
    return other === name ? [] : [join(folder, other), join(dirname(folder), part, other)];
  });
  return [...renamed, join(dirname(testFile), 'train.jsonl')];
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
    rows: heldOutRows,
    async *records() {
      let index = 0;
      for await (const { row } of heldOutRows())
        yield { index, place: `held-out row ${++index}`, file: run.datasetName, value: {}, row };
    },
    others: () => null,
  };
}
