import { StudioError } from '../../contract/errors.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';
import { loadTokenizer } from '../../formats/model/tokenizer.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { GeneratedRow, GenerateRequest, GenerateResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wayOf } from './choosing.ts';
import { ContinuedRow, type EndRules } from './continuedRow.ts';
import { decodeRows, decoderSize } from './decodeRows.ts';
import { openDecoder, type Decoder } from './decodingGraph.ts';
import { openModel } from './openModel.ts';

/** Decodes prompts, `batch` at a time, greedily or by sampling, until an end id, a stop string or the length. */
export async function generate(request: GenerateRequest, context: JobContext): Promise<GenerateResult> {
  const tokenizer = loadTokenizer(request.model.folder);
  const opened = openModel(request.model, context);
  let decoder: Decoder | null = null;
  try {
    const { contextLength } = opened.model.config;
    checkTask(opened.model.adapter, request.task ?? 0);
    const longest = request.prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
    if (request.prompts.some((prompt) => prompt.length === 0))
      throw new StudioError('usage', 'A prompt has no tokens.', 'Give a prompt with text.');
    if (longest >= contextLength)
      throw new StudioError(
        'usage',
        `A prompt of ${longest} tokens leaves no room in the model's context of ${contextLength}.`,
        `Shorten it to at most ${contextLength - 1} tokens.`,
      );
    const { prompts, batch, maxTokens, stop } = request;
    const { ropes } = opened.model.config;
    const size = decoderSize(prompts, { batch, maxTokens }, opened.model.config);
    decoder = await openDecoder(context.tf, opened.model, size, [wayOf(request)]);
    opened.load(decoder.session);
    const endIds = new Set(request.endIds.length > 0 ? request.endIds : tokenizer.endIds);
    const rules: EndRules = { tokenizer, endIds, stop, maxTokens, contextLength };
    const begun = new Map<ContinuedRow, number>();
    for (const index of decodingOrder(prompts)) {
      const seed = seedFrom(request.seed, 'sampling', request.numbers?.[index] ?? index);
      begun.set(new ContinuedRow(prompts[index]!, rules, createRandom(seed)), index);
    }
    const rows: GeneratedRow[] = [];
    let [newTokens, done] = [0, 0];
    const seconds = await decodeRows(decoder, [...begun.keys()], {
      temperature: request.temperature,
      topP: request.topP,
      task: request.task ?? 0,
      ropes,
      pause: () => throwIfStopped(context),
      onEnded(ended) {
        const found = ended.map((row) => ({ index: begun.get(row)!, row: row.result() }));
        for (const { index, row } of found) {
          rows[index] = row;
          newTokens += row.ids.length;
        }
        done += found.length;
        context.emit({ type: 'generated', rows: found });
        context.emit({ type: 'progress', label: 'Generating', done, total: prompts.length });
      },
    });
    return {
      rows,
      tokensPerSecond: seconds > 0 ? newTokens / seconds : 0,
      peakMemoryBytes: peakMemoryBytes(),
    };
  } finally {
    decoder?.session.close();
    opened.close();
  }
}

/**
 * The longest first, so that rows that are decoded together have caches of similar lengths and no long one is left to
 * the end.
 */
function decodingOrder(prompts: GenerateRequest['prompts']): number[] {
  return Array.from(prompts.keys()).sort((a, b) => prompts[b]!.length - prompts[a]!.length || a - b);
}
