import { getContext, setContext } from 'svelte';
import type { Comparison, Evaluation } from '../../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import type { Studio } from '../../state/studio.svelte.ts';

export interface ComparisonResult {
  input: ProcedureInput<'evaluations.compare'>;
  evaluations: Evaluation[];
  comparison: Comparison;
}

/** Work on the Evaluate page, kept apart from it so that it goes on when the page is left. */
export class Jobs {
  readonly #studio: Studio;
  /** What is being worked on; null: nothing. */
  busy: 'evaluate' | 'compare' | null = $state(null);
  error: { of: 'evaluate' | 'compare'; error: PlainError } | null = $state.raw(null);
  result: ComparisonResult | null = $state.raw(null);
  /** The evaluation that was made last. */
  latest: Evaluation | null = $state.raw(null);
  #controller = new AbortController();

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  async evaluate(input: ProcedureInput<'evaluations.start'>): Promise<void> {
    await this.#work('evaluate', async (signal) => {
      this.latest = await this.#studio.client.call('evaluations.start', input, { signal });
    });
  }

  async compare(input: ProcedureInput<'evaluations.compare'>): Promise<void> {
    await this.#work('compare', async (signal) => {
      this.result = null;
      const { evaluations, comparisons } = await this.#studio.client.call('evaluations.compare', input, {
        signal,
      });
      this.result = { input, evaluations, comparison: comparisons[0]! };
    });
  }

  cancel(): void {
    this.#controller.abort();
  }

  async #work(of: 'evaluate' | 'compare', work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.#controller = new AbortController();
    this.busy = of;
    this.error = null;
    try {
      await work(this.#controller.signal);
    } catch (thrown) {
      const error = toPlainError(thrown);
      if (error.code !== 'cancelled') this.error = { of, error };
    } finally {
      this.busy = null;
      for (const task of this.#studio.progress.keys())
        if (task.startsWith('evaluation ')) this.#studio.progress.delete(task);
    }
  }
}

const key = Symbol('jobs');

export function provideJobs(jobs: Jobs): void {
  setContext(key, jobs);
}

export function useJobs(): Jobs {
  return getContext<Jobs>(key);
}
