import { getContext, setContext } from 'svelte';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { ScoringEntry, ScoringKind } from '../../../src-main/contract/evaluation/scoring.ts';
import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import { Action } from '../../state/action.svelte.ts';
import type { Progress, Studio } from '../../state/studio.svelte.ts';
import { duration } from '../../ui/format.ts';

type Task = ProcedureInput<'scoring.add'>['tasks'][number];

/** What is scored for the open project, and what waits for it. The core has it: it goes on without any page. */
export class Jobs {
  readonly #studio: Studio;
  readonly action = new Action();
  /** Where something was asked for last: there its refusal is shown. */
  of: ScoringKind | null = $state(null);

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  /** What runs and what waits, in its order. */
  get open(): ScoringEntry[] {
    const { running, waiting } = this.#studio.scoring;
    return this.#own([...running, ...waiting]);
  }

  /** The last that were done or failed, newest first. */
  get ended(): ScoringEntry[] {
    return this.#own(this.#studio.scoring.ended);
  }

  /** How far an entry is that runs; undefined: nothing was told of it yet. */
  progressOf({ id }: ScoringEntry): Progress | undefined {
    return [...this.#studio.progress.values()].find(({ entry }) => entry === id);
  }

  /** @returns what was queued; null where it was refused */
  async add(tasks: readonly Task[], batch: string | null = null): Promise<ScoringEntry[] | null> {
    this.of = tasks[0]!.kind;
    let added: ScoringEntry[] | null = null;
    await this.action.run('This cannot be scored.', async (signal) => {
      added = await this.#studio.client.call('scoring.add', { tasks: [...tasks], batch }, { signal });
    });
    return added;
  }

  /** Ends what runs, takes out what waits, forgets what has ended. */
  async cancel(entries: readonly ScoringEntry[]): Promise<void> {
    const ids = entries.map(({ id }) => id);
    await this.action.run('It could not be taken out.', () =>
      this.#studio.client.call('scoring.cancel', { entries: ids }),
    );
  }

  async retry(entry: ScoringEntry): Promise<void> {
    this.of = entry.task.kind;
    await this.action.run('It could not be queued again.', () =>
      this.#studio.client.call('scoring.retry', { entry: entry.id }),
    );
  }

  #own(entries: readonly ScoringEntry[]): ScoringEntry[] {
    return entries.filter(({ project }) => project === this.#studio.info?.project);
  }
}

/** Whether an entry asks for all that an input says; what is absent there is as usual. */
export function asksFor({ task }: ScoringEntry, kind: ScoringKind, input: object): boolean {
  if (task.kind !== kind) return false;
  const asked = task.input as Record<string, unknown>;
  return Object.entries(input).every(([name, value]) => value === undefined || holds(asked[name], value));
}

/** Whether the first has all that the second says. */
function holds(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return whole === part;
  if (typeof whole !== 'object' || whole === null) return false;
  const values = whole as Record<string, unknown>;
  if (Array.isArray(part) && (!Array.isArray(whole) || whole.length !== part.length)) return false;
  return Object.entries(part).every(([name, value]) => value === undefined || holds(values[name], value));
}

/** Whether a run has an adapter that can be scored: one without a checkpoint has none. */
export function scorable({ state, resumable, resumesAnew }: Run): boolean {
  return state === 'done' || (resumable && !resumesAnew && state !== 'running');
}

/** Whether a run is to be trained without being asked again: then it can be scored afterwards. */
export function isAwaited({ state }: Run): boolean {
  return state === 'queued' || state === 'running';
}

/**
 * Milliseconds until an entry has its turn: what runs, and what waits before it. What waits for a training is passed.
 * Null: of one of them it is not known how long it takes.
 * @param runningMs of each that runs, one on each card: what waits takes the place of the first that ends
 */
export function waitMs(
  entry: ScoringEntry,
  waiting: readonly ScoringEntry[],
  runningMs: readonly (number | null)[],
): number | null {
  const places = runningMs.length === 0 ? [0] : runningMs.map((ms) => ms ?? Infinity);
  const first = () => places.reduce((least, ms) => Math.min(least, ms), Infinity);
  for (const one of waiting) {
    if (one.id === entry.id) break;
    if (one.after.length > 0) continue;
    places[places.indexOf(first())] = first() + (one.seconds === null ? Infinity : 1000 * one.seconds);
  }
  return Number.isFinite(first()) ? first() : null;
}

/** How what was done went, in words. */
export function endOf({ startedAt, endedAt }: ScoringEntry): string {
  if (startedAt === null || endedAt === null) return 'was scored before';
  return `took ${duration(Date.parse(endedAt) - Date.parse(startedAt))}`;
}

const key = Symbol('jobs');

export function provideJobs(jobs: Jobs): void {
  setContext(key, jobs);
}

export function useJobs(): Jobs {
  return getContext<Jobs>(key);
}
