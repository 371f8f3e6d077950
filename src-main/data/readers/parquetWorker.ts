import { fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** What the thread tells: rows that stand one behind the other, its end, or what is wrong with the file. */
export type ParquetMessage =
  | { kind: 'rows'; rows: Record<string, unknown>[]; bytes: number }
  | { kind: 'end' }
  | { kind: 'damaged'; what: string };

/** Row groups that unpack to more are read in stretches. */
const heldBytes = 8 * 1024 * 1024;

/** Rows of the file, a row group at a time, or a part of a large one; each when the one before was taken. */
async function readAll(path: string): Promise<void> {
  // A thread closes what it opened when it ends, however it ends.
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  const file: AsyncBuffer = {
    byteLength: size,
    slice(begin, end = size) {
      const from = begin < 0 ? size + begin : begin;
      const length = Math.min(end, size) - from;
      if (!Number.isSafeInteger(from) || from < 0 || !(length >= 0))
        throw new Error(`it names bytes that it does not have (${from} to ${end} of ${size})`);
      const bytes = new Uint8Array(length);
      const bytesRead = readSync(fd, bytes, 0, bytes.length, from);
      return bytes.buffer.slice(0, bytesRead);
    },
  };
  const metadata = await parquetMetadataAsync(file);
  const total = Math.max(1, Number(metadata.num_rows));
  let row = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    const parts = Math.max(1, Math.ceil(Number(group.total_byte_size) / heldBytes));
    const step = Math.max(1, Math.ceil(rows / parts));
    for (let begin = row; begin < row + rows; begin += step) {
      const end = Math.min(row + rows, begin + step);
      const objects = await parquetReadObjects({ file, metadata, rowStart: begin, rowEnd: end, compressors });
      const read = objects.map((object) => plainValue(object) as Record<string, unknown>);
      await tell({ kind: 'rows', rows: read, bytes: (size * (end - begin)) / total });
    }
    row += rows;
  }
  parentPort!.postMessage({ kind: 'end' } satisfies ParquetMessage);
}

/** Ends when the rows were taken. */
function tell(message: ParquetMessage): Promise<void> {
  return new Promise((resolve) => {
    parentPort!.once('message', () => resolve());
    parentPort!.postMessage(message);
  });
}

/** As JSON has it: whole numbers, times as text, bytes as text. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, plainValue);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
}

function damaged(error: unknown): void {
  const what = error instanceof Error ? error.message : String(error);
  parentPort!.postMessage({ kind: 'damaged', what } satisfies ParquetMessage);
}

// Columns are read beside each other: when one cannot be read, others may fail with nobody waiting for them.
process.on('unhandledRejection', damaged);
readAll(workerData as string).catch(damaged);
