import type { Example } from '../../contract/entities.ts';
import type { TokenRow } from '../../formats/files/tokenFile.ts';
import type { TokenizerOwner, TokenizerThread } from './tokenizerThread.ts';

/** A batch is cut in a fraction of a second, and what it costs to send is small beside that. */
const batchRows = 128;
const batchCharacters = 100_000;

/** Rows of examples in their order, each with its end token. The next examples are read while the thread works. */
export async function* tokenizedRows(
  thread: TokenizerThread,
  owner: TokenizerOwner,
  examples: AsyncIterable<Example> | Iterable<Example>,
): AsyncGenerator<TokenRow> {
  let before: Promise<TokenRow[]> | null = null;
  for await (const batch of batchesOf(examples)) {
    const next = thread.examples(owner, batch);
    // It is awaited below; until then a failure must not count as unhandled.
    next.catch(() => {});
    if (before) yield* await before;
    before = next;
  }
  if (before) yield* await before;
}

async function* batchesOf(examples: AsyncIterable<Example> | Iterable<Example>): AsyncGenerator<Example[]> {
  let batch: Example[] = [];
  let characters = 0;
  for await (const example of examples) {
    batch.push(example);
    characters += example.prompt.length + example.answer.length;
    if (batch.length < batchRows && characters < batchCharacters) continue;
    yield batch;
    [batch, characters] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
