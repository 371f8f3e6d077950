import { createReadStream } from 'node:fs';
import type { Unusable } from '../../contract/datasets/unusable.ts';
import type { SourceValue } from '../mapping/fields.ts';

/** Bytes that can be read from their begin as often as is needed. */
export interface ByteSource {
  /** Its path below what was chosen, for messages. */
  name: string;
  open(): AsyncIterable<Uint8Array>;
  /** The file itself, where it is one and not packed: some formats are read from their end. */
  path: string | null;
}

/** What a reader gets out of a file, row by row. */
export type SourceRow = {
  /** Line of a text file (from 1), or entry of a list. */
  number: number;
  /** JSON Lines: the byte at which its line begins, in UTF-8. */
  offset?: number;
} & (
  | { value: SourceValue; broken: null }
  /** A row that is none; `text` is the begin of what stands there. */
  | { value: null; broken: Unusable; text: string }
);

export interface ReaderOptions {
  /** A label of TextDecoder; absent: UTF-8, or what the byte order mark says. */
  encoding?: string | undefined;
}

/** Longer rows are set aside: no model reads a book as one row, and memory is for more than one. */
export const longestRow = 32 * 1024 * 1024;

export function brokenRow(
  number: number,
  reason: Unusable['reason'],
  text: string,
  detail: string | null = null,
  column: string | null = null,
): SourceRow {
  return {
    number,
    value: null,
    broken: { reason, column, detail },
    text: text.slice(0, 300).toWellFormed(),
  };
}

/** Bytes of a file. @param onBytes told of each piece that is read */
export function fileSource(
  path: string,
  name: string,
  onBytes: (bytes: number) => void = () => {},
): ByteSource {
  return {
    name,
    path,
    async *open() {
      const stream = createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
      for await (const piece of stream) {
        onBytes(piece.length);
        yield piece;
      }
    },
  };
}

/** At least `bytes` of the begin, or all. */
export async function headOf(source: ByteSource, bytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of source.open()) {
    parts.push(piece);
    if ((length += piece.length) >= bytes) break;
  }
  return Buffer.concat(parts).subarray(0, bytes);
}
