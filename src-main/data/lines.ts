import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { encodingOf, strictDecoder, wrongByte, type StrictDecoder } from '../contract/textEncoding.ts';

/** A line that cannot be read; `number` is 1-based. */
export class LineError extends Error {
  override readonly name = 'LineError';
  readonly number: number;
  constructor(number: number, message: string) {
    super(message);
    this.number = number;
  }
}

/**
 * Lines of a text file, separated by `\n` or `\r\n` only. (node:readline also splits at U+2028 and U+2029, which JSON
 * allows inside strings.) Reads no further once a line is too long, and holds one line at a time.
 * @param encoding a label of TextDecoder; absent: UTF-8, or what the byte order mark says
 * @throws LineError for a line of more than `maxCharacters`; EncodingError
 */
export async function* readLines(
  path: string,
  maxCharacters: number,
  encoding?: string,
): AsyncGenerator<{ number: number; text: string }> {
  let number = 0;
  let rest = '';
  for await (const piece of readPieces(path, encoding)) {
    let begin = 0;
    for (let end = piece.indexOf('\n'); ; end = piece.indexOf('\n', begin)) {
      rest += piece.slice(begin, end < 0 ? undefined : end);
      if (rest.length > maxCharacters)
        throw new LineError(number + 1, `is longer than ${maxCharacters} characters`);
      if (end < 0) break;
      yield { number: ++number, text: withoutReturn(rest) };
      rest = '';
      begin = end + 1;
    }
  }
  if (rest !== '') yield { number: ++number, text: withoutReturn(rest) };
}

/** The text of a file, piece by piece. @throws EncodingError */
export async function* readPieces(path: string, named?: string): AsyncGenerator<string> {
  let decoder: StrictDecoder | null = null;
  const decode = (piece?: Buffer): string => {
    try {
      return decoder!.decode(piece, { stream: piece !== undefined });
    } catch {
      throw wrongByte(() => chunks(path), decoder!.encoding);
    }
  };
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    decoder ??= strictDecoder(encodingOf(piece.subarray(0, 4096), named));
    yield decode(piece);
  }
  if (decoder) yield decode();
}

function* chunks(path: string): Generator<Uint8Array> {
  const buffer = Buffer.alloc(65536);
  const fd = openSync(path, 'r');
  try {
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) yield buffer.subarray(0, got);
  } finally {
    closeSync(fd);
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
