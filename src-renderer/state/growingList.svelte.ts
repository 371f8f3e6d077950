import type { ListPlace, ListSlice } from '../../src-main/contract/listSlices.ts';
import { ListAssembly, type Entry } from './listAssembly.ts';

/** How much of a list is here, where that is not all of it. */
export interface ListPart {
  here: number;
  total: number;
}

/**
 * A long list of the core, newest first, as a page sees it: its first slice at once, the others come in the background.
 */
export class GrowingList<T extends Entry> {
  /** What is here: of a list that is not whole the newest, and older ones that were asked for by name. */
  entries: readonly T[] = $state.raw([]);
  /** How many there are, with those on their way. */
  total = $state(0);
  isWhole = $state(false);
  /** Counts loads, and what events have changed: what the core derives from the list may be another now. */
  version = $state(0);
  readonly #list: ListAssembly<T>;

  /** @param ownerOf the run with which an entry is removed */
  constructor(ownerOf: (entry: T) => string | null) {
    this.#list = new ListAssembly(ownerOf);
  }

  /** How much is here; null: all. */
  get part(): ListPart | null {
    const here = this.entries.length;
    return !this.isWhole && here < this.total ? { here, total: this.total } : null;
  }

  /** As ListAssembly.begin. */
  begin(first: ListSlice<T>, options: { isSame: boolean }): void {
    this.#list.begin(first, options);
    this.version++;
    this.#show();
  }

  /** Takes the next slice. */
  add(slice: ListSlice<T>): void {
    this.#list.add(slice);
    this.#show();
  }

  /** Takes an entry as it is now. */
  put(entry: T): void {
    this.#list.put(entry);
    this.version++;
    this.#show();
  }

  /** Takes a run's entries away. */
  removeOf(runId: string): void {
    this.#list.removeOf(runId);
    this.version++;
    this.#show();
  }

  #show(): void {
    const { entries, total, isWhole } = this.#list;
    [this.entries, this.total, this.isWhole] = [entries, total, isWhole];
  }
}

/** A core that could not be reached is asked again after so long. */
const retryAfterMs = 1000;

/**
 * Adds the other slices, one after the other, until the list is whole or another load of it has begun, whose slices are
 * newer.
 * @param options.onProblem is told why a slice cannot be had, and null once it could
 */
export async function loadRest<T extends Entry>(
  list: GrowingList<T>,
  options: {
    next: ListPlace | null;
    read: (after: ListPlace) => Promise<ListSlice<T>>;
    isLatest: () => boolean;
    onProblem: (error: unknown) => void;
  },
): Promise<void> {
  let { next } = options;
  let hasFailed = false;
  while (next !== null) {
    try {
      const slice = await options.read(next);
      if (!options.isLatest()) return;
      list.add(slice);
      next = slice.next;
      if (hasFailed) options.onProblem(null);
      hasFailed = false;
    } catch (error) {
      // A connection that comes back without a gap in its events loads nothing anew: this goes on where it was.
      if (!options.isLatest()) return;
      options.onProblem(error);
      hasFailed = true;
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }
}
