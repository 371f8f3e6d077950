import { drawFeeds, wayOf, waySuffix, type Way } from './choosing.ts';
import type { Decoder } from './decodingGraph.ts';

/** How tokens are chosen. */
interface Draw {
  /** 0: the most likely ones. */
  temperature: number;
  /** In (0, 1]; 1: every token may be drawn. */
  topP: number;
  /** The next number of a row's own, in [0, 1). */
  uniform(row: number): number;
}

/** A prompt that has been computed, beside the rows that are being decoded. */
interface Prompt {
  row: number;
  /** The number of the adapter that reads it (adapterColumns.ts); 0 where there is one. */
  adapter: number;
  /** So many of its tokens stand at the first slots, where other prompts have the same. */
  shared: number;
  /** Where the others stand. */
  start: number;
  length: number;
}

type Placed = Prompt & { text: readonly number[] };

/**
 * Which text each row of a decoder's cache holds, and where. Prompts are computed (`prefill`) and become rows
 * (`join`) several at a time: a call reads all weights, and a join copies what all rows have. What a prompt begins with
 * is not computed again where the one at the first slots begins likewise.
 */
export class CacheRows {
  readonly #decoder: Decoder;
  readonly #task: number;
  readonly #draw: Draw;
  readonly #way: Way;
  /** Of each row, the tokens that are in the past. */
  readonly #lengths: number[];
  /** Slots of the past. */
  #past: number;
  /** Of each row, the number of its adapter. */
  readonly #adapters: number[];
  /** Used slots of the recent part. */
  #recent = 0;
  /** The text at the first slots of the prompts' part. */
  #first: readonly number[] = [];
  /** The adapter that read it. */
  #firstAdapter = 0;
  /** Used slots of it. */
  #used = 0;
  #prompts: Prompt[] = [];

  /** Makes the decoder's cache. */
  constructor(decoder: Decoder, { task, draw }: { task: number; draw: Draw }) {
    this.#decoder = decoder;
    this.#task = task;
    this.#draw = draw;
    this.#way = wayOf(draw, decoder.ways);
    this.#lengths = Array.from({ length: decoder.size.batch }, () => 0);
    this.#adapters = this.#lengths.map(() => 0);
    this.#past = decoder.size.pastSlots[0]!;
    decoder.session.run('clear', {});
  }

  /** Whether a step needs a join before it. */
  get isFull(): boolean {
    return this.#recent === this.#decoder.size.recentSlots;
  }

  /**
   * Computes texts for rows, which they become at the next join; where there is no room for all, some join meanwhile.
   * @returns the token after each text
   */
  prefill(asked: readonly { row: number; text: readonly number[]; adapter?: number }[]): number[] {
    const { promptSlots, prefillTokens } = this.#decoder.size;
    const found: number[] = [];
    let placed: Placed[] = [];
    for (const { row, text, adapter = 0 } of asked) {
      const room = promptSlots - prefillTokens - this.#used;
      if (this.#prompts.length > 0 && text.length - this.#knownOf(text, adapter) > room) {
        for (const next of this.#compute(placed)) found.push(next);
        placed = [];
        this.join();
      }
      placed.push(this.#place(row, text, adapter));
    }
    return [...found, ...this.#compute(placed)];
  }

  /** Tokens of a text that need not be computed. The last one is in any case: what follows it is asked for. */
  #knownOf(text: readonly number[], adapter: number): number {
    if (this.#decoder.dependsOnLength || adapter !== this.#firstAdapter) return 0;
    return Math.min(commonLength(this.#first, text), text.length - 1);
  }

  #place(row: number, text: readonly number[], adapter: number): Placed {
    const shared = this.#knownOf(text, adapter);
    const isFirst = this.#prompts.length === 0;
    const start = isFirst ? shared : this.#used;
    if (isFirst) [this.#first, this.#firstAdapter] = [text, adapter];
    this.#used = start + text.length - shared;
    const placed = { row, adapter, text, shared, start, length: text.length };
    this.#prompts.push(placed);
    return placed;
  }

  /** Runs what has been placed, one text behind the other. */
  #compute(placed: readonly Placed[]): number[] {
    const { size, session, lengthInputs } = this.#decoder;
    const { prefillTokens, batch } = size;
    const tokens = placed.flatMap((prompt) =>
      prompt.text.slice(prompt.shared).map((id, i) => ({ id, position: prompt.shared + i, prompt })),
    );
    const found: number[] = [];
    for (let from = 0; from < tokens.length; from += prefillTokens) {
      const part = tokens.slice(from, from + prefillTokens);
      const firstSlot = placed[0]!.start + from;
      const ends = part.flatMap(({ position, prompt }, i) => (position === prompt.length - 1 ? [i] : []));
      const ofTokens = (padding: number, value: (token: (typeof part)[number]) => number) => {
        const values = new Float32Array(prefillTokens).fill(padding);
        values.set(part.map(value));
        return values;
      };
      const ids = new Int32Array(prefillTokens);
      ids.set(part.map(({ id }) => id));
      const last = new Int32Array(batch);
      last.set(ends);
      const lengths = Array.from({ length: prefillTokens }, (_, i) => part[i]?.prompt.length ?? 1);
      const endingRows = Array.from({ length: batch }, (_, i) => part[ends[i] ?? -1]?.prompt.row ?? null);
      const { next } = session.run(`prefill${waySuffix[this.#way]}`, {
        ids,
        last,
        firstSlot: Int32Array.of(firstSlot),
        positions: ofTokens(0, ({ position }) => position),
        shared: ofTokens(0, ({ prompt }) => prompt.shared),
        // Padding sees what is padded before it.
        start: ofTokens(firstSlot + part.length, ({ prompt }) => prompt.start),
        tasks: new Int32Array(prefillTokens).fill(this.#task),
        adapters: Int32Array.from(lengths, (_, i) => part[i]?.prompt.adapter ?? 0),
        ...lengthInputs(lengths),
        ...drawFeeds(this.#way, endingRows, { ...this.#draw, steps: 1 }),
      });
      ends.forEach((_, i) => found.push(next![i]!));
    }
    return found;
  }

  /** A row is needed no more, or the prompt that would become it. */
  leave(row: number): void {
    this.#lengths[row] = 0;
    this.#prompts = this.#prompts.filter((prompt) => prompt.row !== row);
  }

  /** Puts prompts into their rows, and what was decoded since the last join behind the past. */
  join(): void {
    const { size, session, keyValueHeads } = this.#decoder;
    const { batch, pastSlots, recentSlots, promptSlots } = size;
    const lengths = this.#lengths.map((length) => (length > 0 ? length + this.#recent : 0));
    for (const { row, length, adapter } of this.#prompts) {
      lengths[row] = length;
      this.#adapters[row] = adapter;
    }
    const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
    const slots = pastSlots.find((count) => count >= longest);
    if (slots === undefined) throw new Error(`a text of ${longest} tokens is longer than was foreseen`);
    const recentBegin = batch * keyValueHeads * this.#past;
    const promptBegin = recentBegin + batch * keyValueHeads * recentSlots;
    // Slots that hold nothing get some finite number: the first.
    const indices = new Int32Array(batch * keyValueHeads * slots);
    const copy = (to: number, from: number, count: number) => {
      for (let i = 0; i < count; i++) indices[to + i] = from + i;
    };
    for (let row = 0; row < batch; row++) {
      const prompt = this.#prompts.find((candidate) => candidate.row === row);
      const kept = this.#lengths[row]!;
      for (let head = 0; head < keyValueHeads; head++) {
        const at = row * keyValueHeads + head;
        const to = at * slots;
        if (prompt) {
          const { shared, start, length } = prompt;
          const from = promptBegin + head * promptSlots;
          copy(to, from, shared);
          copy(to + shared, from + start, length - shared);
        } else if (kept > 0) {
          copy(to, at * this.#past, kept);
          copy(to + kept, recentBegin + at * recentSlots, this.#recent);
        }
      }
    }
    session.run('join', { indices });
    lengths.forEach((length, row) => (this.#lengths[row] = length));
    this.#past = slots;
    this.#recent = 0;
    this.#used = this.#first.length;
    this.#prompts = [];
  }

  /** Whether `step` has room for as many tokens as a call can compute. */
  get hasRoomForSeveral(): boolean {
    return this.#recent + this.#decoder.tokensPerCall <= this.#decoder.size.recentSlots;
  }

  /**
   * Computes one more token of every row, or as many as a call can.
   * @param ids of each row, its last; null: the row holds nothing
   * @returns what each row is continued by; what stands behind a row's end is of no use, and gone when the row leaves
   */
  step(ids: readonly (number | null)[], isOfSeveral = false): (row: number) => number[] {
    const { session, size, lengthInputs, tokensPerCall } = this.#decoder;
    const tokens = isOfSeveral ? tokensPerCall : 1;
    const slot = this.#recent;
    this.#recent += tokens;
    const rows = ids.map((id, row) => (id === null ? null : row));
    const call = `decode${this.#past}${isOfSeveral ? 'Several' : ''}${waySuffix[this.#way]}`;
    const { next } = session.run(call, {
      ids: Int32Array.from(ids, (id) => id ?? 0),
      lengths: Float32Array.from(this.#lengths),
      slot: Int32Array.of(slot),
      tasks: new Int32Array(size.batch).fill(this.#task),
      adapters: Int32Array.from(this.#adapters),
      ...lengthInputs(this.#lengths.map((length) => length + slot + 1)),
      ...drawFeeds(this.#way, rows, { ...this.#draw, steps: tokens }),
    });
    return (row) => Array.from({ length: tokens }, (_, i) => next![i * size.batch + row]!);
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}
