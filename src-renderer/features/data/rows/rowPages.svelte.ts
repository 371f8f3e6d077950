import { SvelteMap } from 'svelte/reactivity';
import { toPlainError, type PlainError } from '../../../../src-main/contract/errors.ts';

/** So many rows are asked for at once. */
const pageRows = 100;
/** So many pages are kept: what lies far from the rows in sight goes first. */
const mostPages = 40;

/** Asks for rows of a list. @returns the length of the list, and its rows from `offset` on */
export type AskRows<T> = (range: {
  offset: number;
  limit: number;
}) => Promise<{ total: number; rows: readonly T[] }>;

/** The rows of a long list that are in sight or were: page by page, as one scrolls. */
export class RowPages<T> {
  total: number | null = $state(null);
  error: PlainError | null = $state.raw(null);
  readonly #pages = new SvelteMap<number, readonly T[]>();
  readonly #ask: AskRows<T>;
  #wanted: number[] = [];
  #isAsking = false;
  /** Answers to what was asked before a change are dropped. */
  #version = 0;

  constructor(ask: AskRows<T>) {
    this.#ask = ask;
  }

  /** Undefined until it has arrived. */
  row(index: number): T | undefined {
    return this.#pages.get(Math.floor(index / pageRows))?.[index % pageRows];
  }

  /** Asks for the rows from `start` to before `end`, where they are not there. */
  want(start: number, end: number): void {
    const first = Math.floor(start / pageRows);
    const last = Math.floor(Math.max(start, end - 1) / pageRows);
    this.#wanted = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    void this.#work();
  }

  /** Asks anew for what is in sight: rows were changed. Until the answer the old ones stay. */
  async refresh(): Promise<void> {
    this.#version++;
    const shown = this.#wanted.filter((page) => this.#pages.has(page));
    for (const page of [...this.#pages.keys()]) if (!shown.includes(page)) this.#pages.delete(page);
    for (const page of shown) await this.#load(page);
    void this.#work();
  }

  /** One page after the other, and always the one that is wanted now: scrolling fast asks for nothing on the way. */
  async #work(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      for (;;) {
        const page = this.#wanted.find((one) => !this.#pages.has(one));
        if (page === undefined || !(await this.#load(page))) return;
      }
    } finally {
      this.#isAsking = false;
    }
  }

  async #load(page: number): Promise<boolean> {
    const version = this.#version;
    try {
      const { total, rows } = await this.#ask({ offset: page * pageRows, limit: pageRows });
      if (version !== this.#version) return true;
      this.total = total;
      this.error = null;
      this.#pages.set(page, rows);
      this.#forget(page);
      return true;
    } catch (thrown) {
      this.error = toPlainError(thrown);
      return false;
    }
  }

  #forget(around: number): void {
    if (this.#pages.size <= mostPages) return;
    const far = [...this.#pages.keys()].sort((a, b) => Math.abs(b - around) - Math.abs(a - around));
    for (const page of far.slice(0, this.#pages.size - mostPages)) this.#pages.delete(page);
  }
}
