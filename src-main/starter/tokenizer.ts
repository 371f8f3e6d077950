/** A byte-level BPE tokenizer, learned from texts, in the form of transformers' tokenizer.json. */

/** What the model's chat template and its training put around texts. */
export const specialTokens = { unknown: '<unk>', begin: '<s>', end: '</s>' } as const;

/**
 * Pieces that no token crosses: a line break, a number of two digits, an indentation, a word or signs with the space
 * before them. Numbers up to 99 become tokens, as words do.
 */
const pieces = String.raw`\n| ?\d{1,2}| {4}| ?[A-Za-z]+| ?'[a-z]+| ?[^\sA-Za-z0-9]+|\s`;

/** Bytes as the printable letters that byte-level vocabularies spell them with (GPT-2's table). */
const byteLetters = (() => {
  const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const letters = new Array<string>(256);
  let next = 256;
  for (let byte = 0; byte < 256; byte++)
    letters[byte] = String.fromCharCode(printable.includes(byte) ? byte : next++);
  return letters;
})();

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/**
 * Learns merges from texts (Sennrich et al. 2016): the most frequent neighbors become a token, first come first among
 * equals.
 * @returns tokenizer.json's value
 */
export function learnTokenizer(texts: Iterable<string>, vocabularySize: number): Record<string, unknown> {
  const counts = new Map<string, number>();
  const pattern = new RegExp(pieces, 'g');
  for (const text of texts)
    for (const piece of text.match(pattern) ?? []) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  const words = [...counts].map(([piece, count]) => ({
    count,
    tokens: [...new TextEncoder().encode(piece)].map((byte) => byteLetters[byte]!),
  }));
  const vocabulary = [...Object.values(specialTokens), ...[...byteLetters].sort()];
  const merges: [string, string][] = [];
  while (vocabulary.length < vocabularySize) {
    const pairs = new Map<string, number>();
    for (const { tokens, count } of words)
      for (let i = 1; i < tokens.length; i++) {
        const pair = `${tokens[i - 1]} ${tokens[i]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    let [best, most] = ['', 1];
    for (const [pair, count] of pairs) if (count > most) [best, most] = [pair, count];
    if (best === '') break;
    const [left, right] = best.split(' ') as [string, string];
    merges.push([left, right]);
    vocabulary.push(left + right);
    for (const word of words)
      for (let i = 0; i + 1 < word.tokens.length; i++)
        if (word.tokens[i] === left && word.tokens[i + 1] === right) word.tokens.splice(i, 2, left + right);
  }
  return tokenizerFile([...new Set(vocabulary)], merges);
}

function tokenizerFile(vocabulary: readonly string[], merges: readonly [string, string][]) {
  const { unknown: _, begin } = specialTokens;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: Object.values(specialTokens).map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pieces }, behavior: 'Isolated', invert: false },
        byteLevel,
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: begin, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { [begin]: { id: begin, ids: [1], tokens: [begin] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  };
}
