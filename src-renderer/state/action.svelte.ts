import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';

/**
 * Work that a person asks for: whether it is under way, and what it failed with. Kept by a component it ends with the
 * page; kept by a module or a context it goes on when the page is left.
 */
export class Action {
  isBusy = $state(false);
  // Not a state: work that begins in an effect would begin it again.
  #running = 0;
  #controller = new AbortController();
  error: PlainError | null = $state.raw(null);
  /** What did not succeed, as the title of the error. */
  title = $state('');

  /** @returns whether it was done: not where it failed or was cancelled. */
  async run(title: string, work: (signal: AbortSignal) => unknown): Promise<boolean> {
    const controller = new AbortController();
    this.#controller = controller;
    this.#running++;
    this.isBusy = true;
    this.error = null;
    try {
      await work(controller.signal);
      return true;
    } catch (thrown) {
      const error = toPlainError(thrown);
      if (error.code !== 'cancelled') [this.error, this.title] = [error, title];
      return false;
    } finally {
      this.isBusy = --this.#running > 0;
    }
  }

  cancel(): void {
    this.#controller.abort();
  }
}

/**
 * The answer to what `ask` asks, anew whenever what it reads changes; the answer to an older question is dropped. To be
 * called where a component is made. @param ask null: nothing is asked, and the last answer stays
 */
export function createAnswer<T>(ask: () => Promise<T> | null): {
  readonly value: T | null;
  readonly error: PlainError | null;
} {
  let value = $state.raw<T | null>(null);
  let error = $state.raw<PlainError | null>(null);
  $effect(() => {
    let isCurrent = true;
    ask()?.then(
      (found) => {
        if (isCurrent) [value, error] = [found, null];
      },
      (thrown: unknown) => {
        if (isCurrent) error = toPlainError(thrown);
      },
    );
    return () => (isCurrent = false);
  });
  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
  };
}

/** Does what `watched` gives when what it reads has rested; the first time at once. Called as createAnswer is. */
export function whenRested(restMs: number, watched: () => () => unknown): void {
  let isFirst = true;
  $effect(() => {
    const work = watched();
    const timer = setTimeout(work, isFirst ? 0 : restMs);
    isFirst = false;
    return () => clearTimeout(timer);
  });
}
