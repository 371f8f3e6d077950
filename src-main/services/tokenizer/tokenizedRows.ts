import { createHash } from 'node:crypto';
import type { TemplateFacts } from '../../contract/datasets/previews.ts';
import type { Row } from '../../contract/rows.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import { charactersOf, type TokenizedRow } from '../../data/rendering/tokenizeRow.ts';
import type { TokenizerOwner, TokenizerThread } from './tokenizerThread.ts';

/** A batch is cut in a fraction of a second, and what it costs to send is small beside that. */
const batchRows = 128;
const batchCharacters = 100_000;

/**
 * Whole rows through a template as tokens, in their order, each with its end token; one that the template refuses has
 * none. The next rows are read while the thread works.
 */
export async function* tokenizedRows(
  thread: TokenizerThread,
  owner: TokenizerOwner,
  rows: AsyncIterable<Row> | Iterable<Row>,
  rendering: Rendering,
): AsyncGenerator<TokenizedRow> {
  let before: Promise<TokenizedRow[]> | null = null;
  for await (const batch of batchesOf(rows)) {
    const next = thread.rows(owner, batch, rendering);
    // It is awaited below; until then a failure must not count as unhandled.
    next.catch(() => {});
    if (before) yield* await before;
    before = next;
  }
  if (before) yield* await before;
}

/**
 * What decides a row's text and what of it is trained, beside the row and the tokenizer: rows through two renderings
 * with one key are the same tokens. A part of the names of token files.
 */
export async function renderingKey(
  thread: TokenizerThread,
  owner: TokenizerOwner,
  rendering: Rendering,
): Promise<string> {
  const { eosId } = await thread.facts(owner);
  const facts = await thread.renderer(owner, rendering);
  const { template, trainOn } = rendering;
  const parts = ['rendering 1', facts, template.system, trainOn, eosId];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** What users say, as tokens. */
export interface AskedPrompts {
  ids: number[][];
  /** Where answers end; empty: at the model's own ends. */
  endIds: readonly number[];
  stop: readonly string[];
}

/**
 * The template that texts go through as what a user says. Null: nobody chose one and the model has none of its own, so
 * they stay as they are; who writes them knows what the model was trained on.
 */
export async function promptTemplate(
  thread: TokenizerThread,
  owner: TokenizerOwner,
  rendering: Rendering,
): Promise<TemplateFacts | null> {
  const facts = await thread.renderer(owner, rendering);
  return rendering.template.name === 'auto' && facts.name !== 'model' ? null : facts;
}

/** Texts as what a user says, each up to where the answer begins. */
export async function askedPrompts(
  thread: TokenizerThread,
  owner: TokenizerOwner,
  texts: readonly string[],
  rendering: Rendering,
): Promise<AskedPrompts & { template: TemplateFacts | null }> {
  const facts = await promptTemplate(thread, owner, rendering);
  if (facts === null) return { ids: await thread.encode(owner, texts), endIds: [], stop: [], template: null };
  const chats = texts.map((content) => ({ turns: [{ role: 'user', content } as const] }));
  const prompts = await thread.prompts(owner, chats, rendering);
  return { ids: prompts.map(({ ids }) => ids), endIds: facts.endIds, stop: facts.stop, template: facts };
}

async function* batchesOf(rows: AsyncIterable<Row> | Iterable<Row>): AsyncGenerator<Row[]> {
  let batch: Row[] = [];
  let characters = 0;
  for await (const row of rows) {
    batch.push(row);
    characters += charactersOf(row);
    if (batch.length < batchRows && characters < batchCharacters) continue;
    yield batch;
    [batch, characters] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
