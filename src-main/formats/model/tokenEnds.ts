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

/**
 * @param addedTokens that are cut out of texts whole
 * @returns the bytes of the text (UTF-8) before the end of each token; null where tokens are not the text's own
 *   letters, for example after a normalizer
 */
export function tokenEnds(
  text: string,
  tokens: readonly string[],
  spelling: Spelling,
  addedTokens: ReadonlySet<string>,
): Uint32Array | null {
  const bytes = new TextEncoder().encode(text);
  const ends = new Uint32Array(tokens.length);
  let at = 0;
  // Spaces may be put before a section, and taken away on either side of an added token.
  let isSectionBegin = true;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (addedTokens.has(token)) {
      let begin = at;
      while (!matches(bytes, begin, token) && isSpace(bytes[begin])) begin++;
      if (!matches(bytes, begin, token)) return null;
      at = begin + Buffer.byteLength(token);
      isSectionBegin = true;
    } else {
      const end = walk(bytes, at, token, spelling, isSectionBegin);
      if (end === null) {
        // White space that an added token takes with it.
        let skipped = at;
        while (isSectionBegin && isSpace(bytes[skipped])) skipped++;
        const later = skipped > at ? walk(bytes, skipped, token, spelling, true) : null;
        if (later === null) return null;
        if (i > 0) ends[i - 1] = skipped;
        at = later;
      } else at = end;
      isSectionBegin = isSectionBegin && ends[i - 1] === at && i > 0;
    }
    ends[i] = at;
  }
  let rest = at;
  while (isSpace(bytes[rest])) rest++;
  if (rest < bytes.length) return null;
  // Behind an added token at the end, too.
  if (rest > at && tokens.length > 0) ends[tokens.length - 1] = rest;
  return ends;
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

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}
