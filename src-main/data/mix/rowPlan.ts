import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { mixOrderSchema, type MixOrder } from '../../contract/mixing/mixes.ts';
import { truncationSchema, type Truncation } from '../../contract/templates.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { TokenFileReader, type TokenRow } from '../../formats/files/tokenFile.ts';
import { epochOrder, type OrderedSource } from './epochOrder.ts';
import { cutToContext } from '../tokenize.ts';

/**
 * Which rows of which token files a run trains on, and how they follow each other.
 *
 * Layout, little endian: magic `IDLP`, u32 length of the header, the header as JSON padded to 8 bytes, then for each
 * source its row numbers and the units of each row, all u32. Token files lie beside the plan and are named by all that
 * decides their content, so that equal plans are equal rows.
 */
const magic = 0x504c4449;
const mostHeaderBytes = 1024 * 1024;

const headerSchema = z.object({
  version: z.literal(1),
  sources: z.array(
    z.object({
      name: z.string(),
      /** Name of the token file. */
      file: z.string().regex(/^[\w.-]+$/),
      key: z.string(),
      rows: z.number().int().min(0),
      amount: z.number().min(0),
    }),
  ),
  context: z.number().int().min(1),
  truncation: truncationSchema,
  order: mixOrderSchema,
  seed: z.number().int(),
});

export interface PlannedSource extends OrderedSource {
  /** What charts and tables call it. */
  name: string;
  /** Absolute path of the token file, beside the plan. */
  file: string;
  /** Row numbers, in the order of their keys. */
  rows: Uint32Array;
}

export interface RowPlan {
  sources: readonly PlannedSource[];
  /** Longest row in tokens. */
  context: number;
  truncation: Truncation;
  order: MixOrder;
  seed: number;
}

/** Writes a plan; complete or absent. */
export function writeRowPlan(path: string, plan: RowPlan): void {
  const header: z.input<typeof headerSchema> = {
    version: 1,
    sources: plan.sources.map(({ name, file, key, rows, amount }) => ({
      name,
      file: basename(file),
      key,
      rows: rows.length,
      amount,
    })),
    context: plan.context,
    truncation: plan.truncation,
    order: plan.order,
    seed: plan.seed,
  };
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(8 * Math.ceil(json.length / 8), ' ');
  json.copy(padded);
  writeFileAtomic(path, [
    bytesOf(Uint32Array.of(magic, padded.length)),
    padded,
    ...plan.sources.flatMap(({ rows, units }) => [bytesOf(rows), bytesOf(units)]),
  ]);
}

/** @throws StudioError dataset_invalid where the file is no complete plan */
export function readRowPlan(path: string): RowPlan {
  const bytes = readFileSync(path);
  const [, headerBytes = 0] = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 8));
  let header: z.infer<typeof headerSchema>;
  try {
    if (headerBytes > mostHeaderBytes) throw new Error('its header is too long');
    header = headerSchema.parse(JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)));
    const numbers = header.sources.reduce((total, { rows }) => total + 2 * rows, 0);
    if (bytes.length !== 8 + headerBytes + 4 * numbers) throw new Error('its length is wrong');
  } catch (error) {
    throw new StudioError(
      'dataset_invalid',
      `${path} is not a complete plan of rows.`,
      'Delete it: the studio makes it anew from the dataset.',
      { cause: error },
    );
  }
  let at = 8 + headerBytes;
  const numbers = (count: number) => {
    const begin = bytes.byteOffset + at;
    at += 4 * count;
    return new Uint32Array(bytes.buffer.slice(begin, begin + 4 * count));
  };
  const { context, truncation, order, seed } = header;
  const sources = header.sources.map(({ name, file, key, rows, amount }) => ({
    name,
    file: join(dirname(path), file),
    key,
    amount,
    rows: numbers(rows),
    units: numbers(rows),
  }));
  return { sources, context, truncation, order, seed };
}

/** Rows that an engine reads one by one: those of one token file, or of the sources of a plan. */
export interface RowSet {
  readonly rowCount: number;
  /** Task of each row. */
  readonly tasks: Uint32Array;
  /** Names of the sources; one where rows come from one file. */
  readonly sources: readonly string[];
  /** Place of a row's source in `sources`. */
  sourceOf(row: number): number;
  /** Number of tokens of a row. */
  length(row: number): number;
  /** Labels of a row, those included that are cut off at the context: at most so many are trained on. */
  labels(row: number): number;
  row(index: number): TokenRow;
  /** Rows of a pass, from 0; null: any order does (a single token file). */
  epochRows: ((epoch: number) => Uint32Array) | null;
  close(): void;
}

/** Opens a plan or a token file. Close it after use. @throws StudioError dataset_invalid */
export function openRows(path: string): RowSet {
  return isRowPlan(path) ? plannedRows(readRowPlan(path)) : fileRows(path);
}

function isRowPlan(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const begin = new Uint32Array(1);
    return fstatSync(fd).size >= 8 && readSync(fd, bytesOf(begin), 0, 4, 0) === 4 && begin[0] === magic;
  } finally {
    closeSync(fd);
  }
}

function fileRows(path: string): RowSet {
  const reader = new TokenFileReader(path);
  return {
    rowCount: reader.rowCount,
    tasks: reader.tasks,
    sources: [''],
    sourceOf: () => 0,
    length: (row) => reader.length(row),
    labels: (row) => reader.labels[row]!,
    row: (index) => reader.row(index),
    epochRows: null,
    close: () => reader.close(),
  };
}

/** Rows are numbered through the sources: first those of the first, in the order of its list. */
function rowNumbers(sources: RowPlan['sources']): { begins: number[]; rowCount: number } {
  let rowCount = 0;
  const begins = sources.map(({ rows }) => (rowCount += rows.length) - rows.length);
  return { begins, rowCount };
}

/** Numbers of the rows of a pass over a plan, from 0, in the order in which they are trained. */
export function planRows({ sources, seed, order }: Omit<RowPlan, 'context' | 'truncation'>, epoch: number) {
  const { begins } = rowNumbers(sources);
  const pairs = epochOrder(sources, { seed, order }, epoch);
  return Uint32Array.from({ length: pairs.length / 2 }, (_, i) => begins[pairs[2 * i]!]! + pairs[2 * i + 1]!);
}

function plannedRows({ sources, context, truncation, order, seed }: RowPlan): RowSet {
  const { begins, rowCount } = rowNumbers(sources);
  const readers: TokenFileReader[] = [];
  const close = () => readers.forEach((reader) => reader.close());
  try {
    for (const { file } of sources) readers.push(new TokenFileReader(file));
  } catch (error) {
    close();
    throw error;
  }
  const sourceOf = (row: number) => begins.findLastIndex((begin) => begin <= row);
  const place = (row: number) => {
    const source = sourceOf(row);
    return { source, reader: readers[source]!, row: sources[source]!.rows[row - begins[source]!]! };
  };
  const tasks = new Uint32Array(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const { reader, row: own } = place(row);
    tasks[row] = reader.tasks[own]!;
  }
  return {
    rowCount,
    tasks,
    sources: sources.map(({ name }) => name),
    sourceOf,
    length(row) {
      const { reader, row: own } = place(row);
      return Math.min(context, reader.length(own));
    },
    labels(row) {
      const { reader, row: own } = place(row);
      return Math.min(context, reader.labels[own]!);
    },
    row(index) {
      const { reader, row: own, source } = place(index);
      // Rows that are left out for their length are in no plan.
      return { ...cutToContext(reader.row(own), context, truncation)!, source };
    },
    epochRows: (epoch) => planRows({ sources, seed, order }, epoch),
    close,
  };
}

function bytesOf(array: Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
