import { rmSync } from 'node:fs';
import { runSchema, type Checkpoint, type Run } from '../../contract/entities.ts';
import type {
  Curves,
  LogLine,
  RouterLayout,
  RouterModule,
  RouterRecord,
  Sample,
  SourceCurve,
} from '../../contract/runRecords.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ListSlice, SliceRequest } from '../../contract/listSlices.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { readSourceLosses, readSparkline } from '../../store/metrics.ts';
import { listEvaluations } from '../../store/results.ts';
import { readRouterRecords } from '../../store/router.ts';
import { readLogs, type LogQuery } from '../../store/runLogs.ts';
import { annotateRun, findRun, listRuns, sliceRuns } from '../../store/runs.ts';
import { readSamples } from '../../store/samples.ts';
import { missing, type ServiceContext } from '../context.ts';
import { bytesOnlyIn } from '../machine/disk.ts';
import { chosenCheckpoint, describeCheckpoints, latestCheckpoint } from './checkpoints.ts';
import { createCurveReader, type CurveQuery } from './curveReader.ts';
import { describeRouterModule } from './routerModule.ts';

/** Runs as they are stored: what they have recorded, what a person says of them. */
export interface StoredRuns {
  /** Newest first. */
  list(): Run[];
  /** Some of them. */
  slice(request: SliceRequest): ListSlice<Run>;
  get(reference: string): Run;
  curves(reference: string, query?: CurveQuery): Curves;
  /** Of the sources of a mix; empty for a run on one dataset. */
  sourceLosses(reference: string, points: number): SourceCurve[];
  /** The training loss of many runs in few points each, by run; runs without a step are absent. */
  sparklines(runIds: readonly string[], points: number): Record<string, number[]>;
  samples(reference: string, query: { prompt: number; limit: number }): Sample[];
  router(reference: string, limit: number): { layout: RouterLayout; records: RouterRecord[] } | null;
  routerModule(reference: string, site: RouterLayout['sites'][number]): RouterModule | null;
  logs(reference: string, query: LogQuery): { lines: LogLine[]; total: number };
  /** What is kept of a run to go on from, oldest first. */
  checkpoints(reference: string): Promise<Checkpoint[]>;
  /** The checkpoint that stands for a run, for evaluation, generation and export; null where there is none. */
  checkpoint(run: Run): string | null;
  /** The same where there must be one. @throws StudioError no_checkpoint */
  requireCheckpoint(run: Run): string;
  /** @throws StudioError name_taken */
  refuseTakenName(project: string, name: string): void;
  /** Changes a run's name, notes or tags, also while it trains. @throws StudioError name_taken */
  annotate(
    reference: string,
    changes: { name?: string | undefined; notes?: string | undefined; tags?: string[] | undefined },
  ): Run;
  /** Brings back a run that was removed less than a minute ago, with its curves, checkpoints and evaluations. */
  restore(id: string): Run;
  /** Bytes that removing a run frees. */
  freedBytes(reference: string): Promise<number>;
  /** To be called where recorded steps of a run are taken back. */
  forgetCurves(runId: string): void;
}

/** @param bringBack brings back what a restored run needs */
export function createStoredRuns(context: ServiceContext, bringBack: (run: Run) => void): StoredRuns {
  const { paths, database, emit, trash } = context;
  const curves = createCurveReader(database);
  trash.ofKind('runs', (entity) => {
    const { id } = runSchema.parse(entity);
    curves.forget(id);
    rmSync(paths.runFolder(id), { recursive: true, force: true });
  });

  const get = (reference: string): Run => {
    const run = findRun(database, context.project, reference);
    if (run) return run;
    const known = listRuns(database, context.project).map(({ name }) => name);
    throw missing('run', reference, known);
  };
  const refuseTakenName = (project: string, name: string): void => {
    if (!findRun(database, project, name)) return;
    throw new StudioError(
      'name_taken',
      `There is already a run "${name}".`,
      `Choose another name, or continue it with: train --resume ${name}`,
    );
  };

  return {
    list: () => listRuns(database, context.project),
    slice: (request) => sliceRuns(database, context.project, request),
    get,
    curves: (reference, query = {}) => curves.read(get(reference).id, query),
    sourceLosses: (reference, points) => readSourceLosses(database, get(reference).id, points),
    sparklines: (runIds, points) =>
      Object.fromEntries(
        runIds
          .map((id) => [id, readSparkline(database, id, points)] as const)
          .filter(([, values]) => values.length > 0),
      ),
    samples: (reference, query) => readSamples(database, get(reference).id, query),
    router: (reference, limit) => readRouterRecords(database, get(reference).id, limit),
    routerModule(reference, site) {
      const run = get(reference);
      const folder = latestCheckpoint(context, run.id);
      return folder === null ? null : describeRouterModule(folder, run.config.adapter, site);
    },
    logs: (reference, query) => readLogs(database, get(reference).id, query),
    checkpoints: (reference) => describeCheckpoints(context, get(reference).id),
    checkpoint: (run) => chosenCheckpoint(context, run),
    requireCheckpoint(run) {
      const checkpoint = chosenCheckpoint(context, run);
      if (checkpoint !== null) return checkpoint;
      throw new StudioError(
        'no_checkpoint',
        `The run "${run.name}" has no checkpoint yet (it is ${run.state}).`,
        'Train it to the end, or stop it with a checkpoint.',
      );
    },
    refuseTakenName,
    annotate(reference, { name, notes, tags }) {
      const run = get(reference);
      if (name !== undefined && name !== run.name) refuseTakenName(run.project, name);
      const annotated = {
        ...run,
        name: name ?? run.name,
        notes: notes ?? run.notes,
        tags: tags ? [...new Set(tags)] : run.tags,
      };
      annotateRun(context.writable(), run.id, annotated);
      emit({ type: 'run', run: annotated });
      return annotated;
    },
    restore(id) {
      trash.restore(
        'runs',
        id,
        (name, entity) => findRun(database, runSchema.parse(entity).project, name) !== null,
      );
      const run = get(id);
      bringBack(run);
      emit({ type: 'run', run });
      const scores = listEvaluations(database, run.project).filter(({ runId }) => runId === id);
      for (const evaluation of scores.toReversed()) emit({ type: 'evaluation', evaluation });
      return run;
    },
    freedBytes: (reference) => bytesOnlyIn(paths.runFolder(get(reference).id)),
    forgetCurves: curves.forget,
  };
}

export const storedRunHandlers = (runs: StoredRuns) =>
  ({
    'runs.list': (request) => runs.slice(request),
    'runs.get': ({ run }) => runs.get(run),
    'runs.curves': ({ run, ...query }) => runs.curves(run, query),
    'runs.sourceLosses': ({ run, points }) => runs.sourceLosses(run, points),
    'runs.sparklines': (input) => runs.sparklines(input.runs, input.points),
    'runs.router': ({ run, limit }) => runs.router(run, limit),
    'runs.routerModule': ({ run, ...site }) => runs.routerModule(run, site),
    'runs.samples': ({ run, ...query }) => runs.samples(run, query),
    'runs.logs': ({ run, ...query }) => runs.logs(run, query),
    'runs.checkpoints': ({ run }) => runs.checkpoints(run),
    'runs.annotate': ({ run, ...changes }) => runs.annotate(run, changes),
    'runs.storage': async ({ run }) => ({ freedBytes: await runs.freedBytes(run) }),
    'runs.restore': ({ run }) => runs.restore(run),
  }) satisfies Partial<ProcedureHandlers>;
