import { createReadStream } from 'node:fs';

/** A line that cannot be read; `number` is 1-based. */
export class LineError extends Error {
  override readonly name = 'LineError';
  readonly number: number;
  constructor(number: number, message: string) {
    super(message);
    this.number = number;
  }
}

const newline = 10;

/**
 * Lines of a UTF-8 file, separated by `\n` or `\r\n` only. (node:readline also splits at U+2028 and U+2029, which JSON
 * allows inside strings.) Reads no further once a line is too long, and holds one line at a time.
 * @throws LineError for a line of more than `maxBytes`, or bytes that are no UTF-8
 */
export async function* readLines(
  path: string,
  maxBytes: number,
): AsyncGenerator<{ number: number; text: string }> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let number = 0;
  let parts: Buffer[] = [];
  let size = 0;
  const decode = (): string => {
    number++;
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = [];
    size = 0;
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      throw new LineError(number, 'is not UTF-8');
    }
    if (number === 1 && text.startsWith('\uFEFF')) text = text.slice(1);
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  };
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let begin = 0;
    for (let end = chunk.indexOf(newline); ; end = chunk.indexOf(newline, begin)) {
      const piece = chunk.subarray(begin, end < 0 ? chunk.length : end);
      size += piece.length;
      if (size > maxBytes) throw new LineError(number + 1, `is longer than ${maxBytes} bytes`);
      parts.push(piece);
      if (end < 0) break;
      const text = decode();
      yield { number, text };
      begin = end + 1;
    }
  }
  if (size > 0) {
    const text = decode();
    yield { number, text };
  }
}
