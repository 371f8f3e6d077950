import { StudioError } from '../../contract/errors.ts';
import { createRandom, type Random } from '../../data/random.ts';
import type { Rope } from '../../formats/decoderConfig.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import type { JobContext } from '../process/jobs.ts';
import type { GeneratedRow, GenerateRequest, GenerateResult } from '../process/protocol.ts';
import { seedFrom } from '../seeds.ts';
import { checkTask } from '../training/taskNumbers.ts';
import { openDecodingGraph, type DecodingGraph } from './decodingGraph.ts';
import { openModel } from './openModel.ts';
import { sampleToken } from './sampling.ts';

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
    const prefilled = Math.ceil(longest / prefillTokens) * prefillTokens;
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
          new Row(prompt, {
            tokenizer,
            endIds,
            stop: request.stop,
            limit: Math.min(request.maxTokens, contextLength - prompt.length),
            limitedByContext: contextLength - prompt.length < request.maxTokens,
            random: createRandom(seedFrom(request.seed, 'sampling', first + i)),
          }),
      );
      const decodingSeconds = await decodeGroup(graph, group, request, context, opened.model.config.ropes);
      seconds += decodingSeconds;
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
    return { rows, tokensPerSecond: seconds > 0 ? newTokens / seconds : 0 };
  } finally {
    graph?.session.close();
    opened.close();
  }
}

/** A prompt being continued. */
class Row {
  readonly prompt: readonly number[];
  readonly random: Random;
  readonly ids: number[] = [];
  #end: GeneratedRow['end'] | null = null;
  #text = '';
  readonly #rules: {
    tokenizer: Tokenizer;
    endIds: ReadonlySet<number>;
    stop: readonly string[];
    limit: number;
    limitedByContext: boolean;
  };

  constructor(
    prompt: readonly number[],
    rules: {
      tokenizer: Tokenizer;
      endIds: ReadonlySet<number>;
      stop: readonly string[];
      limit: number;
      limitedByContext: boolean;
      random: Random;
    },
  ) {
    this.prompt = prompt;
    this.random = rules.random;
    this.#rules = rules;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  push(id: number): void {
    const { tokenizer, endIds, stop, limit, limitedByContext } = this.#rules;
    if (endIds.has(id)) {
      this.#end = 'end_id';
      return;
    }
    this.ids.push(id);
    // Decoded as a whole each time: a token's text can depend on its neighbours (bytes of one character, leading spaces).
    this.#text = continuation(tokenizer, this.prompt, this.ids);
    const at = firstOf(this.#text, stop);
    if (at >= 0) {
      this.#text = this.#text.slice(0, at);
      this.#end = 'stop';
    } else if (this.ids.length >= limit) this.#end = limitedByContext ? 'context' : 'length';
  }

  /** The id at a place of the text; 0 before and behind it. */
  tokenAt(place: number): number {
    return this.prompt[place] ?? this.ids[place - this.prompt.length] ?? 0;
  }

  result(): GeneratedRow {
    return { ids: this.ids, text: this.#text, end: this.#end ?? 'length' };
  }
}

/** Text that `ids` add behind the prompt: a decoder may drop the leading space of a text that stands alone. */
function continuation(tokenizer: Tokenizer, prompt: readonly number[], ids: readonly number[]): string {
  const tail = prompt.slice(-8);
  const before = tokenizer.decode(tail);
  const all = tokenizer.decode([...tail, ...ids]);
  return all.startsWith(before) ? all.slice(before.length) : tokenizer.decode(ids);
}

function firstOf(text: string, stop: readonly string[]): number {
  const places = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** @returns seconds spent on decoding, without the prompts */
async function decodeGroup(
  graph: DecodingGraph,
  group: readonly Row[],
  request: GenerateRequest,
  context: JobContext,
  ropes: readonly Rope[],
): Promise<number> {
  const { session, batch } = graph;
  const sampled = request.temperature > 0;
  const longest = Math.max(...group.map((row) => row.prompt.length));
  const width = Math.ceil(longest / prefillTokens) * prefillTokens;
  const starts = Int32Array.from({ length: batch }, (_, r) => width - (group[r]?.prompt.length ?? 1));
  session.run('clear', {});
  let last = fill(width);
  const begun = performance.now();
  for (let slot = width; ; slot++) {
    group.forEach((row, r) => {
      if (!row.ended) row.push(last[r]!);
    });
    if (group.every((row) => row.ended)) break;
    if (slot % 16 === 0) await context.throwIfStopped();
    const lengths = lengthsAt(slot + 1);
    const switches = ropes.some((rope) =>
      lengths.some((length, r) => r < group.length && invalidatesCache(rope, length)),
    );
    last = switches ? fill(slot + 1) : step('decode', slot, 1, lengths);
  }
  return (performance.now() - begun) / 1000;

  /** Writes the cache from the first slot up to `end`; returns the tokens that follow. */
  function fill(end: number): number[] {
    const lengths = lengthsAt(end);
    let next: number[] = [];
    for (let slot = 0; slot < end;) {
      const whole = slot + prefillTokens <= end;
      next = step(whole ? 'prefill' : 'decode', slot, whole ? prefillTokens : 1, lengths);
      slot += whole ? prefillTokens : 1;
    }
    return next;
  }

  /** Tokens of each row's text before slot `end`. */
  function lengthsAt(end: number): number[] {
    return Array.from(starts, (start) => end - start);
  }

  /** Runs `count` slots from `slot`; `lengths` are those of the texts that frequencies follow. */
  function step(
    entry: 'prefill' | 'decode',
    slot: number,
    count: number,
    lengths: readonly number[],
  ): number[] {
    const ids = new Int32Array(batch * count);
    group.forEach((row, r) => {
      for (let t = 0; t < count; t++) ids[r * count + t] = row.tokenAt(slot + t - starts[r]!);
    });
    const out = session.run(sampled ? `${entry}Logits` : entry, {
      ids,
      firstSlot: Int32Array.of(slot),
      rowStart: starts,
      tasks: new Int32Array(ids.length).fill(request.task ?? 0),
      ...graph.lengthInputs(lengths),
    });
    return sampled ? group.map((row, r) => sample(row, r, out['logits'] as Float32Array)) : [...out['next']!];
  }

  function sample(row: Row, r: number, logits: Float32Array): number {
    if (row.ended) return 0;
    const vocabulary = logits.length / batch;
    const own = logits.subarray(r * vocabulary, (r + 1) * vocabulary);
    return sampleToken(own, request.temperature, request.topP, row.random);
  }
}

/** Longrope changes all frequencies at one length; transformers computes the cache anew there. */
function invalidatesCache({ scaling }: Rope, length: number): boolean {
  return scaling?.type === 'longrope' && length === scaling.originalContext + 1;
}
