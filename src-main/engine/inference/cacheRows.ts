import type { Decoder } from './decodingGraph.ts';

/** What a call tells of each of its rows: the most likely token, or the logits of all. */
type Foreseen = (row: number) => { next: number } | { logits: Float32Array };

/** A prompt that has been computed, beside the rows that are being decoded. */
interface Prompt {
  row: number;
  /** So many of its tokens stand at the first slots, where other prompts have the same. */
  shared: number;
  /** Where the others stand. */
  start: number;
  length: number;
}

/**
 * Which text each row of a decoder's cache holds, and where. Prompts are computed one by one (`prefill`) and become
 * rows together (`join`), since a join copies what all rows have. What a prompt begins with is not computed again where
 * the one at the first slots begins likewise.
 */
export class CacheRows {
  readonly #decoder: Decoder;
  readonly #task: number;
  readonly #suffix: '' | 'Logits';
  /** Of each row, the tokens that are in the past. */
  readonly #lengths: number[];
  /** Slots of the past. */
  #past: number;
  /** Used slots of the recent part. */
  #recent = 0;
  /** The text at the first slots of the prompts' part. */
  #first: readonly number[] = [];
  /** Used slots of it. */
  #used = 0;
  #prompts: Prompt[] = [];

  /** Makes the decoder's cache. @param isDrawn whether logits are needed */
  constructor(decoder: Decoder, { task, isDrawn }: { task: number; isDrawn: boolean }) {
    this.#decoder = decoder;
    this.#task = task;
    this.#suffix = isDrawn ? 'Logits' : '';
    this.#lengths = Array.from({ length: decoder.size.batch }, () => 0);
    this.#past = decoder.size.pastSlots[0]!;
    decoder.session.run('clear', {});
  }

  /** Whether a step needs a join before it. */
  get isFull(): boolean {
    return this.#recent === this.#decoder.size.recentSlots;
  }

  /** Computes a text for a row, which it becomes at the next join. @returns what follows the text, as row 0 */
  prefill(row: number, text: readonly number[]): Foreseen {
    const { size, session, lengthInputs, dependsOnLength } = this.#decoder;
    const { prefillTokens, promptSlots } = size;
    // The last token is computed in any case: what follows it is asked for.
    const known = dependsOnLength ? 0 : Math.min(commonLength(this.#first, text), text.length - 1);
    const calls = Math.ceil((text.length - known) / prefillTokens);
    if (this.#prompts.length > 0 && this.#used + calls * prefillTokens > promptSlots) this.join();
    const isFirst = this.#prompts.length === 0;
    const start = isFirst ? known : this.#used;
    if (isFirst) this.#first = text;
    this.#used = start + text.length - known;
    let out: Record<string, Float32Array | Int32Array> = {};
    for (let call = 0; call < calls; call++) {
      const from = known + call * prefillTokens;
      const ids = new Int32Array(prefillTokens);
      ids.set(text.slice(from, from + prefillTokens));
      out = session.run(`prefill${this.#suffix}`, {
        ids,
        firstSlot: Int32Array.of(start + call * prefillTokens),
        shared: Int32Array.of(known),
        start: Int32Array.of(start),
        last: Int32Array.of(Math.min(prefillTokens, text.length - from) - 1),
        tasks: new Int32Array(prefillTokens).fill(this.#task),
        ...lengthInputs([text.length]),
      });
    }
    this.#prompts.push({ row, shared: known, start, length: text.length });
    return this.#foreseen(out, 1);
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
    for (const { row, length } of this.#prompts) lengths[row] = length;
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
    const { session, size, lengthInputs } = this.#decoder;
    const slot = this.#recent++;
    const out = session.run(`decode${this.#past}${this.#suffix}`, {
      ids,
      lengths: Float32Array.from(this.#lengths),
      slot: Int32Array.of(slot),
      tasks: new Int32Array(size.batch).fill(this.#task),
      ...lengthInputs(this.#lengths.map((length) => length + slot + 1)),
    });
    return this.#foreseen(out, size.batch);
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
