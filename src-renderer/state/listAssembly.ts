import type { ListSlice } from '../../src-main/contract/listSlices.ts';

export interface Entry {
  id: string;
  /** ISO 8601 in UTC. */
  createdAt: string;
}

/**
 * A list of the core, newest first, put together from slices. Events that come meanwhile are newer than what a slice
 * says of the same entry.
 */
export class ListAssembly<T extends Entry> {
  /**
   * What is here: of a list that is not whole the newest, and older ones that were asked for by name. Replaced, never
   * changed.
   */
  entries: readonly T[] = [];
  /** How many there are, with those on their way. */
  total = 0;
  isWhole = false;

  readonly #ownerOf: (entry: T) => string | null;
  #slices: T[] = [];
  /** What was there before this load: stays in sight until slices have passed it. */
  #before: readonly T[] = [];
  /** What events said during this load, by id. */
  readonly #told = new Map<string, T>();
  /** Runs that were removed during this load. */
  readonly #gone = new Set<string>();

  /** @param ownerOf the run with which an entry is removed */
  constructor(ownerOf: (entry: T) => string | null) {
    this.#ownerOf = ownerOf;
  }

  /**
   * Loads the list anew, from its first slice.
   * @param options.isSame whether it is still the list of the same project: then nothing that is shown vanishes
   * meanwhile
   */
  begin(first: ListSlice<T>, { isSame }: { isSame: boolean }): void {
    this.#forgetLoad();
    this.#before = isSame ? this.entries : [];
    this.isWhole = false;
    this.entries = [];
    this.add(first);
  }

  /** Takes the next slice. */
  add({ entries, total, next }: ListSlice<T>): void {
    for (const entry of entries) this.#slices.push(entry);
    // Each time that the list is shown anew the page searches, sorts and counts it: so it grows in a few steps.
    const isDue = this.entries.length === 0 || this.#slices.length >= 4 * this.entries.length;
    if (next === null || isDue) this.entries = this.#assembled(next?.createdAt ?? null);
    this.isWhole = next === null;
    this.#count(total);
    if (this.isWhole) this.#forgetLoad();
  }

  /** Takes an entry as it is now. */
  put(entry: T): void {
    if (!this.isWhole) this.#told.set(entry.id, entry);
    const at = this.entries.findIndex(({ id }) => id === entry.id);
    this.entries =
      at >= 0
        ? [...this.entries.slice(0, at), entry, ...this.entries.slice(at + 1)]
        : inOrder([entry, ...this.entries]);
    this.#count(this.total);
  }

  /** Takes a run's entries away. */
  removeOf(runId: string): void {
    if (!this.isWhole) this.#gone.add(runId);
    for (const [id, entry] of this.#told) if (this.#ownerOf(entry) === runId) this.#told.delete(id);
    this.entries = this.entries.filter((entry) => this.#ownerOf(entry) !== runId);
    this.#count(this.total);
  }

  /** @param oldest time of the last slice; null: there is none older */
  #assembled(oldest: string | null): readonly T[] {
    const isOld = (entry: T) => !this.#told.has(entry.id) && !this.#gone.has(this.#ownerOf(entry) ?? '');
    const loaded = this.#slices.filter(isOld);
    const known = new Set(loaded.map(({ id }) => id));
    const notPassed = (entry: T) => oldest !== null && entry.createdAt <= oldest && !known.has(entry.id);
    const before = this.#before.filter((entry) => isOld(entry) && notPassed(entry));
    return inOrder([...this.#told.values(), ...loaded, ...before]);
  }

  #count(total: number): void {
    this.total = this.isWhole ? this.entries.length : Math.max(total, this.entries.length);
  }

  #forgetLoad(): void {
    this.#slices = [];
    this.#before = [];
    this.#told.clear();
    this.#gone.clear();
  }
}

/** Newest first; entries of the same time stay as they stand. */
function inOrder<T extends Entry>(entries: T[]): T[] {
  return entries.sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
}
