/**
 * Where the tokens of a text end in it, found by walking over both: the library says which tokens a text has, but not
 * which of its characters they are.
 */

/** How a vocabulary spells bytes and spaces. */
export type Spelling = 'bytes' | 'pieces';

/** Of the vocabulary by its decoder; null for those that spell texts otherwise. */
export function spellingOf(decoder: unknown): Spelling | null {
  const types = decoderTypes(decoder);
  if (types.includes('ByteLevel')) return 'bytes';
  return types.some((type) => ['Replace', 'Metaspace', 'ByteFallback'].includes(type)) ? 'pieces' : null;
}

function decoderTypes(decoder: unknown): string[] {
  const { type, decoders } = (decoder ?? {}) as { type?: unknown; decoders?: unknown };
  const inner = Array.isArray(decoders) ? decoders.flatMap(decoderTypes) : [];
  return typeof type === 'string' ? [type, ...inner] : inner;
}

const spaceMark = 0x2581; // ▁

/** Byte-level vocabularies spell each byte as one character: the printable ones as themselves. */
const byteOfLetter: ReadonlyMap<number, number> = new Map(byteLetters());

function byteLetters(): [number, number][] {
  const isPrintable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => [isPrintable(byte) ? byte : 256 + others++, byte]);
}

/** A token that is cut out of texts whole; it may take the white space on a side with it. */
export interface AddedToken {
  content: string;
  lstrip?: boolean;
  rstrip?: boolean;
}

/**
 * @returns the bytes of the text (UTF-8) before the end of each token; null where tokens are not the text's own
 *   letters, for example after a normalizer
 */
export function tokenEnds(
  text: string,
  tokens: readonly string[],
  spelling: Spelling,
  addedTokens: ReadonlyMap<string, AddedToken>,
): Uint32Array | null {
  const bytes = new TextEncoder().encode(text);
  const ends = new Uint32Array(tokens.length);
  let at = 0;
  // A space may be put before what follows an added token.
  let isSectionBegin = true;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    const added = addedTokens.get(token);
    let end: number | null;
    if (added) {
      const begin = added.lstrip ? behindSpaces(bytes, at) : at;
      if (!matches(bytes, begin, token)) return null;
      end = begin + Buffer.byteLength(token);
      if (added.rstrip) end = behindSpaces(bytes, end);
      isSectionBegin = true;
    } else {
      end = walk(bytes, at, token, spelling, isSectionBegin);
      if (end === null) return null;
      isSectionBegin = isSectionBegin && end === at;
    }
    at = end;
    ends[i] = at;
  }
  return at === bytes.length ? ends : null;
}

function behindSpaces(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || (bytes[at]! >= 0x09 && bytes[at]! <= 0x0d)) at++;
  return at;
}

/** Where a token ends that begins at a byte; null where it does not stand there. */
function walk(
  bytes: Uint8Array,
  begin: number,
  token: string,
  spelling: Spelling,
  mayHavePrefix: boolean,
): number | null {
  const fallback = spelling === 'pieces' ? /^<0x([0-9A-F]{2})>$/.exec(token) : null;
  if (fallback) return bytes[begin] === Number.parseInt(fallback[1]!, 16) ? begin + 1 : null;
  let at = begin;
  for (let i = 0; i < token.length; i++) {
    const letter = token.charCodeAt(i);
    if (spelling === 'bytes') {
      const byte = byteOfLetter.get(letter);
      if (byte !== undefined && bytes[at] === byte) at++;
      else if (byte !== 0x20 || i > 0 || !mayHavePrefix) return null;
    } else if (letter === spaceMark && bytes[at] === 0x20) at++;
    else if (letter < 0x80) {
      if (bytes[at++] !== letter) return null;
    } else {
      const code = token.codePointAt(i)!;
      const own = String.fromCodePoint(code);
      if (matches(bytes, at, own)) at += Buffer.byteLength(own);
      else if (letter !== spaceMark || i > 0 || !mayHavePrefix) return null;
      if (code > 0xffff) i++;
    }
  }
  return at;
}

function matches(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const letter = text.charCodeAt(i);
    if (letter >= 0x80) {
      const rest = new TextEncoder().encode(text.slice(i));
      return rest.every((byte, j) => bytes[at + i + j] === byte);
    }
    if (bytes[at + i] !== letter) return false;
  }
  return true;
}
