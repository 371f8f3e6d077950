import { toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import type { MixCount } from '../../../src-main/contract/mixing/mixes.ts';
import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import type { StudioClient } from '../../rpc/client.ts';

export type CountInput = ProcedureInput<'mixes.count'>;

/** What is to be counted. */
export interface CountAsk {
  input: CountInput;
  /** What decides the tokens of the sources: while it stays, work under way on them is of use. */
  tokensKey: string;
  /** What else decides the answer: the sources as they are in the library. */
  version: string;
}

/** A change that rests so long is counted: a drag asks some times a second. */
const restMs = 60;

/**
 * The count of a mix, anew whenever it changes. A change of shares while sources are tokenized waits for them, for they
 * are tokenized once; a change of sources or model ends that work. To be called where a component is made; work goes on
 * when the page is left, and what it found is kept by the core.
 */
export function createCounting(client: StudioClient, ask: () => CountAsk | null) {
  let count = $state.raw<MixCount | null>(null);
  let answered = $state.raw<CountInput | null>(null);
  let error = $state.raw<PlainError | null>(null);
  let isBusy = $state(false);
  let isStopped = $state(false);
  let wanted: CountAsk | null = null;
  let running: { ask: CountAsk; controller: AbortController } | null = null;

  async function run(): Promise<void> {
    while (wanted && !running) {
      const own = (running = { ask: wanted, controller: new AbortController() });
      wanted = null;
      isBusy = true;
      isStopped = false;
      try {
        const found = await client.call('mixes.count', own.ask.input, { signal: own.controller.signal });
        [count, answered, error] = [found, own.ask.input, null];
      } catch (thrown) {
        const problem = toPlainError(thrown);
        if (problem.code === 'cancelled' || own.controller.signal.aborted) isStopped = wanted === null;
        else error = problem;
      }
      running = null;
    }
    isBusy = false;
  }

  let known = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  $effect(() => {
    const next = ask();
    const key = next && JSON.stringify(next);
    if (next === null || key === null) {
      [known, wanted, error] = ['', null, null];
      clearTimeout(timer);
      running?.controller.abort();
      count = null;
      return;
    }
    if (key === known) return;
    const isFirst = known === '';
    known = key;
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        wanted = next;
        if (running && running.ask.tokensKey !== next.tokensKey) running.controller.abort();
        void run();
      },
      isFirst ? 0 : restMs,
    );
  });

  return {
    get count() {
      return count;
    },
    /** What the count answers; null: nothing was counted. */
    get answered() {
      return answered;
    },
    get error() {
      return error;
    },
    get isBusy() {
      return isBusy;
    },
    /** A person has ended the work: it goes on with the next change, or when asked to. */
    get isStopped() {
      return isStopped;
    },
    cancel() {
      wanted = null;
      running?.controller.abort();
    },
    again() {
      wanted = ask();
      void run();
    },
  };
}

export type Counting = ReturnType<typeof createCounting>;
