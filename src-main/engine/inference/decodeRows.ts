import type { Random } from '../../statistics/random.ts';
import type { Rope } from '../../formats/families/decoderConfig.ts';
import type { Tokenizer } from '../../formats/model/tokenizer.ts';
import type { GeneratedRow } from '../protocol.ts';
import type { Decoder, DecodingSize } from './decodingGraph.ts';
import { drawToken } from './drawToken.ts';

/** Tokens that one prefill call takes. */
const prefillTokens = 64;

/** Slots that prompts of up to `longest` tokens take: prefill calls are whole. */
function prefilledSlots(longest: number): number {
  return Math.ceil(longest / prefillTokens) * prefillTokens;
}

/** How much a decoder must hold to continue prompts by up to `maxTokens`. */
export function decodingSize(
  prompts: readonly (readonly number[])[],
  options: { batch: number; maxTokens: number; contextLength: number },
): DecodingSize {
  const { batch, maxTokens, contextLength } = options;
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  return {
    batch: Math.min(batch, prompts.length),
    slots: prefilledSlots(longest) + Math.min(maxTokens, contextLength - 1),
    prefillTokens,
  };
}

/** By what an answer ends. */
export interface EndRules {
  tokenizer: Tokenizer;
  endIds: ReadonlySet<number>;
  stop: readonly string[];
  maxTokens: number;
  /** Prompt and answer together have at most so many tokens. */
  contextLength: number;
}

/** A prompt being continued. */
export class ContinuedRow {
  readonly prompt: readonly number[];
  readonly random: Random;
  readonly ids: number[] = [];
  #end: GeneratedRow['end'] | null = null;
  readonly #rules: EndRules;

  /** @param random draws the tokens, where they are drawn */
  constructor(prompt: readonly number[], rules: EndRules, random: Random) {
    this.prompt = prompt;
    this.random = random;
    this.#rules = rules;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  push(id: number): void {
    const { endIds, maxTokens, contextLength } = this.#rules;
    if (endIds.has(id)) {
      this.#end = 'end_id';
      return;
    }
    this.ids.push(id);
    if (this.#hasStop()) this.#end = 'stop';
    else if (this.ids.length >= maxTokens) this.#end = 'length';
    else if (this.prompt.length + this.ids.length >= contextLength) this.#end = 'context';
  }

  /** The id at a place of the text; 0 before and behind it. */
  tokenAt(place: number): number {
    return this.prompt[place] ?? this.ids[place - this.prompt.length] ?? 0;
  }

  result(): GeneratedRow {
    const text = this.#text();
    const isCut = this.#end === 'stop';
    return {
      ids: this.ids,
      text: isCut ? text.slice(0, firstOf(text, this.#rules.stop)) : text,
      end: this.#end ?? 'length',
    };
  }

  /** Decoded as a whole: a token's text can depend on its neighbours (bytes of one character, leading spaces). */
  #text(): string {
    return continuation(this.#rules.tokenizer, this.prompt, this.ids);
  }

  /** Whether the newest token has completed a stop string. Only the end of the text is decoded to find out. */
  #hasStop(): boolean {
    const { tokenizer, stop } = this.#rules;
    if (stop.length === 0) return false;
    // A letter may take four tokens, one for each of its bytes.
    const window = 4 * stop.reduce((most, { length }) => Math.max(most, length), 0) + contextTokens;
    const begin = Math.max(0, this.ids.length - window);
    const before =
      begin < contextTokens
        ? [...this.prompt.slice(-contextTokens), ...this.ids.slice(0, begin)]
        : this.ids.slice(begin - contextTokens, begin);
    const end = continuation(tokenizer, before, this.ids.slice(begin));
    return firstOf(end, stop) >= 0 && firstOf(this.#text(), stop) >= 0;
  }
}

/** So many tokens before others decide how those are decoded. */
const contextTokens = 8;

/** Text that `ids` add behind others: a decoder may drop the leading space of a text that stands alone. */
function continuation(tokenizer: Tokenizer, others: readonly number[], ids: readonly number[]): string {
  const tail = others.slice(-contextTokens);
  const before = tokenizer.decode(tail);
  const all = tokenizer.decode([...tail, ...ids]);
  return all.startsWith(before) ? all.slice(before.length) : tokenizer.decode(ids);
}

function firstOf(text: string, stop: readonly string[]): number {
  const places = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
  return places.length === 0 ? -1 : places.reduce((least, place) => Math.min(least, place));
}

/**
 * Continues rows until all have ended.
 * @param group no more than the decoder's batch
 * @param options.temperature 0: greedy
 * @param options.pause awaited now and then; what it throws ends the decoding
 * @returns seconds spent on decoding, without the prompts
 */
export async function decodeRows(
  decoder: Decoder,
  group: readonly ContinuedRow[],
  options: {
    temperature: number;
    topP: number;
    /** Task of all rows; read only by an adapter that tells tasks apart. */
    task: number;
    ropes: readonly Rope[];
    pause(): Promise<void>;
    /** Is told rows as they end, each once. */
    onEnded?(rows: readonly ContinuedRow[]): void;
  },
): Promise<number> {
  const { session, batch } = decoder;
  const { temperature, topP, task, ropes, pause, onEnded } = options;
  const isDrawn = temperature > 0;
  const longest = group.reduce((most, row) => Math.max(most, row.prompt.length), 0);
  const width = prefilledSlots(longest);
  const starts = Int32Array.from({ length: batch }, (_, r) => width - (group[r]?.prompt.length ?? 1));
  session.run('clear', {});
  let last = fill(width);
  const begun = performance.now();
  for (let slot = width; ; slot++) {
    const running = group.filter((row) => !row.ended);
    group.forEach((row, r) => {
      if (!row.ended) row.push(last[r]!);
    });
    const ended = running.filter((row) => row.ended);
    if (ended.length > 0) onEnded?.(ended);
    if (group.every((row) => row.ended)) break;
    if (slot % 16 === 0) await pause();
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

  /** Runs `count` slots from `slot`. @param lengths of the texts, which the rotary frequencies follow */
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
    const feeds = {
      ids,
      firstSlot: Int32Array.of(slot),
      rowStart: starts,
      tasks: new Int32Array(ids.length).fill(task),
      ...decoder.lengthInputs(lengths),
    };
    if (!isDrawn) return [...session.run(entry, feeds).next];
    const { logits } = session.run(`${entry}Logits`, feeds);
    return group.map((row, r) => draw(row, r, logits as Float32Array));
  }

  function draw(row: ContinuedRow, r: number, logits: Float32Array): number {
    if (row.ended) return 0;
    const vocabulary = logits.length / batch;
    const own = logits.subarray(r * vocabulary, (r + 1) * vocabulary);
    return drawToken(own, temperature, topP, row.random);
  }
}

/** Longrope changes all frequencies at one length; transformers computes the cache anew there. */
function invalidatesCache({ scaling }: Rope, length: number): boolean {
  return scaling?.type === 'longrope' && length === scaling.originalContext + 1;
}
