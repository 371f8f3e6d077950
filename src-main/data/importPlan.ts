import type { Mapping } from '../contract/datasets/mapping.ts';
import type { DatasetFormat } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { Split } from '../contract/rows.ts';
import { detect, unreadColumns, type Detected } from './mapping/detect.ts';
import type { SourceValue } from './mapping/fields.ts';
import { mapRow } from './mapping/mapRow.ts';
import { rowStreams, type RowStream } from './readers/fileRows.ts';
import type { SourceRow } from './readers/source.ts';
import { findFiles, type FoundFiles, type OnBytes } from './readers/sourceFiles.ts';
import { rowKey, type RowKey } from './rowKeys.ts';

/** So many rows of a file are looked at before anything is imported; of many files fewer of each. */
const sampledRows = 200;
const sampledInAll = 4000;

/** Files with rows, and how they are going to be read. */
export interface ImportPlan {
  found: FoundFiles;
  streams: PlannedStream[];
  detected: Detected;
  isMappedByHand: boolean;
  /** Fields of the sample, in the order of the first file, and those that no mapping reads. */
  columns: string[];
  unreadColumns: string[];
}

export interface PlannedStream extends RowStream {
  split: Split;
  reason: string;
  sample: SourceRow[];
}

export interface PlanOptions {
  paths: readonly string[];
  format: DatasetFormat | 'auto';
  /** What each field is; absent: it is found out. */
  mappings?: readonly Mapping[] | undefined;
  /** The part that all files are of, whatever they state. */
  split?: Split | undefined;
  /** A configuration of a dataset folder with several. */
  config?: string | undefined;
  encoding?: string | undefined;
  /** What a person said that the fields are, when a file with the same ones was imported. */
  savedMappings?: ((columns: readonly string[]) => readonly Mapping[] | null) | undefined;
  /** The name of the benchmark whose test set has most of these rows; null: none. */
  testSetOf?: ((keys: readonly RowKey[]) => string | null) | undefined;
  onBytes?: OnBytes | undefined;
  /** Only looked at: fields of which nothing is known are no failure, and no mapping reads them. */
  isLook?: boolean;
}

/**
 * Looks at the begin of all files: what kind they are, what their fields mean, which part of the data each is.
 * @throws StudioError not_found, dataset_empty, dataset_invalid
 */
export async function planImport(options: PlanOptions): Promise<ImportPlan> {
  const found = await findFiles(options.paths, { config: options.config, onBytes: options.onBytes });
  const streams: (RowStream & { sample: SourceRow[] })[] = [];
  for (const file of found.files)
    for (const stream of await rowStreams(file, { encoding: options.encoding }))
      streams.push({ ...stream, sample: await sampleOf(stream, found.files.length) });
  const values = streams.flatMap(({ sample }) =>
    sample.flatMap(({ value }): SourceValue[] => (value ? [value] : [])),
  );
  const columns = [...new Set(values.flatMap((value) => Object.keys(value)))];
  const byHand = options.mappings ?? (values.length > 0 ? (options.savedMappings?.(columns) ?? null) : null);
  const detected = detectedOf(options, streams, values, byHand);
  return {
    found,
    streams: inOrder(streams.map((stream) => ({ ...stream, ...partOf(stream, detected, options) }))),
    detected,
    isMappedByHand: byHand !== null,
    columns: columns.slice(0, 1000),
    unreadColumns: unreadColumns(values, detected.mappings).slice(0, 1000),
  };
}

async function sampleOf(stream: RowStream, files: number): Promise<SourceRow[]> {
  const most = Math.max(10, Math.min(sampledRows, Math.floor(sampledInAll / files)));
  const sample: SourceRow[] = [];
  for await (const row of stream.read()) {
    sample.push(row);
    if (sample.length >= most) break;
  }
  return sample;
}

function detectedOf(
  options: PlanOptions,
  streams: readonly (RowStream & { sample: SourceRow[] })[],
  values: readonly SourceValue[],
  byHand: readonly Mapping[] | null,
): Detected {
  const format = options.format === 'auto' ? undefined : options.format;
  const detected = detect(values, format);
  if (byHand)
    return {
      format: format ?? detected?.format ?? 'prompt_completion',
      mappings: [...byHand],
      reason: options.mappings
        ? 'The fields were named.'
        : 'The fields are those of a dataset whose fields were named before.',
    };
  // Where no row can be read at all, the import says why.
  if (detected) return detected;
  if (values.length === 0) return { format: format ?? 'text', mappings: [], reason: '' };
  const fields = Object.keys(values[0]!).slice(0, 10).join(', ') || '(none)';
  const refusal = `${streams[0]!.name}, row ${streams[0]!.sample.find(({ value }) => value)?.number ?? 1} has the fields ${fields}, which fit ${format ? `not the format ${format}` : 'no known format'}.`;
  if (options.isLook) return { format: format ?? 'prompt_completion', mappings: [], reason: refusal };
  throw new StudioError(
    'dataset_invalid',
    refusal,
    `Say which field is what (--prompt FIELD --answer FIELD, or --text FIELD; on the page in the heads of the columns)${format ? ', or leave the format out' : ''}.`,
  );
}

/** The part of the data that a file's rows are, and why. */
function partOf(
  stream: RowStream & { sample: SourceRow[] },
  { format, mappings }: Detected,
  options: PlanOptions,
): { split: Split; reason: string } {
  if (options.split) return { split: options.split, reason: 'so it was said' };
  if (stream.stated) return stream.stated;
  const rows = stream.sample.flatMap(({ value }) => (value ? (mapRow(value, mappings).row ?? []) : []));
  const test = options.testSetOf?.(rows.map(rowKey)) ?? null;
  if (test !== null) return { split: 'test', reason: `its rows are of ${test}` };
  if (format === 'humaneval') return { split: 'test', reason: 'HumanEval is a test set' };
  const isAsked = rows.every(
    (row) => row.kind === 'chat' && !row.turns.some(({ role }) => role === 'assistant'),
  );
  return rows.length > 0 && isAsked
    ? { split: 'test', reason: 'its rows have no answers' }
    : { split: 'train', reason: 'nothing says otherwise' };
}

const order: readonly Split[] = ['train', 'validation', 'test'];

/** The rows of a part stand together. */
function inOrder(streams: readonly PlannedStream[]): PlannedStream[] {
  return order.flatMap((split) => streams.filter((stream) => stream.split === split));
}
