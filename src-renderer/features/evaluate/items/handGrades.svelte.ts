import type {
  Override,
  OverrideGrade,
  Overrides,
} from '../../../../src-main/contract/evaluation/overrides.ts';
import { Action } from '../../../state/action.svelte.ts';
import type { Studio } from '../../../state/studio.svelte.ts';

/** What a person says of answers: the grades given by hand of the evaluations that a page shows. */
export class HandGrades {
  readonly #studio: Studio;
  readonly action = new Action();
  #known: Readonly<Record<string, Overrides>> = $state.raw({});
  /** Raised with each change: verdicts are told anew. */
  changes = $state(0);

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  load(evaluations: readonly string[]): Promise<boolean> {
    return this.action.run('Your grades could not be read.', async (signal) => {
      for (const evaluation of evaluations)
        this.#set(evaluation, await this.#studio.client.call('overrides.list', { evaluation }, { signal }));
    });
  }

  of(evaluation: string): Overrides | undefined {
    return this.#known[evaluation];
  }

  current(evaluation: string, item: string): Override | undefined {
    return this.of(evaluation)?.current.find((one) => one.item === item);
  }

  /** The newest first, with what was taken back. */
  history(evaluation: string, item: string): Override[] {
    return this.of(evaluation)?.history.filter((one) => one.item === item) ?? [];
  }

  keep(
    evaluation: string,
    said: { item: string; grade: OverrideGrade | null; comment: string; seen: Override['seen'] },
  ): Promise<boolean> {
    return this.action.run('Your grade was not kept.', async (signal) => {
      this.#set(
        evaluation,
        await this.#studio.client.call('overrides.keep', { evaluation, ...said }, { signal }),
      );
      this.changes++;
    });
  }

  undo(evaluation: string, item: string): Promise<boolean> {
    return this.action.run('Your grade was not taken back.', async (signal) => {
      this.#set(
        evaluation,
        await this.#studio.client.call('overrides.undo', { evaluation, item }, { signal }),
      );
      this.changes++;
    });
  }

  #set(evaluation: string, found: Overrides): void {
    this.#known = { ...this.#known, [evaluation]: found };
  }
}
