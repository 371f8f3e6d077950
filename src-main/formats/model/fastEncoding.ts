/**
 * The library's byte-pair encoding several times as fast: it looks merges up by texts that it makes of them, keeps its
 * words in a list that it rearranges at each use, and takes a text without pre-tokenizer as one word. What comes out is
 * the same (tests/parity/tokens.test.ts).
 */

/** What is used of the library's BPE model. */
interface MergeModel {
  tokens_to_ids: Map<string, number>;
  merges: readonly (readonly [string, string])[];
  bpe(word: string): string[];
  encode(words: string[]): string[];
  unk_token: string | null | undefined;
  byte_fallback: boolean;
  ignore_merges: boolean;
  end_of_word_suffix?: unknown;
  continuing_subword_suffix?: unknown;
}

interface PreTokenizer {
  tokenizers?: (PreTokenizer | null)[];
  byte_encoder?: Readonly<Record<number, string>>;
  add_prefix_space?: boolean;
  use_regex?: boolean;
  pattern?: RegExp;
  pre_tokenize_text?(text: string, options?: unknown): string[];
}

/** Words whose tokens are kept; texts have some ten thousand different ones. */
const keptWords = 100_000;
const longestKeptWord = 256;
/** Symbols of a word up to which looking at each pair again is faster than the library's queue. */
const mostScanned = 64;

/** Replaces the slow parts of a tokenizer of the library's; others stay as they are. */
export function speedUp(tokenizer: { model: unknown; pre_tokenizer: unknown }): void {
  const model = tokenizer.model as Partial<MergeModel & ScoredModel> | null;
  roundScores(model);
  if (isPlainMergeModel(model)) model.encode = fastEncode(model);
  speedUpBytes(tokenizer.pre_tokenizer as PreTokenizer | null);
}

/** What is used of the library's unigram model. */
interface ScoredModel {
  scores: number[];
  unk_token_id: number;
}

/**
 * Scores of a unigram model as the tokenizers of transformers read them. Its parser (serde_json) divides the digits, as
 * one number, by a power of ten: the last bit is another one where there are more digits than a double has. Of two ways
 * to cut a text that are equally good, such as a line of hyphens, that bit decides.
 */
function roundScores(model: Partial<ScoredModel> | null): void {
  const scores = model?.scores;
  if (!Array.isArray(scores)) return;
  for (const [id, score] of scores.entries()) if (id !== model!.unk_token_id) scores[id] = asDivided(score);
}

/** The number nearest to a text's digits, divided by the power of ten nearest to that of its decimals. */
function asDivided(score: number): number {
  const [, sign, whole, decimals] = /^(-?)(\d+)\.(\d+)$/.exec(String(score)) ?? [];
  if (whole === undefined || decimals === undefined) return score;
  const value = Number(whole + decimals) / 10 ** decimals.length;
  return sign === '-' ? -value : value;
}

function isPlainMergeModel(model: Partial<MergeModel> | null): model is MergeModel {
  return (
    Array.isArray(model?.merges) &&
    typeof model.bpe === 'function' &&
    !model.end_of_word_suffix &&
    !model.continuing_subword_suffix
  );
}

function fastEncode(model: MergeModel): MergeModel['encode'] {
  const merge = mergesOf(model);
  const split = wordSplitter(model);
  let known = new Map<string, readonly string[]>();
  const tokensOf = (word: string): readonly string[] => {
    const kept = known.get(word);
    if (kept) return kept;
    const tokens =
      model.ignore_merges && model.tokens_to_ids.has(word) ? [word] : merge(word).flatMap(spelled);
    if (word.length <= longestKeptWord) {
      if (known.size >= keptWords) known = new Map();
      known.set(word, tokens);
    }
    return tokens;
  };
  const encoder = new TextEncoder();
  /** A symbol as tokens of the vocabulary: itself, its bytes, or the unknown one. */
  const spelled = (symbol: string): string[] => {
    if (model.tokens_to_ids.has(symbol)) return [symbol];
    const unknown = model.unk_token == null ? [] : [model.unk_token];
    if (!model.byte_fallback) return unknown;
    const bytes = Array.from(
      encoder.encode(symbol),
      (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    );
    return bytes.every((byte) => model.tokens_to_ids.has(byte)) ? bytes : unknown;
  };
  return (words) => {
    const all: string[] = [];
    for (const word of words)
      for (const part of split(word)) for (const token of tokensOf(part)) all.push(token);
    return all;
  };
}

/** The symbols that a word is merged to: always the pair of the lowest rank first, the leftmost of several. */
function mergesOf(model: MergeModel): (word: string) => readonly string[] {
  const ranks = new Map<string, Map<string, number>>();
  model.merges.forEach(([left, right], rank) => {
    const after = ranks.get(left) ?? new Map<string, number>();
    // As in the library, of two equal merges the last counts.
    ranks.set(left, after.set(right, rank));
  });
  const rankOf = (left: string, right: string) => ranks.get(left)?.get(right) ?? Infinity;
  return (word) => {
    const symbols = Array.from(word);
    if (symbols.length > mostScanned) return model.bpe(word);
    const pairs = symbols.slice(1).map((symbol, i) => rankOf(symbols[i]!, symbol));
    while (pairs.length > 0) {
      let best = 0;
      for (let i = 1; i < pairs.length; i++) if (pairs[i]! < pairs[best]!) best = i;
      if (pairs[best] === Infinity) break;
      symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
      pairs.splice(best, 1);
      if (best > 0) pairs[best - 1] = rankOf(symbols[best - 1]!, symbols[best]!);
      if (best < pairs.length) pairs[best] = rankOf(symbols[best]!, symbols[best + 1]!);
    }
    return symbols;
  };
}

const mark = '▁';

/**
 * Where no token has a space mark behind another letter, no merge crosses from a letter to a space mark: the words of a
 * text can be merged each by itself.
 */
function wordSplitter({
  tokens_to_ids: tokens,
  merges,
  ignore_merges,
}: MergeModel): (text: string) => string[] {
  const inner = /[^▁]▁/u;
  const isMarked = tokens.has(mark) && !ignore_merges;
  const isApart = isMarked && merges.every(([left, right]) => !inner.test(left + right));
  if (!isApart) return (text) => [text];
  return (text) => {
    const words: string[] = [];
    let from = 0;
    for (let at = text.indexOf(mark, 1); at >= 0; at = text.indexOf(mark, at + 1)) {
      if (text[at - 1] === mark) continue;
      words.push(text.slice(from, at));
      from = at;
    }
    words.push(text.slice(from));
    return words;
  };
}

/** Bytes as letters, for each word once. */
function speedUpBytes(preTokenizer: PreTokenizer | null): void {
  for (const inner of preTokenizer?.tokenizers ?? []) speedUpBytes(inner);
  const { byte_encoder: letters, pattern } = preTokenizer ?? {};
  if (!preTokenizer || !letters || !pattern) return;
  const encoder = new TextEncoder();
  let known = new Map<string, string>();
  const spelled = (word: string): string => {
    const kept = known.get(word);
    if (kept !== undefined) return kept;
    const text = Array.from(encoder.encode(word), (byte) => letters[byte]!).join('');
    if (word.length <= longestKeptWord) {
      if (known.size >= keptWords) known = new Map();
      known.set(word, text);
    }
    return text;
  };
  preTokenizer.pre_tokenize_text = (text) => {
    const whole = preTokenizer.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
    const words = preTokenizer.use_regex ? (whole.match(pattern) ?? []) : [whole];
    return words.map(spelled);
  };
}
