import { StudioError } from '../../contract/errors.ts';
import { createRandom } from '../../statistics/random.ts';
import { loadTokenizer } from '../../formats/model/tokenizer.ts';
import type { JobContext } from '../process/jobs.ts';
import type { GeneratedRow, GenerateRequest, GenerateResult } from '../process/protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { seedFrom } from '../seeds.ts';
import { checkTask } from '../training/taskNumbers.ts';
import { ContinuedRow, decodeRows, prefilledSlots } from './decodeRows.ts';
import { openDecodingGraph, type DecodingGraph } from './decodingGraph.ts';
import { openModel } from './openModel.ts';

const prefillTokens = 64;

/** Decodes prompts in batches, greedily or by sampling, until an end id, a stop string or the length. */
export async function generate(request: GenerateRequest, context: JobContext): Promise<GenerateResult> {
  const tokenizer = loadTokenizer(request.model.folder);
  const opened = openModel(request.model, context);
  let graph: DecodingGraph | null = null;
  try {
    const { contextLength, eosIds } = opened.model.config;
    checkTask(opened.model.adapter, request.task ?? 0);
    const longest = Math.max(...request.prompts.map((prompt) => prompt.length));
    if (request.prompts.some((prompt) => prompt.length === 0))
      throw new StudioError('usage', 'A prompt has no tokens.', 'Give a prompt with text.');
    if (longest >= contextLength)
      throw new StudioError(
        'usage',
        `A prompt of ${longest} tokens leaves no room in the model's context of ${contextLength}.`,
        `Shorten it to at most ${contextLength - 1} tokens.`,
      );
    const prefilled = prefilledSlots(longest, prefillTokens);
    const batch = Math.min(request.batch, request.prompts.length);
    graph = await openDecodingGraph(context.tf, opened.model, {
      batch,
      slots: prefilled + Math.min(request.maxTokens, contextLength - 1),
      prefillTokens,
    });
    opened.load(graph.session, graph.assignment);
    const endIds = new Set(request.endIds.length > 0 ? request.endIds : eosIds);
    const rows: GeneratedRow[] = [];
    let [newTokens, seconds] = [0, 0];
    for (let first = 0; first < request.prompts.length; first += batch) {
      await context.throwIfStopped();
      const group = request.prompts.slice(first, first + batch).map(
        (prompt, i) =>
          new ContinuedRow(prompt, {
            tokenizer,
            endIds,
            stop: request.stop,
            limit: Math.min(request.maxTokens, contextLength - prompt.length),
            limitedByContext: contextLength - prompt.length < request.maxTokens,
            random: createRandom(seedFrom(request.seed, 'sampling', first + i)),
          }),
      );
      seconds += await decodeRows(graph, group, {
        temperature: request.temperature,
        topP: request.topP,
        task: request.task ?? 0,
        ropes: opened.model.config.ropes,
        pause: () => context.throwIfStopped(),
      });
      for (const row of group) {
        rows.push(row.result());
        newTokens += row.ids.length;
      }
      context.emit({
        type: 'progress',
        label: 'Generating',
        done: rows.length,
        total: request.prompts.length,
      });
    }
    return {
      rows,
      tokensPerSecond: seconds > 0 ? newTokens / seconds : 0,
      peakMemoryBytes: peakMemoryBytes(),
    };
  } finally {
    graph?.session.close();
    opened.close();
  }
}
