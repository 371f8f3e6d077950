import { StudioError } from '../../contract/errors.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';
import { loadTokenizer } from '../../formats/model/tokenizer.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { GeneratedRow, GenerateRequest, GenerateResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { ContinuedRow, decodeRows, decodingSize, type EndRules } from './decodeRows.ts';
import { openDecoder, type Decoder } from './decodingGraph.ts';
import { openModel } from './openModel.ts';

/** Decodes prompts in batches, greedily or by sampling, until an end id, a stop string or the length. */
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
    const size = decodingSize(prompts, { batch, maxTokens, contextLength });
    decoder = await openDecoder(context.tf, opened.model, size);
    opened.load(decoder.session);
    const endIds = new Set(request.endIds.length > 0 ? request.endIds : tokenizer.endIds);
    const rules: EndRules = { tokenizer, endIds, stop, maxTokens, contextLength };
    const rows: GeneratedRow[] = [];
    let [newTokens, seconds, done] = [0, 0, 0];
    for (let first = 0; first < prompts.length; first += size.batch) {
      await throwIfStopped(context);
      const group = prompts
        .slice(first, first + size.batch)
        .map(
          (prompt, i) =>
            new ContinuedRow(
              prompt,
              rules,
              createRandom(seedFrom(request.seed, 'sampling', request.numbers?.[first + i] ?? first + i)),
            ),
        );
      seconds += await decodeRows(decoder, group, {
        temperature: request.temperature,
        topP: request.topP,
        task: request.task ?? 0,
        ropes: opened.model.config.ropes,
        pause: () => throwIfStopped(context),
        onEnded(ended) {
          const found = ended.map((row) => ({ index: first + group.indexOf(row), row: row.result() }));
          for (const { index, row } of found) {
            rows[index] = row;
            newTokens += row.ids.length;
          }
          done += found.length;
          context.emit({ type: 'generated', rows: found });
          context.emit({ type: 'progress', label: 'Generating', done, total: prompts.length });
        },
      });
    }
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
