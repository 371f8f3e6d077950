import type { Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { clearPartialCheckpoints } from '../../formats/checkpoint/checkpointFolder.ts';
import { dropMetricsAfter } from '../../store/metrics.ts';
import { ensureProject } from '../../store/projects.ts';
import { dequeueRun, isWaiting } from '../../store/queue.ts';
import { insertRun, runsInState, updateRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { ModelService } from '../models/models.ts';
import { refuseWhatDoesNotFit } from './fit.ts';
import { createBranch, plannedBranch } from './branches.ts';
import { checkBase, latestCheckpoint } from './checkpoints.ts';
import { mayBeginAnew, queuedAgain } from './goingOn.ts';
import { plannedRun, type RunRequest } from './newRun.ts';
import { keepStart, startOf } from './startFrom.ts';
import { createRunQueue } from './queue.ts';
import { bringBackParts, partsOf } from './runParts.ts';
import { trainingSourceOrFile } from '../mixes/trainingSources.ts';
import { endedBy, type Ending } from './runRecorder.ts';
import { beginTurn, type RunTurn } from './runTurn.ts';
import type { RunService, StartedRun, TogetherOptions, Watch } from './runService.ts';
import { createStoredRuns, storedRunHandlers } from './storedRuns.ts';

/** Between two attempts to write the end of a run, where a full disk, say, does not allow it. */
const writeAgainMs = 5000;

/** Whoever started a run and waits for its end. */
interface Waiter {
  watch: Watch | undefined;
  resolve(run: Run): void;
  reject(error: unknown): void;
}

export function createRunService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): RunService {
  const { paths, database, emit, trash } = context;
  const stored = createStoredRuns(context, (run) => bringBackParts(run, { models, datasets }));
  const { get, refuseTakenName } = stored;
  const waiters = new Map<string, Waiter>();
  const queue = createRunQueue(context, take, (runId) => get(runId));
  /** Of the runs that have their turn, by id. */
  const turns = new Map<string, RunTurn>();
  const refuse: RunService['refuseWhatDoesNotFit'] = (wanted) =>
    refuseWhatDoesNotFit({ context, datasets }, wanted);

  const refuseBusy = (run: Run): void => {
    if (turns.has(run.id))
      throw new StudioError(
        'busy',
        `The run "${run.name}" is running.`,
        'Wait for its end, or stop it first.',
      );
  };
  /** Writes the run's record. @returns what was written */
  const store = (run: Run): Run => {
    const hasEnded = ['paused', 'stopped', 'interrupted', 'failed'].includes(run.state);
    const hasCheckpoint = latestCheckpoint(context, run.id) !== null;
    const resumesAnew = hasEnded && !hasCheckpoint && mayBeginAnew(run);
    const resumable = run.state !== 'done' && (hasCheckpoint || resumesAnew);
    return updateRun(context.writable(), { ...run, resumable, resumesAnew });
  };
  const save = (run: Run): Run => {
    const written = store(run);
    emit({ type: 'run', run: written });
    return written;
  };

  /** Forgets the metrics after the checkpoint from which a run goes on: it writes them anew. */
  const goBackTo = (runId: string, step: number): void => {
    dropMetricsAfter(context.writable(), runId, step);
    stored.forgetCurves(runId);
  };

  /** What could not be written of the ends of runs: tried again until it can be. */
  const unwritten = new Map<string, () => void>();
  function writeLater(runId: string, write: () => void): void {
    unwritten.set(runId, write);
    setTimeout(() => {
      if (!database.readable.open || unwritten.get(runId) !== write) return;
      try {
        writeNow(runId);
      } catch {
        writeLater(runId, write);
      }
    }, writeAgainMs).unref();
  }
  function writeNow(runId: string): void {
    unwritten.get(runId)?.();
    unwritten.delete(runId);
  }

  async function take(runId: string): Promise<void> {
    const waiter = waiters.get(runId);
    try {
      const parts = { context, models, datasets, save, goBackTo, writeLater };
      const turn = beginTurn(parts, get(runId), waiter?.watch);
      turns.set(runId, turn);
      // Awaited whether or not anybody waits: nobody does for a run that an earlier process left.
      const ended = await turn.ended;
      waiter?.resolve(ended);
    } catch (error) {
      waiter?.reject(error);
      throw error;
    } finally {
      waiters.delete(runId);
      turns.delete(runId);
    }
  }

  /**
   * Puts runs into the queue in their order and writes what is recorded with it, or does nothing of both.
   * @param watch gives what sees the engine's events of each
   */
  function enqueue(
    runs: readonly Run[],
    place: 'first' | 'last',
    record: () => void,
    watch: ((run: Run) => Watch) | undefined,
  ): StartedRun[] {
    const before = new Map(waiters);
    const started = runs.map((run) => ({ id: run.id, ended: awaited(run, watch?.(run)) }));
    const ids = started.map(({ id }) => id);
    const tell = () => {
      for (const id of ids) {
        // Who waited for its turn so far hears that it is another's now.
        before.get(id)?.resolve(get(id));
        emit({ type: 'run', run: get(id) });
      }
    };
    try {
      queue.add(ids, place, { record, tell });
    } catch (error) {
      for (const id of ids) waiters.delete(id);
      for (const [id, waiter] of before) waiters.set(id, waiter);
      throw error;
    }
    return started.map(({ id, ended }) => ({ run: get(id), ended }));
  }

  /** The end of a run that is about to be queued. */
  function awaited(run: Run, watch: Watch | undefined): Promise<Run> {
    const ended = new Promise<Run>((resolve, reject) => waiters.set(run.id, { watch, resolve, reject }));
    // Whoever started the run need not wait for it.
    ended.catch(() => undefined);
    return ended;
  }

  /** A run as it is asked for, and what it takes. @throws StudioError config_invalid, name_taken; as `startOf` does */
  async function checked({ name, config, from, ...asked }: RunRequest) {
    const model = await models.getOrAdd(asked.model);
    const source = await trainingSourceOrFile(context, datasets, asked.dataset);
    const planned = plannedRun({ name, project: context.project, model, source, config });
    const start = from
      ? startOf(context, get(from.run), { model, config: planned.config, step: from.step })
      : null;
    const run: Run = { ...planned, start };
    refuseTakenName(run.project, name);
    return { run, wanted: { name, model, source, config: run.config } };
  }

  function startTogether(runs: readonly Run[], { watch, record }: TogetherOptions = {}): StartedRun[] {
    for (const { project, name } of runs) refuseTakenName(project, name);
    const write = () => {
      const writable = context.writable();
      for (const run of runs) {
        ensureProject(writable, run.project);
        insertRun(writable, run);
        keepStart(context, run);
      }
      record?.(writable);
    };
    return enqueue(runs, 'last', write, watch);
  }

  /** A run that ended before its last step, as it is queued again. @throws as `queuedAgain` does, busy where it runs */
  function readyToGoOn({ id }: Run, changes: Partial<TrainConfig> = {}): Run {
    writeNow(id);
    const run = get(id);
    refuseBusy(run);
    partsOf(run, { context, models });
    return queuedAgain(run, latestCheckpoint(context, id) !== null, changes);
  }

  /** Asks before runs go on that need more memory than there is. @throws StudioError does_not_fit */
  const refuseToGoOn = (ready: readonly Run[]): Promise<void> =>
    refuse(
      ready.map((run) => ({
        name: run.name,
        config: run.config,
        isGoingOn: true,
        begunWith: run.environment?.parts ?? null,
        ...partsOf(run, { context, models }),
      })),
    );

  const takenOut = (run: Run, how: Ending): Run =>
    save({ ...run, ...endedBy(how), endedAt: new Date().toISOString() });

  /** Tells whoever waits for a run's end that it will not have its turn. */
  function settle(run: Run): Run {
    waiters.get(run.id)?.resolve(run);
    waiters.delete(run.id);
    return run;
  }

  async function end(reference: string, how: Ending): Promise<Run> {
    const run = get(reference);
    const turn = turns.get(run.id);
    if (turn) {
      turn.end(how);
      return turn.ended;
    }
    return queue.takeOut(run.id) ? settle(takenOut(run, how)) : run;
  }

  return {
    ...stored,
    queue,

    async start({ force = false, ...request }, watch) {
      const { run, wanted } = await checked(request);
      if (!force) await refuse([wanted]);
      return startTogether([run], watch && { watch: () => watch })[0]!;
    },
    async startAll(requests) {
      const ready = [];
      for (const request of requests) ready.push(await checked(request));
      await refuse(ready.map(({ wanted }) => wanted));
      return startTogether(ready.map(({ run }) => run));
    },
    startTogether,
    refuseWhatDoesNotFit: refuse,

    async resume(reference, watch, changes = {}, { force = false } = {}) {
      const run = get(reference);
      if (isWaiting(database, run.id))
        throw new StudioError(
          'busy',
          `The run "${run.name}" waits in the queue already.`,
          'Move it to the front, to have it start next.',
        );
      const checkpoint = latestCheckpoint(context, run.id);
      if (checkpoint !== null)
        checkBase(run, await models.use(partsOf(run, { context, models }).model.id), checkpoint);
      if (!force) await refuseToGoOn([readyToGoOn(run, changes)]);
      // Once more: it may have been resumed or removed meanwhile.
      const ready = readyToGoOn(run, changes);
      return enqueue([ready], 'first', () => void store(ready), watch && (() => watch))[0]!;
    },

    async resumeTogether(runs, watch, { force = false } = {}) {
      const resting = () => runs.filter(({ id }) => !turns.has(id));
      const ended = resting().filter(({ id }) => !isWaiting(database, id));
      if (!force) await refuseToGoOn(ended.map((run) => readyToGoOn(run)));
      // All are checked before any is changed.
      const ready = resting().map((run) => (isWaiting(database, run.id) ? run : readyToGoOn(run)));
      const record = () => {
        for (const run of ready) {
          dequeueRun(context.writable(), run.id);
          store(run);
        }
      };
      return enqueue(ready, 'first', record, watch);
    },

    async branch(reference, { force = false, ...request }, watch) {
      const parentOf = () => {
        const parent = get(reference);
        refuseTakenName(parent.project, request.name);
        partsOf(parent, { context, models });
        return parent;
      };
      const planned = plannedBranch(context, parentOf(), request);
      if (!force) await refuseToGoOn([planned]);
      const run = createBranch(context, parentOf(), request);
      return enqueue([run], 'last', () => void store(run), watch && (() => watch))[0]!;
    },

    stop: (reference, { save: isKept }) => end(reference, isKept ? 'stop' : 'discard'),
    pause: (reference) => end(reference, 'pause'),

    async suspend() {
      queue.close();
      const pausing = [...turns.values()];
      for (const turn of pausing) turn.end('pause');
      // All are waited for, whatever cannot be recorded of one.
      const ends = await Promise.allSettled(pausing.map(({ ended }) => ended));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },

    remove(reference) {
      const run = get(reference);
      refuseBusy(run);
      // One that waits is brought back as one that was taken out.
      if (queue.takeOut(run.id)) settle(takenOut(run, 'stop'));
      trash.put('runs', run.id);
      emit({ type: 'run.removed', runId: run.id });
    },

    recover() {
      const left = [
        ...runsInState(database, 'running'),
        // Older studios said this of a run in preparation, too.
        ...runsInState(database, 'queued').filter(({ id }) => !isWaiting(database, id)),
      ];
      for (const run of left) {
        clearPartialCheckpoints(paths.runCheckpoints(run.id));
        save({ ...run, state: 'interrupted', endedAt: new Date().toISOString() });
      }
    },
  };
}

export const runHandlers = (runs: RunService) =>
  ({
    ...storedRunHandlers(runs),
    'runs.start': async (input) => (await runs.start(input)).run,
    'runs.resume': async ({ run, force }) => (await runs.resume(run, undefined, {}, { force })).run,
    'runs.branch': async ({ run, ...request }) => (await runs.branch(run, request)).run,
    'runs.pause': ({ run }) => runs.pause(run),
    'runs.queue': () => runs.queue.state(),
    'runs.move': ({ run, before }) => {
      runs.queue.move(runs.get(run).id, before === null ? null : runs.get(before).id);
      return runs.queue.state();
    },
    'runs.hold': ({ isHeld }) => {
      runs.queue.hold(isHeld);
      return runs.queue.state();
    },
    'runs.trainAtOnce': ({ atOnce }) => {
      runs.queue.trainAtOnce(atOnce);
      return runs.queue.state();
    },
    'runs.suspend': async () => {
      await runs.suspend();
      return {};
    },
    'runs.stop': ({ run, save }) => runs.stop(run, { save }),
    'runs.remove': ({ run }) => {
      runs.remove(run);
      return {};
    },
  }) satisfies Partial<ProcedureHandlers>;
