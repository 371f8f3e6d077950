import type { DataContract, Example } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { TokenRow } from '../formats/files/tokenFile.ts';
import type { Tokenizer } from '../formats/model/tokenizer.ts';

/** What happened to rows when they became tokens. */
export type TokenCounts = Pick<DataContract, 'truncatedRows' | 'droppedRows' | 'tokens' | 'trainedTokens'>;

/**
 * A row's tokens, for training and for perplexity. Prompt and answer are tokenized as one text and cut by characters: a
 * token is a label where any of its characters is the answer's. Trailing spaces of the prompt belong to the answer,
 * since tokens carry leading spaces. Where the prompt's tokens are the first of the whole text, as is usual, this is
 * how lm-evaluation-harness pairs context and continuation; where the two melt into one token, it counts the tokens of
 * the prompt alone, which loses that one. Benchmarks that score choices are to count as it does.
 * @param end append the end token as a label, where the text does not end already
 */
export function tokenizeExample(tokenizer: Tokenizer, example: Example, end: boolean): TokenRow {
  const ids = tokenizer.encode(example.prompt + example.answer, { specialTokens: true });
  const promptLength = promptTokens(tokenizer, ids, example.prompt.trimEnd());
  const isEnded = tokenizer.endIds.includes(ids.at(-1) ?? -1) && ids.length > promptLength;
  if (end && tokenizer.eosId !== null && !isEnded) ids.push(tokenizer.eosId);
  return {
    ids: Int32Array.from(ids),
    trained: Uint8Array.from(ids, (_, i) => (i >= promptLength ? 1 : 0)),
    task: example.task ?? 0,
  };
}

/** How many of a text's tokens lie within its first part. */
function promptTokens(tokenizer: Tokenizer, ids: readonly number[], prompt: string): number {
  const own = tokenizer.encode(prompt, { specialTokens: true });
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
 * Fits tokenized examples to a context: rows longer than `context` are cut at the end, rows whose answer is cut away
 * altogether are left out.
 * @throws StudioError dataset_invalid where no row keeps an answer; the message blames the context, with the numbers
 */
export async function fitToContext(
  examples: AsyncIterable<TokenRow> | Iterable<TokenRow>,
  context: number,
): Promise<{ rows: TokenRow[]; counts: TokenCounts }> {
  const rows: TokenRow[] = [];
  const counts: TokenCounts = { truncatedRows: 0, droppedRows: 0, tokens: 0, trainedTokens: 0 };
  let [shortestPrompt, seen] = [Infinity, 0];
  for await (const whole of examples) {
    seen++;
    const cut = whole.ids.length > context;
    const row = cut
      ? { ...whole, ids: whole.ids.slice(0, context), trained: whole.trained.slice(0, context) }
      : whole;
    // The first token is never predicted.
    const labels = row.trained.subarray(1).reduce((total, flag) => total + flag, 0);
    if (labels === 0) {
      counts.droppedRows++;
      shortestPrompt = Math.min(shortestPrompt, whole.trained.indexOf(1));
      continue;
    }
    if (cut) counts.truncatedRows++;
    counts.tokens += row.ids.length;
    counts.trainedTokens += labels;
    rows.push(row);
  }
  if (seen === 0)
    throw new StudioError('dataset_empty', 'There are no rows to tokenize.', 'Choose a dataset with rows.');
  if (rows.length === 0)
    throw new StudioError(
      'dataset_invalid',
      `With a context of ${context} tokens all ${seen} rows lose their whole answer: the shortest prompt alone has ${shortestPrompt} tokens.`,
      `Set the context to more than ${shortestPrompt} tokens, or shorten the prompts.`,
    );
  return { rows, counts };
}
