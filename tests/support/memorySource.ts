import type { ByteSource, SourceRow } from '../../src-main/data/readers/source.ts';

/** Bytes that come in pieces of a size. */
export function memorySource(content: string | Uint8Array, pieceBytes = 7, name = 'a'): ByteSource {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return {
    name,
    path: null,
    async *open() {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        await Promise.resolve();
        yield bytes.subarray(at, at + pieceBytes);
      }
    },
  };
}

/** All rows: the value of each, or the reason why it is none with its number. */
export async function rowsOf(rows: AsyncIterable<SourceRow>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const { number, value, broken } of rows) all.push(value ?? `${number} ${broken?.reason}`);
  return all;
}
