import { open } from 'node:fs/promises';
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { StudioError } from '../../contract/errors.ts';
import type { ByteSource, SourceRow } from './source.ts';

/** Row groups that unpack to more are read in stretches. */
const heldBytes = 8 * 1024 * 1024;

/**
 * Rows of a Parquet file, a row group at a time, or a part of a large one.
 * @throws StudioError dataset_invalid where the file is damaged, or packed inside another one
 */
export async function* parquetRows(
  source: ByteSource,
  onBytes: (bytes: number) => void,
): AsyncGenerator<SourceRow> {
  if (source.path === null)
    throw new StudioError(
      'dataset_invalid',
      `${source.name} is a Parquet file inside an archive, and is read from its end.`,
      'Unpack the archive, and import the folder.',
    );
  const handle = await open(source.path, 'r');
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      async slice(begin, end = size) {
        const from = begin < 0 ? size + begin : begin;
        const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - from));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
        return bytes.buffer.slice(0, bytesRead);
      },
    };
    const metadata = await parquetMetadataAsync(file).catch((error: unknown) => {
      throw damaged(source, error);
    });
    const total = Math.max(1, Number(metadata.num_rows));
    let row = 0;
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows);
      const parts = Math.max(1, Math.ceil(Number(group.total_byte_size) / heldBytes));
      const step = Math.max(1, Math.ceil(rows / parts));
      for (let begin = row; begin < row + rows; begin += step) {
        const end = Math.min(row + rows, begin + step);
        const read = parquetReadObjects({ file, metadata, rowStart: begin, rowEnd: end, compressors });
        const objects = await read.catch((error: unknown) => {
          throw damaged(source, error);
        });
        onBytes((size * (end - begin)) / total);
        for (const [i, object] of objects.entries())
          yield { number: begin + i + 1, value: plainValue(object) as Record<string, unknown>, broken: null };
      }
      row += rows;
    }
  } finally {
    await handle.close();
  }
}

function damaged({ name }: ByteSource, error: unknown): StudioError {
  const what = error instanceof Error ? error.message : String(error);
  return new StudioError(
    'dataset_invalid',
    `${name} cannot be read as Parquet: ${what}.`,
    'Fetch the file again, or save it as JSONL.',
    { cause: error },
  );
}

/** As JSON has it: whole numbers, times as text, bytes as text. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (ArrayBuffer.isView(value)) return [...(value as unknown as Iterable<unknown>)].map(plainValue);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
}
