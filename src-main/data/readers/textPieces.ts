import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { EncodingError, encodingOf, strictDecoder, wrongByte } from '../../contract/datasets/textEncoding.ts';
import { headOf, type ByteSource } from './source.ts';

const headBytes = 4096;

/**
 * The text of a file, piece by piece, without its byte order mark. A byte that is no UTF-8 becomes half a character
 * (U+DC80 to U+DCFF), which no text has, so that its row alone is set aside and the rest is read on.
 * @param named a label of TextDecoder; absent: UTF-8, or what the byte order mark says
 * @throws EncodingError for unknown encodings, and for bytes that are no text of one other than UTF-8
 */
export async function* textPieces(source: ByteSource, named?: string): AsyncGenerator<string> {
  let decode: ((piece: Uint8Array | null) => string) | null = null;
  let head: Uint8Array = new Uint8Array();
  for await (const piece of source.open()) {
    if (decode) {
      yield decode(piece);
      continue;
    }
    head = Buffer.concat([head, piece]);
    if (head.length < headBytes) continue;
    decode = decoderFor(source, head, named);
    yield decode(head);
  }
  decode ??= decoderFor(source, head, named);
  if (head.length < headBytes) yield decode(head);
  yield decode(null);
}

function decoderFor(source: ByteSource, head: Uint8Array, named?: string) {
  const encoding = encodingOf(head.subarray(0, headBytes), named);
  return encoding === 'utf-8' ? lenientDecoder() : strictPieces(source, encoding);
}

function strictPieces(source: ByteSource, encoding: string): (piece: Uint8Array | null) => string {
  const decoder = strictDecoder(encoding);
  let before = 0;
  return (piece) => {
    try {
      const text = piece === null ? decoder.decode() : decoder.decode(piece, { stream: true });
      before += piece?.length ?? 0;
      return text;
    } catch {
      if (source.path !== null) throw wrongByte(() => chunks(source.path!), encoding);
      throw new EncodingError(`is not ${encoding.toUpperCase()}: a byte behind position ${before}`, null);
    }
  };
}

/** The bytes of a text in UTF-8: as they are where that is its encoding. @throws EncodingError */
export async function utf8Bytes(source: ByteSource, named?: string): Promise<AsyncIterable<Uint8Array>> {
  const head = await headOf(source, headBytes);
  return encodingOf(head, named) === 'utf-8' ? source.open() : transcoded(source, named);
}

async function* transcoded(source: ByteSource, named: string | undefined): AsyncGenerator<Uint8Array> {
  for await (const text of textPieces(source, named)) yield Buffer.from(text);
}

/** The error for a file that is not UTF-8, with the place and what it probably is; null where it is UTF-8. */
export function foreignEncoding(source: ByteSource): EncodingError | null {
  if (source.path === null) return null;
  const error = wrongByte(() => chunks(source.path!), 'utf-8');
  return error.message.includes('byte 0x') ? error : null;
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

function lenientDecoder(): (piece: Uint8Array | null) => string {
  let rest: Uint8Array = new Uint8Array();
  let isFirst = true;
  return (piece) => {
    let bytes: Buffer = Buffer.concat([rest, piece ?? new Uint8Array()]);
    if (isFirst && bytes.length >= 3) {
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
      isFirst = false;
    }
    const end = piece === null ? bytes.length : bytes.length - unfinished(bytes);
    rest = bytes.subarray(end);
    return lenientText(bytes.subarray(0, end));
  };
}

/** Text of UTF-8 in which bytes that are none are kept as halves of characters. */
export function lenientText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  const parts: string[] = [];
  let begin = 0;
  for (let at = 0; at < bytes.length;) {
    const length = letterLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    parts.push(bytes.toString('utf8', begin, at), String.fromCharCode(0xdc00 + bytes[at]!));
    begin = ++at;
  }
  parts.push(bytes.toString('utf8', begin));
  return parts.join('');
}

/** Bytes of the letter of UTF-8 at a place; 0 where there is none. */
function letterLength(bytes: Buffer, at: number): number {
  const byte = bytes[at]!;
  if (byte < 0x80) return 1;
  const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
  if (byte < 0xc2 || byte > 0xf4 || at + length > bytes.length) return 0;
  return isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/** Bytes at the end that may be the begin of a letter. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}
