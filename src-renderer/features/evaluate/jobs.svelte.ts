import { getContext, setContext } from 'svelte';
import type { ComparisonOutcome } from '../../../src-main/contract/evaluation/comparison.ts';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { Evaluation } from '../../../src-main/contract/results.ts';
import type { ProcedureInput, ProcedureOutput } from '../../../src-main/contract/procedures.ts';
import { Action } from '../../state/action.svelte.ts';
import type { Studio } from '../../state/studio.svelte.ts';

export type JobKind = 'evaluate' | 'compare' | 'guards';
export interface ComparisonResult {
  input: ProcedureInput<'evaluations.compare'>;
  outcome: ComparisonOutcome;
}

export interface GuardsResult {
  input: ProcedureInput<'guards.check'>;
  report: ProcedureOutput<'guards.check'>;
}

/** Work on the Evaluate page, kept apart from it so that it goes on when the page is left. */
export class Jobs {
  readonly #studio: Studio;
  readonly action = new Action();
  /** What was worked on last. */
  of: JobKind | null = $state(null);
  result: ComparisonResult | null = $state.raw(null);
  guards: GuardsResult | null = $state.raw(null);
  /** The evaluation that was made last. */
  latest: Evaluation | null = $state.raw(null);
  /** Ids of what was scored together last, in its order. */
  made: readonly string[] = $state.raw([]);

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  /** What is being worked on; null: nothing. */
  get busy(): JobKind | null {
    return this.action.isBusy ? this.of : null;
  }

  evaluate(input: ProcedureInput<'evaluations.start'>): Promise<void> {
    return this.#work('evaluate', 'The evaluation was not made.', async (signal) => {
      this.latest = await this.#studio.client.call('evaluations.start', input, { signal });
    });
  }

  /** One after another: each that is done stays, also where a later one fails or is cancelled. */
  evaluateAll(inputs: readonly ProcedureInput<'evaluations.start'>[]): Promise<void> {
    return this.#work('evaluate', 'An evaluation was not made.', async (signal) => {
      this.made = [];
      for (const input of inputs) {
        this.latest = await this.#studio.client.call('evaluations.start', input, { signal });
        this.made = [...this.made, this.latest.id];
      }
    });
  }

  compare(input: ProcedureInput<'evaluations.compare'>): Promise<void> {
    return this.#work('compare', 'The comparison was not made.', async (signal) => {
      this.result = null;
      const outcome = await this.#studio.client.call('evaluations.compare', input, { signal });
      this.result = { input, outcome };
    });
  }

  checkGuards(input: ProcedureInput<'guards.check'>): Promise<void> {
    return this.#work('guards', 'The guards were not checked.', async (signal) => {
      this.guards = null;
      const report = await this.#studio.client.call('guards.check', input, { signal });
      this.guards = { input, report };
    });
  }

  async #work(of: JobKind, title: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.of = of;
    await this.action.run(title, work);
  }
}

/** Whether a run has an adapter that can be scored: one without a checkpoint has none. */
export function scorable({ state, resumable, resumesAnew }: Run): boolean {
  return state === 'done' || (resumable && !resumesAnew && state !== 'running');
}

const key = Symbol('jobs');

export function provideJobs(jobs: Jobs): void {
  setContext(key, jobs);
}

export function useJobs(): Jobs {
  return getContext<Jobs>(key);
}
