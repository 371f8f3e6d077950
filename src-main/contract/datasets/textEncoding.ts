/** The one way in which bytes of a person's file become text: by the rules below, or refused with the place. */

/** Bytes that are no text of the encoding. The message continues a sentence that names the file. */
export class EncodingError extends Error {
  override readonly name = 'EncodingError';
  /** What the file is probably encoded in, by a label of TextDecoder; null where nothing is likely. */
  readonly probable: string | null;
  constructor(message: string, probable: string | null) {
    super(message);
    this.probable = probable;
  }
}

/**
 * The encoding of a text that begins with `head`: what its byte order mark says, else the one named, else UTF-8.
 * @param named a label of TextDecoder, for example windows-1252 or gbk
 * @returns a label of TextDecoder, whose decoder leaves the mark out
 * @throws EncodingError for an unknown label, and for UTF-16 or UTF-32 that cannot be read as it stands
 */
export function encodingOf(head: Uint8Array, named?: string): string {
  const [a, b, c, d] = head;
  if (a === 0xff && b === 0xfe && c === 0 && d === 0) throw new EncodingError('is UTF-32', null);
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if (named !== undefined)
    try {
      return new TextDecoder(named).encoding;
    } catch {
      throw new EncodingError(`cannot be read as "${named}": no encoding has this name`, null);
    }
  const zeros: [number, number] = [0, 0];
  head.forEach((byte, i) => (byte === 0 ? zeros[i % 2 === 0 ? 0 : 1]++ : undefined));
  // Text in Latin letters has a zero in every other byte of UTF-16.
  const [most, least] = zeros[0] > zeros[1] ? zeros : [zeros[1], zeros[0]];
  if (most > head.length / 8 && most > 4 * least) {
    const probable = zeros[1] === most ? 'utf-16le' : 'utf-16be';
    throw new EncodingError(`seems to be ${probable.toUpperCase()} without a byte order mark`, probable);
  }
  return 'utf-8';
}

/** The text of a whole file. @throws EncodingError with byte, line and what the encoding probably is */
export function decodeText(bytes: Uint8Array, named?: string): string {
  const encoding = encodingOf(bytes.subarray(0, 4096), named);
  try {
    return strictDecoder(encoding).decode(bytes);
  } catch {
    throw wrongByte(function* () {
      for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
    }, encoding);
  }
}

export type StrictDecoder = InstanceType<typeof TextDecoder>;

/** A decoder that throws where bytes are no text, and leaves a byte order mark out. */
export function strictDecoder(encoding: string): StrictDecoder {
  return new TextDecoder(encoding, { fatal: true });
}

/**
 * The error for a text that `strictDecoder` did not accept.
 * @param pieces the bytes from the beginning, each time it is called; they are walked through up to the wrong one
 */
export function wrongByte(pieces: () => Iterable<Uint8Array>, encoding: string): EncodingError {
  const accepts = (decoder: StrictDecoder, bytes: Uint8Array): boolean => {
    try {
      decoder.decode(bytes, { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let decoder = strictDecoder(encoding);
  let before = 0;
  let line = 1;
  let count = 0;
  let wrong: Uint8Array | null = null;
  for (const piece of pieces()) {
    if (!accepts(decoder, piece)) {
      wrong = piece;
      break;
    }
    before += piece.length;
    line += newlines(piece);
    count++;
  }
  const name = encoding.toUpperCase();
  if (!wrong) return new EncodingError(`ends in the middle of a character of ${name} (line ${line})`, null);
  // Once more up to the wrong piece, and through it byte by byte.
  decoder = strictDecoder(encoding);
  for (const piece of pieces()) {
    if (count-- === 0) break;
    decoder.decode(piece, { stream: true });
  }
  let at = 0;
  while (at < wrong.length - 1 && accepts(decoder, wrong.subarray(at, at + 1))) at++;
  if (encoding === 'utf-8') at = letterBegin(wrong, at);
  line += newlines(wrong.subarray(0, at));
  const isDamaged = encoding === 'utf-8' && isMostlyUtf8(wrong);
  const probable = encoding === 'utf-8' && !isDamaged ? probableEncoding(wrong.subarray(at)) : null;
  const byte = `0x${wrong[at]!.toString(16).toUpperCase().padStart(2, '0')}`;
  const guess = isDamaged ? '; what is around it is UTF-8' : probable ? `; it is probably ${probable}` : '';
  return new EncodingError(
    `is not ${name}: byte ${byte} at position ${before + at} (line ${line})${guess}`,
    probable,
  );
}

function newlines(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0);
}

/** Where the letter of UTF-8 begins that the byte at `at` does not continue; `at` itself where it is none of one. */
function letterBegin(bytes: Uint8Array, at: number): number {
  for (let i = at - 1; i >= Math.max(0, at - 3); i--) {
    if ((bytes[i]! & 0xc0) === 0x80) continue;
    const length = bytes[i]! >= 0xf0 ? 4 : bytes[i]! >= 0xe0 ? 3 : bytes[i]! >= 0xc0 ? 2 : 1;
    return i + length > at ? i : at;
  }
  return at;
}

/** Whether more letters of UTF-8 than errors are there: a damaged file, or pieces of two encodings. */
function isMostlyUtf8(bytes: Uint8Array): boolean {
  const foreign = [...new TextDecoder().decode(bytes)].filter((letter) => letter > '\x7f');
  return foreign.filter((letter) => letter === '\ufffd').length * 2 < foreign.length;
}

/**
 * What bytes that are not UTF-8 are probably encoded in. Bytes above 127 stand alone in Western languages, and side by
 * side in all that have a script of their own; which one, the decoded letters tell.
 */
function probableEncoding(bytes: Uint8Array): string | null {
  const high = [...bytes.subarray(0, 16384)].map((byte) => byte >= 0x80);
  const count = high.filter(Boolean).length;
  const runs = high.filter((isHigh, i) => isHigh && !high[i - 1]).length;
  const share = (encoding: string, letters: RegExp): number => {
    try {
      const text = strictDecoder(encoding).decode(bytes.subarray(0, 16384), { stream: true });
      const foreign = [...text].filter((letter) => letter > '\x7f');
      return foreign.filter((letter) => letters.test(letter)).length / foreign.length;
    } catch {
      return 0;
    }
  };
  const kana = /[\u3040-\u30ff]/;
  if (share('shift_jis', kana) > 0.3) return 'shift_jis';
  const chinese = /[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]/;
  /** Share of the runs of high bytes that begin with one of these. */
  const begins = (from: number, to: number) =>
    high.filter((isHigh, i) => isHigh && !high[i - 1] && bytes[i]! >= from && bytes[i]! <= to).length / runs;
  const western = share('windows-1252', /[\p{L}\p{P}\p{S}\xa0]/u) === 1 ? 'windows-1252' : null;
  // Big5's usual characters begin with these bytes, and many end with a letter.
  if (count < 3.2 * runs && begins(0xa4, 0xc6) > 0.8 && share('big5', chinese) > 0.9) return 'big5';
  if (count < 1.8 * runs) return western;
  // Most letters of a text are small ones.
  if (share('windows-1251', /[а-яё]/) > 0.8) return 'windows-1251';
  if (share('koi8-r', /[а-яё]/) > 0.8) return 'koi8-r';
  if (share('euc-jp', kana) > 0.2) return 'euc-jp';
  if (share('euc-kr', /[\uac00-\ud7a3]/) > 0.8) return 'euc-kr';
  // GBK's usual characters and signs begin with these.
  if (begins(0xa1, 0xd7) > 0.6 && share('gbk', chinese) > 0.9) return 'gbk';
  if (begins(0xa1, 0xc6) > 0.6 && share('big5', chinese) > 0.9) return 'big5';
  return western;
}
