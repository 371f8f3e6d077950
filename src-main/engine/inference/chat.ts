import { StudioError } from '../../contract/errors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import { chatDecodingSize } from '../../options/decodingSize.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';
import type { AskedContext } from '../jobContext.ts';
import type { ChatAsk, ChatRow } from '../messages.ts';
import type { ChatRequest, ChatResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { openColumns } from './adapterColumns.ts';
import { ContinuedRow } from './continuedRow.ts';
import { decodeRows } from './decodeRows.ts';
import { openDecoder, type Decoder } from './decodingGraph.ts';

/** Between two reports of what has been said. */
const reportMs = 80;

/** Thrown inside an answer that is to end where it is. */
class Interruption extends Error {}

/**
 * Opens a base model once, with all adapters of a chat on it, and answers one ask after another until a stop comes. The
 * columns of an ask are decoded as rows of one batch.
 * @throws StudioError as openColumns does; usage for a conversation that leaves no room for an answer
 */
export async function chat(request: ChatRequest, context: AskedContext): Promise<ChatResult> {
  const tokenizer = loadTokenizer(request.model.folder);
  const opened = openColumns(request.model, request.adapterFolders, context);
  let decoder: Decoder | null = null;
  try {
    const { contextLength, ropes } = opened.model.config;
    const limit = Math.min(contextLength, request.context);
    const size = chatDecodingSize(request.adapterFolders.length, limit);
    decoder = await openDecoder(context.tf, opened.model, size, ['greedy', 'drawn', 'nucleus']);
    opened.load(decoder.session);
    context.emit({ type: 'opened', context: limit });
    for (let ask = await context.nextAsk(); ask; ask = await context.nextAsk())
      await answer(ask, { decoder, tokenizer, limit, ropes, context });
    return { peakMemoryBytes: peakMemoryBytes() };
  } finally {
    decoder?.session.close();
    opened.close();
  }
}

interface Opened {
  decoder: Decoder;
  tokenizer: Tokenizer;
  /** Tokens of a conversation with its answer at most. */
  limit: number;
  ropes: Parameters<typeof decodeRows>[2]['ropes'];
  context: AskedContext;
}

/** Continues the conversations of an ask, and tells what is said while it is said. */
async function answer(ask: ChatAsk, { decoder, tokenizer, limit, ropes, context }: Opened): Promise<void> {
  const longest = ask.rows.reduce((most, { prompt }) => Math.max(most, prompt.length), 0);
  if (longest >= limit)
    throw new StudioError(
      'usage',
      `A conversation of ${longest} tokens leaves no room in the context of ${limit}.`,
      'Begin a new conversation, or open the chat with a longer context.',
    );
  const rows = ask.rows.map(({ column, prompt, endIds, stop }) => {
    const ends = new Set(endIds.length > 0 ? endIds : tokenizer.endIds);
    const rules = { tokenizer, endIds: ends, stop, maxTokens: ask.maxTokens, contextLength: limit };
    return new ContinuedRow(prompt, rules, createRandom(seedFrom(ask.seed, 'sampling', 0)), column);
  });
  const begin = performance.now();
  const seconds = new Map<ContinuedRow, number>();
  const sinceBegin = () => (performance.now() - begin) / 1000;
  let reported = -Infinity;
  try {
    await decodeRows(decoder, rows, {
      temperature: ask.temperature,
      topP: ask.topP,
      task: ask.task ?? 0,
      ropes,
      pauseEvery: 1,
      async pause() {
        if (await context.isInterrupted(ask.id)) throw new Interruption();
        const isDue = performance.now() - reported >= reportMs;
        if (!isDue || rows.every(({ ids }) => ids.length === 0)) return;
        reported = performance.now();
        context.emit({
          type: 'answering',
          ask: ask.id,
          rows: rows.map((row) => ({ text: row.settledText(), tokens: row.ids.length })),
        });
      },
      onEnded(ended) {
        for (const row of ended) seconds.set(row, sinceBegin());
      },
    });
  } catch (error) {
    // What was said until then stands.
    if (!(error instanceof Interruption)) throw error;
  }
  const said = rows.map((row): ChatRow => {
    const took = seconds.get(row) ?? sinceBegin();
    const { end, ...result } = row.result();
    const tokensPerSecond = took > 0 ? row.ids.length / took : 0;
    return { ...result, end: row.ended ? end : 'stopped', tokensPerSecond };
  });
  context.emit({ type: 'answered', ask: ask.id, rows: said });
}
