import type { Random } from '../../statistics/random.ts';
import type { Tokenizer } from '../../formats/model/tokenizer.ts';
import type { GeneratedRow } from '../protocol.ts';

/** By what an answer ends. */
export interface EndRules {
  tokenizer: Pick<Tokenizer, 'decode'>;
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
  /** The number of the adapter that continues it (adapterColumns.ts). */
  readonly adapter: number;
  readonly ids: number[] = [];
  #end: GeneratedRow['end'] | null = null;
  readonly #rules: EndRules;
  readonly #search: StopSearch;

  /** @param random draws the tokens, where they are drawn */
  constructor(prompt: readonly number[], rules: EndRules, random: Random, adapter = 0) {
    this.prompt = prompt;
    this.random = random;
    this.adapter = adapter;
    this.#rules = rules;
    this.#search = new StopSearch(rules, prompt);
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  /** Tokens of prompt and answer. */
  get length(): number {
    return this.prompt.length + this.ids.length;
  }

  /** Tokens that may still follow. */
  get room(): number {
    const { maxTokens, contextLength } = this.#rules;
    return Math.min(maxTokens - this.ids.length, contextLength - this.length);
  }

  push(id: number): void {
    const { endIds, maxTokens, contextLength, stop } = this.#rules;
    if (endIds.has(id)) {
      this.#end = 'end_id';
      return;
    }
    this.ids.push(id);
    if (this.#search.push(id) && firstOf(this.#text(), stop) >= 0) this.#end = 'stop';
    else if (this.ids.length >= maxTokens) this.#end = 'length';
    else if (this.length >= contextLength) this.#end = 'context';
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

  /** The text so far, as far as what follows cannot change it: no half character, no begin of a stop string. */
  settledText(): string {
    if (this.ended) return this.result().text;
    const text = this.#text().replace(/\uFFFD+$/u, '');
    const open = this.#rules.stop.map((stop) => {
      let length = Math.min(stop.length - 1, text.length);
      while (length > 0 && !text.endsWith(stop.slice(0, length))) length--;
      return length;
    });
    return text.slice(0, text.length - open.reduce((most, length) => Math.max(most, length), 0));
  }

  /** Decoded as a whole: a token's text can depend on its neighbours (bytes of one character, leading spaces). */
  #text(): string {
    return continuation(this.#rules.tokenizer, this.prompt, this.ids);
  }
}

/** Looks for stop strings in a text that grows token by token; what has been looked through is not decoded again. */
class StopSearch {
  readonly #tokenizer: EndRules['tokenizer'];
  readonly #stop: readonly string[];
  /** Letters before the newest token that may begin a stop string. */
  readonly #reach: number;
  /** The last letters that were looked through. */
  #tail = '';
  /** The last tokens whose text is final, and that text: the others are decoded behind them. */
  #known: number[];
  #knownText: string;
  /** Tokens whose text is not final: they end amid a character. */
  #open: number[] = [];

  constructor({ tokenizer, stop }: EndRules, prompt: readonly number[]) {
    this.#tokenizer = tokenizer;
    this.#stop = stop;
    this.#reach = stop.reduce((most, { length }) => Math.max(most, length), 1) - 1;
    this.#known = prompt.slice(-contextTokens);
    this.#knownText = stop.length > 0 ? tokenizer.decode(this.#known) : '';
  }

  /** @returns whether a stop string ends in the newest letters */
  push(id: number): boolean {
    if (this.#stop.length === 0) return false;
    this.#open.push(id);
    const all = [...this.#known, ...this.#open];
    const text = this.#tokenizer.decode(all);
    const added = text.startsWith(this.#knownText)
      ? text.slice(this.#knownText.length)
      : this.#tokenizer.decode(this.#open);
    const searched = this.#tail + added;
    if (!added.endsWith('\uFFFD') || this.#open.length >= bytesOfCharacter) {
      this.#tail = this.#reach > 0 ? searched.slice(-this.#reach) : '';
      this.#known = all.slice(-contextTokens);
      this.#knownText = this.#tokenizer.decode(this.#known);
      this.#open = [];
    }
    return firstOf(searched, this.#stop) >= 0;
  }
}

/** A character has so many bytes at most, each of which may be a token. */
const bytesOfCharacter = 4;

/** So many tokens before others decide how those are decoded. */
const contextTokens = 8;

/** Text that `ids` add behind others: a decoder may drop the leading space of a text that stands alone. */
function continuation(
  tokenizer: EndRules['tokenizer'],
  others: readonly number[],
  ids: readonly number[],
): string {
  const tail = others.slice(-contextTokens);
  const before = tokenizer.decode(tail);
  const all = tokenizer.decode([...tail, ...ids]);
  return all.startsWith(before) ? all.slice(before.length) : tokenizer.decode(ids);
}

function firstOf(text: string, stop: readonly string[]): number {
  const places = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
  return places.length === 0 ? -1 : places.reduce((least, place) => Math.min(least, place));
}
