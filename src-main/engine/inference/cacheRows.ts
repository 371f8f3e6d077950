import type { Decoder } from './decodingGraph.ts';

/** What a call tells of each of its rows: the most likely token, or the logits of all. */
type Foreseen = (row: number) => { next: number } | { logits: Float32Array };

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
  readonly #suffix: '' | 'Logits';
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

  /** Makes the decoder's cache. @param isDrawn whether logits are needed */
  constructor(decoder: Decoder, { task, isDrawn }: { task: number; isDrawn: boolean }) {
    this.#decoder = decoder;
    this.#task = task;
    this.#suffix = isDrawn ? 'Logits' : '';
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
   * @returns what follows each text, as row 0
   */
  prefill(asked: readonly { row: number; text: readonly number[]; adapter?: number }[]): Foreseen[] {
    const { promptSlots, prefillTokens } = this.#decoder.size;
    const found: Foreseen[] = [];
    let placed: Placed[] = [];
    for (const { row, text, adapter = 0 } of asked) {
      const room = promptSlots - prefillTokens - this.#used;
      if (this.#prompts.length > 0 && text.length - this.#knownOf(text, adapter) > room) {
        for (const foreseen of this.#compute(placed)) found.push(foreseen);
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
  #compute(placed: readonly Placed[]): Foreseen[] {
    const { size, session, lengthInputs } = this.#decoder;
    const { prefillTokens, batch } = size;
    const tokens = placed.flatMap((prompt) =>
      prompt.text.slice(prompt.shared).map((id, i) => ({ id, position: prompt.shared + i, prompt })),
    );
    const found: Foreseen[] = [];
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
      const out = session.run(`prefill${this.#suffix}`, {
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
      });
      const foreseen = this.#foreseen(out, batch);
      ends.forEach((_, i) => found.push(() => foreseen(i)));
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

  /** Computes one more token of every row. @param ids of each row; those of rows that hold nothing are not read */
  step(ids: Int32Array): Foreseen {
    return this.#foreseen(this.#decode(ids, this.#suffix, 1), this.#decoder.size.batch);
  }

  /** Whether `steps` has room before a join. */
  get hasRoomForSteps(): boolean {
    return this.#recent + this.#decoder.tokensPerCall <= this.#decoder.size.recentSlots;
  }

  /**
   * Computes as many tokens of every row as one call can, each the most likely one. @returns what each row is continued
   * by; what stands behind a row's end is of no use, and gone when the row leaves
   */
  steps(ids: Int32Array): (row: number) => number[] {
    const { tokensPerCall, size } = this.#decoder;
    const next = this.#decode(ids, 'Several', tokensPerCall).next!;
    return (row) => Array.from({ length: tokensPerCall }, (_, step) => next[step * size.batch + row]!);
  }

  #decode(ids: Int32Array, suffix: string, tokens: number) {
    const { session, size, lengthInputs } = this.#decoder;
    const slot = this.#recent;
    this.#recent += tokens;
    return session.run(`decode${this.#past}${suffix}`, {
      ids,
      lengths: Float32Array.from(this.#lengths),
      slot: Int32Array.of(slot),
      tasks: new Int32Array(size.batch).fill(this.#task),
      adapters: Int32Array.from(this.#adapters),
      ...lengthInputs(this.#lengths.map((length) => length + slot + 1)),
    });
  }

  #foreseen(out: Readonly<Record<string, Float32Array | Int32Array>>, rows: number): Foreseen {
    const { next, logits } = out;
    if (next) return (row) => ({ next: next[row]! });
    const vocabulary = logits!.length / rows;
    return (row) => ({
      logits: logits!.subarray(row * vocabulary, (row + 1) * vocabulary) as Float32Array,
    });
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}
