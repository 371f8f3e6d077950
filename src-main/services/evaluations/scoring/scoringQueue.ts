import { StudioError, toPlainError } from '../../../contract/errors.ts';
import {
  settlingBatch,
  type ScoringEntry,
  type ScoringQueue,
  type ScoringTask,
} from '../../../contract/evaluation/scoring.ts';
import type {
  ProcedureHandlers,
  ProcedureOutput,
  ProcedureParsedInput,
} from '../../../contract/procedures.ts';
import type { Precision } from '../../../contract/training.ts';
import { findRun } from '../../../store/runs.ts';
import { addScoring, orderScoring, readScoring, removeScoring, updateScoring } from '../../../store/queue.ts';
import { ensureProject } from '../../../store/projects.ts';
import { missing, newId } from '../../context.ts';
import type { SettlingService } from '../verdicts/settling.ts';
import { knownScores, planTask, scoreTask, subjectsOf, type ScoringParts } from './scoringWork.ts';

/**
 * What is to be scored, of all projects: one piece at a time, or where there are several cards one on each that no run
 * has. Kept in the database.
 */
export interface ScoringService {
  state(): ScoringQueue;
  /** Queues nothing. @throws StudioError what `add` would refuse, and where data are not there */
  check(tasks: readonly ScoringTask[]): Promise<void>;
  /** @throws StudioError what an evaluation would refuse at its begin: then nothing is queued */
  add(tasks: readonly ScoringTask[], batch: string | null): Promise<ScoringEntry[]>;
  /** @throws StudioError not_found */
  require(entry: string): Pick<ScoringEntry, 'id' | 'title'>;
  cancel(entries: readonly string[]): ScoringQueue;
  /** @throws StudioError busy where it does not wait (any more) */
  move(entry: string, before: string | null): ScoringQueue;
  /** @throws StudioError busy where it has not failed; as add does */
  retry(entry: string): Promise<ScoringQueue>;
  /** Queues what settles a pair: items here, seeds as runs and here what scores them. */
  settle(input: ProcedureParsedInput<'scoring.settle'>): Promise<ProcedureOutput<'scoring.settle'>>;
  /** What a dead process left at work waits again. */
  recover(): void;
  /** From now on works on what waits. Before, a command line that scores one thing begins nobody's queue. */
  begin(): void;
  /** Looks again whether something can have its turn: runs have changed. */
  look(): void;
  /** When nothing has its turn and nothing that waits can have it. */
  idle(): Promise<void>;
  /** Takes nothing more; what is at work goes on at the next start. */
  close(): void;
}

export function createScoringService(parts: ScoringParts, settling: SettlingService): ScoringService {
  const { context, runs } = parts;
  const { database } = context;
  let hasBegun = false;
  let isClosed = false;
  /** What has its turn. */
  const current = new Map<string, { entry: ScoringEntry; abort: AbortController }>();
  let idlers: (() => void)[] = [];

  function state(): ScoringQueue {
    const queue = readScoring(database);
    return { ...queue, waiting: queue.waiting.map((entry) => ({ ...entry, stalled: stallOf(entry) })) };
  }
  /** What listeners were told of what waits in vain. */
  let toldStalls = '';
  const stallsOf = ({ waiting }: ScoringQueue) =>
    JSON.stringify(waiting.map(({ id, stalled }) => [id, stalled]));
  function tell(): ScoringQueue {
    const queue = state();
    toldStalls = stallsOf(queue);
    context.emit({ type: 'scoring', queue });
    return queue;
  }
  const now = () => new Date().toISOString();

  /** Why an entry can not have its turn: a run that is not trained yet (null: nothing), or never will be. */
  function obstacle({ after, project }: ScoringEntry): { waits: true } | { error: StudioError } | null {
    for (const id of after) {
      const run = findRun(database, project, id);
      if (!run)
        return {
          error: new StudioError(
            'not_found',
            'The run was removed before it could be scored.',
            'Bring it back, or take this out of the queue.',
          ),
        };
      if (run.state === 'failed' || run.state === 'stopped')
        return {
          error: new StudioError(
            'no_checkpoint',
            `The run "${run.name}" ${run.state === 'failed' ? 'has failed' : 'was stopped'} before its last step.`,
            'Try again to score it as it is; or resume the run, and try again when it waits.',
          ),
        };
      if (run.state !== 'done') return { waits: true };
    }
    return mayBegin(after.length > 0) ? null : { waits: true };
  }

  /**
   * Whether another entry can have its turn. Two jobs on one device would need the memory of both; who queued trainings
   * wants them done first. What waits for none is asked for now: one of that has its turn beside whatever trains.
   */
  function mayBegin(isAfterTraining: boolean): boolean {
    if (current.size === 0 && !isAfterTraining) return true;
    const free = runs.queue.freeCards();
    if (free !== null) return current.size < free;
    const { running, waiting, isHeld } = runs.queue.state();
    return current.size === 0 && running.length === 0 && (waiting.length === 0 || isHeld);
  }

  /** A paused or interrupted run does not go on by itself. */
  function stallOf({ after, project }: ScoringEntry): string | null {
    const open = after.flatMap((id) => findRun(database, project, id) ?? []);
    const rests = open.find(({ state: how }) => how === 'paused' || how === 'interrupted');
    if (rests)
      return `The run "${rests.name}" ${rests.state === 'paused' ? 'is paused' : 'was interrupted'}: resume it, or take this out of the queue.`;
    return null;
  }

  /** The first that can have its turn. @param fail is given what never can */
  function next(fail: (entry: ScoringEntry) => void): ScoringEntry | undefined {
    const underWay = new Set([...current.values()].flatMap(({ entry }) => subjectsOf(entry.task)));
    return state().waiting.find((entry) => {
      if (subjectsOf(entry.task).some((subject) => underWay.has(subject))) return false;
      const found = obstacle(entry);
      if (found && 'error' in found)
        fail({ ...entry, state: 'failed', error: toPlainError(found.error), endedAt: now() });
      return found === null;
    });
  }

  /** @param hasChanged whether listeners are to be told also where nothing has its turn */
  function advance(hasChanged = false): void {
    if (isClosed || !hasBegun) {
      if (hasChanged) tell();
      return;
    }
    let mustTell = hasChanged;
    const fail = (failed: ScoringEntry) => {
      updateScoring(context.writable(), failed);
      mustTell = true;
    };
    const begun: ScoringEntry[] = [];
    try {
      for (let entry = next(fail); entry; entry = next(fail)) {
        const running: ScoringEntry = { ...entry, state: 'running', startedAt: now() };
        updateScoring(context.writable(), running);
        current.set(running.id, { entry: running, abort: new AbortController() });
        begun.push(running);
      }
    } catch (error) {
      // A full disk, say: looked at again when something is asked of the queue.
      console.error(error);
      if (begun.length === 0) return;
    }
    if (mustTell || begun.length > 0 || stallsOf(state()) !== toldStalls) tell();
    for (const entry of begun) void work(entry, current.get(entry.id)!.abort);
    if (current.size === 0) for (const done of idlers.splice(0)) done();
  }

  async function work(entry: ScoringEntry, abort: AbortController): Promise<void> {
    let ended: ScoringEntry;
    try {
      const made = await scoreTask(parts, entry, abort.signal);
      ended = { ...entry, state: 'done', made: made.map(({ id }) => id), endedAt: now() };
    } catch (thrown) {
      ended = { ...entry, state: 'failed', error: toPlainError(thrown), endedAt: now() };
    }
    if (isClosed) return;
    try {
      // Taken out by a person meanwhile, it is not put back.
      if (!abort.signal.aborted) updateScoring(context.writable(), ended);
    } catch (error) {
      // A full disk, say: the next one would fare no better, and this one is begun anew at the next start.
      console.error(error);
      return;
    } finally {
      current.delete(entry.id);
    }
    // The card that is free now is a waiting run's first.
    runs.queue.look();
    advance(true);
  }

  function require(id: string): Pick<ScoringEntry, 'id' | 'title'> {
    const { unreadable } = state();
    return unreadable.find((entry) => entry.id === id) ?? readableEntry(id);
  }

  function readableEntry(id: string): ScoringEntry {
    const { running, waiting, ended } = state();
    const all = [...running, ...waiting, ...ended];
    const found = all.find((entry) => entry.id === id);
    if (found) return found;
    throw missing(
      'entry of the queue',
      id,
      all.map((entry) => entry.id),
    );
  }

  async function add(tasks: readonly ScoringTask[], batch: string | null): Promise<ScoringEntry[]> {
    const { project } = context;
    const planned = [];
    for (const task of tasks) planned.push(await planTask(parts, task));
    // What is there already is shown at once, and not behind an hour of other work.
    const [only] = planned;
    const known =
      planned.length === 1 && only!.after.length === 0 ? await knownScores(parts, only!.task) : null;
    const createdAt = now();
    const entries = planned.map(({ task, title, after, seconds }): ScoringEntry => ({
      id: newId(),
      project,
      task,
      title,
      batch,
      after,
      state: known ? 'done' : 'waiting',
      seconds,
      made: known?.map(({ id }) => id) ?? [],
      error: null,
      createdAt,
      startedAt: null,
      endedAt: known ? createdAt : null,
      stalled: null,
    }));
    ensureProject(context.writable(), project);
    addScoring(context.writable(), entries);
    advance(true);
    return entries;
  }

  async function check(tasks: readonly ScoringTask[]): Promise<void> {
    for (const task of tasks) await knownScores(parts, (await planTask(parts, task)).task);
  }

  return {
    state,
    require,
    check,
    add,
    cancel(ids) {
      removeScoring(context.writable(), ids);
      for (const id of ids) current.get(id)?.abort.abort();
      return tell();
    },
    move(id, before) {
      const waiting = state().waiting.map((entry) => entry.id);
      if (!waiting.includes(id))
        throw new StudioError(
          'busy',
          'This does not wait in the queue.',
          'It may have begun, or been taken out, meanwhile.',
        );
      if (before === id) return state();
      const others = waiting.filter((other) => other !== id);
      // One that has left the queue meanwhile was at its front.
      const place = before === null ? others.length : Math.max(0, others.indexOf(before));
      orderScoring(context.writable(), others.toSpliced(place, 0, id));
      advance(true);
      return state();
    },
    async retry(id) {
      const failed = readableEntry(id);
      if (failed.state !== 'failed')
        throw new StudioError(
          'busy',
          `${failed.title} has not failed.`,
          'Only what has failed is tried again.',
        );
      // In its own project, whichever is open: a run may wait or train once more.
      const own = { ...parts, context: { ...context, project: failed.project } };
      const { task, title, after, seconds } = await planTask(own, failed.task);
      const again = { ...failed, task, title, after, seconds, state: 'waiting', error: null } as const;
      removeScoring(context.writable(), [id]);
      addScoring(context.writable(), [{ ...again, startedAt: null, endedAt: null }]);
      advance(true);
      return state();
    },
    async settle({ comparison, a, b }) {
      const plan = await settling.plan({ comparison, a, b });
      const batch = settlingBatch(a, b);
      const { running, waiting } = state();
      const queued = [...running, ...waiting].filter((entry) => entry.batch === batch);
      if (queued.length > 0) return { plan, entries: queued };
      if (plan.step === 'items') {
        const tasks = plan.evaluations.map((input): ScoringTask => ({ kind: 'score', input }));
        return { plan, entries: await add(tasks, batch) };
      }
      if (plan.step === 'none' || plan.afterwards === null) return { plan, entries: [] };
      const { afterwards } = plan;
      const taskOf = (model: string, adapter: string | null, precision: Precision): ScoringTask => ({
        kind: 'score',
        input: { ...afterwards, model, adapter, precision },
      });
      // By the model alone: for what cannot be scored nothing is to be trained.
      for (const { model } of plan.runs) await planTask(parts, taskOf(model, null, 'f32'));
      await runs.startAll(plan.runs);
      const tasks = plan.scores.map(({ run: reference, precision }) => {
        const run = runs.get(reference);
        return taskOf(run.modelId, run.id, precision);
      });
      return { plan, entries: await add(tasks, batch) };
    },
    recover() {
      for (const entry of state().running)
        updateScoring(context.writable(), { ...entry, state: 'waiting', startedAt: null });
    },
    begin() {
      hasBegun = true;
      advance();
    },
    look: () => advance(),
    idle: () =>
      new Promise((resolve) => {
        idlers = [...idlers, resolve];
        advance();
      }),
    close() {
      isClosed = true;
      for (const { abort } of current.values()) abort.abort();
    },
  };
}

/** What callers ask of it. */
export const scoringHandlers = (scoring: ScoringService) =>
  ({
    'scoring.queue': () => scoring.state(),
    'scoring.add': ({ tasks, batch }) => scoring.add(tasks, batch),
    'scoring.cancel': ({ entries }) => scoring.cancel(entries),
    'scoring.move': ({ entry, before }) => scoring.move(entry, before),
    'scoring.retry': ({ entry }) => scoring.retry(entry),
    'scoring.settle': (input) => scoring.settle(input),
  }) satisfies Partial<ProcedureHandlers>;
