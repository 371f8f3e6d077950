import type { DataContract, Example } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { Truncation } from '../contract/templates.ts';
import type { TokenRow } from '../formats/files/tokenFile.ts';
import type { Tokenizer } from '../formats/model/tokenizer.ts';

/** What happened to rows when they became tokens. */
export type TokenCounts = Pick<
  DataContract,
  'truncatedRows' | 'droppedRows' | 'refusedRows' | 'tokens' | 'trainedTokens'
>;

/** A text with what of it is trained, in characters. */
export interface MarkedText {
  text: string;
  /** In order and apart. */
  trained: readonly { from: number; to: number }[];
  /** The tokenizer's first tokens (BOS) are put before, unless the text is written with them. */
  begin: boolean;
  /** The end token is put behind as a label, unless the text ends with one that is a label. */
  end: boolean;
  /** Where a prompt ends that is later asked as it stands here, in order; absent: nowhere. */
  seams?: readonly number[];
}

/**
 * A text's tokens, for training and for perplexity. It is tokenized as a whole, but for its seams, and cut by
 * characters: a token is a label where any of its characters is trained on, as transformers' assistant masks have it.
 */
export function tokenizeMarked(tokenizer: Tokenizer, marked: MarkedText): TokenRow {
  const { text, begin, end } = marked;
  const { ids, ends } = encodeApart(tokenizer, marked);
  const trained = new Uint8Array(ids.length + 1);
  for (const { from, to } of marked.trained) {
    const [first, last] = ends
      ? overlapping(ends, Buffer.byteLength(text.slice(0, from)), Buffer.byteLength(text.slice(0, to)))
      : [
          promptTokens(tokenizer, ids, text.slice(0, from), begin),
          to === text.length ? ids.length : upTo(to),
        ];
    trained.fill(1, first, last);
  }
  // BOS is nobody's to say, written or not.
  if (begin && ids[0] === tokenizer.bosId) trained[0] = 0;
  const isEnded = tokenizer.endIds.includes(ids.at(-1) ?? -1) && trained[ids.length - 1] === 1;
  const isAppended = end && tokenizer.eosId !== null && !isEnded;
  if (isAppended) trained[ids.length] = 1;
  return {
    ids: Int32Array.from(isAppended ? [...ids, tokenizer.eosId!] : ids),
    trained: isAppended ? trained : trained.slice(0, ids.length),
  };

  /** A token that melts with what follows belongs to both, as above. */
  function upTo(to: number): number {
    const count = promptTokens(tokenizer, ids, text.slice(0, to), begin);
    const isWhole = promptTokens(tokenizer, ids, text.slice(0, to + 1), begin) > count;
    return isWhole ? count : Math.min(count + 1, ids.length);
  }
}

/**
 * No token reaches over a seam: who asks the prompt alone cuts it by itself, and a model that saw its end only as part
 * of a longer token takes it for something else. (HumanEval's prompts end in a line break, which most tokenizers join
 * with the indent behind it. Trained on such tokens, a model had learned that a line break alone comes before the end
 * token, and answered nothing.)
 */
function encodeApart(
  tokenizer: Tokenizer,
  { text, begin, seams = [] }: MarkedText,
): { ids: number[]; ends: Uint32Array | null } {
  const whole = tokenizer.encodeWithEnds(text, { specialTokens: begin });
  if (!whole.ends) return whole;
  const reached = new Set(whole.ends);
  const places = seams.filter((seam) => !reached.has(Buffer.byteLength(text.slice(0, seam))));
  if (places.length === 0) return whole;
  const ids: number[] = [];
  const ends: number[] = [];
  let bytes = 0;
  for (const [i, from] of [0, ...places].entries()) {
    const part = text.slice(from, places[i] ?? text.length);
    const cut = tokenizer.encodeWithEnds(part, { specialTokens: begin && i === 0 });
    if (!cut.ends) return whole;
    for (const id of cut.ids) ids.push(id);
    for (const end of cut.ends) ends.push(bytes + end);
    bytes += Buffer.byteLength(part);
  }
  // A tokenizer that puts a space before every text would put one amid this.
  const read = (all: readonly number[]) => tokenizer.decode(all, { specialTokens: true });
  return read(ids) === read(whole.ids) ? { ids, ends: Uint32Array.from(ends) } : whole;
}

/** Tokens from the first to before the last that have bytes between two places. */
function overlapping(ends: Uint32Array, from: number, to: number): [number, number] {
  let first = firstAbove(ends, from);
  // A space that the tokenizer puts before a section of the text is part of what follows it.
  while (first > 0 && ends[first - 1] === from && from === (ends[first - 2] ?? 0)) first--;
  let last = first;
  while (last < ends.length && (last === 0 ? 0 : ends[last - 1]!) < to) last++;
  return [first, last];
}

/** Index of the first token that ends behind a place. */
function firstAbove(ends: Uint32Array, place: number): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! > place) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The tokens of prompt and answer as they are written. Trailing spaces of the prompt belong to the answer, since tokens
 * carry leading spaces. Where the prompt's tokens are the first of the whole text, as is usual, this is how
 * lm-evaluation-harness pairs context and continuation; where the two melt into one token, it counts the tokens of the
 * prompt alone, which loses that one. Benchmarks that score choices are to count as it does.
 * @param end append the end token as a label, where the text does not end already
 */
export function tokenizeExample(tokenizer: Tokenizer, example: Example, end: boolean): TokenRow {
  const text = example.prompt + example.answer;
  const from = example.prompt.trimEnd().length;
  const row = tokenizeMarked(tokenizer, { text, trained: [{ from, to: text.length }], begin: true, end });
  return { ...row, task: example.task ?? 0 };
}

/** How many of a text's tokens lie within its first part. */
function promptTokens(
  tokenizer: Tokenizer,
  ids: readonly number[],
  prompt: string,
  specialTokens: boolean,
): number {
  const own = tokenizer.encode(prompt, { specialTokens });
  let count = 0;
  while (count < own.length && own[count] === ids[count]) count++;
  if (count === own.length) return count;
  // They were cut differently. Decoded, both are normalized alike.
  const read = (part: readonly number[]) => tokenizer.decode(part, { specialTokens: true });
  const whole = read(own);
  for (; count < ids.length; count++) {
    const text = read(ids.slice(0, count + 1));
    // Half of a letter is read as the replacement character.
    const letters = text.replace(/\uFFFD+$/, '');
    const isWithin = letters === text ? whole.startsWith(text) : letters.length < whole.length;
    if (!isWithin) break;
  }
  return count;
}

/**
 * Fits tokenized rows to a context: longer ones are cut or left out, and so are those of which nothing is left to
 * train.
 * @throws StudioError dataset_invalid where no row is left; the message says why, with the numbers
 */
export async function fitToContext(
  rows: AsyncIterable<FittedRow> | Iterable<FittedRow>,
  context: number,
  truncation: Truncation = 'right',
): Promise<{ rows: TokenRow[]; counts: TokenCounts }> {
  const fitted: TokenRow[] = [];
  const counts: TokenCounts = {
    truncatedRows: 0,
    droppedRows: 0,
    refusedRows: 0,
    tokens: 0,
    trainedTokens: 0,
  };
  let [shortestPrompt, shortest, seen, refusal] = [Infinity, Infinity, 0, ''];
  for await (const whole of rows) {
    seen++;
    if (whole.refused !== undefined) {
      refusal ||= whole.refused;
      counts.refusedRows++;
      continue;
    }
    const row = cutToContext(whole, context, truncation);
    // The first token is never predicted.
    const labels = row?.trained.subarray(1).reduce((total, flag) => total + flag, 0) ?? 0;
    if (row === null || labels === 0) {
      counts.droppedRows++;
      const prompt = whole.trained.indexOf(1);
      if (prompt >= 0) shortestPrompt = Math.min(shortestPrompt, prompt);
      shortest = Math.min(shortest, whole.ids.length);
      continue;
    }
    if (row.ids.length < whole.ids.length) counts.truncatedRows++;
    counts.tokens += row.ids.length;
    counts.trainedTokens += labels;
    fitted.push(row);
  }
  if (seen === 0)
    throw new StudioError('dataset_empty', 'There are no rows to tokenize.', 'Choose a dataset with rows.');
  if (fitted.length === 0)
    throw noRowLeft({ ...counts, seen, context, truncation, shortestPrompt, shortest, refusal });
  return { rows: fitted, counts };
}

/** A row on its way into a context; `refused`: the template does not take it. */
type FittedRow = TokenRow & { refused?: string };

/** The row within the context; null where it is left out. */
export function cutToContext(row: TokenRow, context: number, truncation: Truncation): TokenRow | null {
  if (row.ids.length <= context) return row;
  if (truncation === 'drop') return null;
  const [from, to] = truncation === 'right' ? [0, context] : [row.ids.length - context, row.ids.length];
  return { ...row, ids: row.ids.slice(from, to), trained: row.trained.slice(from, to) };
}

/** Why of the rows of a dataset none is left to train on. */
export function noRowLeft(found: {
  seen: number;
  refusedRows: number;
  context: number;
  truncation: Truncation;
  shortestPrompt: number;
  shortest: number;
  refusal: string;
}): StudioError {
  const { seen, refusedRows, context, truncation, shortestPrompt, shortest, refusal } = found;
  if (refusedRows === seen)
    return new StudioError(
      'dataset_invalid',
      `The template takes none of the ${seen} rows; of the first it says: ${refusal}.`,
      'Choose another template, or a dataset whose turns the template takes.',
      { option: ['template'] },
    );
  if (truncation === 'drop')
    return new StudioError(
      'dataset_invalid',
      `All ${seen - refusedRows} rows are longer than the context of ${context} tokens and left out: the shortest has ${shortest}.`,
      `Set the context to at least ${shortest} tokens, or cut long rows.`,
    );
  if (shortestPrompt === Infinity)
    return new StudioError(
      'dataset_invalid',
      `None of the ${seen} rows has anything to train: no turn of theirs is an assistant's.`,
      'Choose a dataset with answers, or train on everything.',
      { option: ['trainOn'] },
    );
  return new StudioError(
    'dataset_invalid',
    `With a context of ${context} tokens all ${seen} rows lose their whole answer: the shortest prompt alone has ${shortestPrompt} tokens.`,
    `Set the context to more than ${shortestPrompt} tokens, or shorten the prompts.`,
  );
}
