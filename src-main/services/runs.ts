import { existsSync, readdirSync, rmSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { checkTraining } from '../budget/check.ts';
import { checkOptions } from '../budget/checkOptions.ts';
import { modelTargets } from '../budget/targets.ts';
import type { Curves, LogLine, Run } from '../contract/entities.ts';
import { StudioError, toPlainError } from '../contract/errors.ts';
import type { TrainConfig } from '../contract/training.ts';
import type { EngineEvent, ProbeResult } from '../engine/process/protocol.ts';
import type { EngineJob } from '../engine/process/supervisor.ts';
import { readDecoderConfig } from '../formats/huggingFaceConfig.ts';
import {
  annotateRun,
  findRun,
  insertRun,
  listRuns,
  removeRun,
  runsInState,
  updateRun,
} from '../store/runs.ts';
import { ensureProject } from '../store/projects.ts';
import { dropMetricsAfter, readEvals } from '../store/metrics.ts';
import { readLogs, type LogQuery } from '../store/runLogs.ts';
import { missing, newId, type ServiceContext } from './context.ts';
import { createCurveReader, type CurveQuery } from './curveReader.ts';
import type { DatasetService } from './datasets.ts';
import type { ModelService } from './models.ts';
import { createRunRecorder } from './runRecorder.ts';
import { prepareTrainingData } from './trainingData.ts';
import { studioVersion } from './version.ts';

export interface RunService {
  list(): Run[];
  get(reference: string): Run;
  curves(reference: string, query?: CurveQuery): Curves;
  logs(reference: string, query: LogQuery): { lines: LogLine[]; total: number };
  /** Creates a run and starts it; returns at once. `watch` sees the engine's events. */
  start(
    options: { name: string; model: string; dataset: string; config: TrainConfig },
    watch?: (event: EngineEvent) => void,
  ): Promise<{ run: Run; ended: Promise<Run> }>;
  resume(
    reference: string,
    watch?: (event: EngineEvent) => void,
    changes?: Partial<TrainConfig>,
  ): Promise<{ run: Run; ended: Promise<Run> }>;
  /** Stops after the current step; returns when the run has ended. */
  stop(reference: string, options: { save: boolean }): Promise<Run>;
  /** Changes a run's name, notes or tags, also while it trains. @throws StudioError name_taken */
  annotate(
    reference: string,
    changes: { name?: string | undefined; notes?: string | undefined; tags?: string[] | undefined },
  ): Run;
  remove(reference: string): void;
  /**
   * The checkpoint that stands for a run, for evaluation, generation and export: with `keepBest` the one with the lowest held-out
   * loss, else the latest; null where there is none.
   */
  checkpoint(run: Run): string | null;
  /** Marks runs that a dead process left running. */
  recover(): void;
}

interface Active {
  job: EngineJob<'train'>;
  ended: Promise<Run>;
}

export function createRunService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): RunService {
  const { paths, database, emit } = context;
  const active = new Map<string, Active>();
  const curves = createCurveReader(database);
  let probed: Promise<ProbeResult> | null = null;

  const get = (reference: string): Run => {
    const run = findRun(database, context.project, reference);
    if (!run)
      throw missing(
        'run',
        reference,
        listRuns(database, context.project).map(({ name }) => name),
      );
    return run;
  };
  const refuseTakenName = (name: string): void => {
    if (findRun(database, context.project, name))
      throw new StudioError(
        'name_taken',
        `There is already a run "${name}".`,
        `Choose another name, or continue it with: train --resume ${name}`,
      );
  };
  const latest = (run: Run): string | null => listCheckpoints(paths.runCheckpoints(run.id)).at(-1) ?? null;
  const checkpoint = (run: Run): string | null => {
    if (!run.config.keepBest) return latest(run);
    // Among those on disk: a checkpoint is written after the evaluation, and the best so far is never removed.
    const evaluations = readEvals(database, run.id);
    const lossOf = (folder: string) =>
      evaluations.find(({ step }) => step === stepOf(folder))?.loss ?? Infinity;
    const [best] = listCheckpoints(paths.runCheckpoints(run.id)).sort((a, b) => lossOf(a) - lossOf(b));
    return best !== undefined && lossOf(best) < Infinity ? best : latest(run);
  };
  const save = (run: Run): Run => {
    const hasStart = run.step === 0 && ['stopped', 'interrupted'].includes(run.state);
    const current = { ...run, resumable: run.state !== 'done' && (hasStart || latest(run) !== null) };
    const stored = updateRun(context.writable(), current);
    emit({ type: 'run', run: stored });
    return stored;
  };

  async function launch(
    initial: Run,
    resumeFrom: string | null,
    watch: ((event: EngineEvent) => void) | undefined,
  ): Promise<{ run: Run; ended: Promise<Run> }> {
    const model = models.get(initial.modelId);
    const dataset = datasets.get(initial.datasetId);
    let run = initial;
    try {
      const data = await prepareTrainingData({
        model,
        dataset,
        datasetFile: datasets.file(dataset),
        config: run.config,
        cacheFolder: paths.cache,
      });
      probed ??= context.engine.start({ kind: 'probe' }).result;
      const engine = await probed.catch((error: unknown) => {
        probed = null;
        throw error;
      });
      run = save({
        ...run,
        state: 'running',
        error: null,
        dataContract: data.contract,
        environment: environmentOf(engine),
        startedAt: run.startedAt ?? new Date().toISOString(),
        endReason: null,
        endedAt: null,
      });
      const recorder = createRunRecorder(context, run, save, watch);
      const job = context.engine.start(
        {
          kind: 'train',
          modelFolder: model.folder,
          trainFile: data.trainFile,
          heldOutFile: data.heldOutFile,
          config: { ...run.config, context: Math.min(run.config.context, model.contextLength) },
          checkpointFolder: paths.runCheckpoints(run.id),
          cacheFolder: paths.cache,
          resumeFrom,
        },
        { onEvent: recorder.onEvent, onLog: recorder.onLog },
      );
      const ended = job.result
        .then(
          (result) => recorder.finish(result),
          (error: unknown) => recorder.fail(error),
        )
        .finally(() => active.delete(run.id));
      active.set(run.id, { job, ended });
      // Whoever started the run need not wait for it: a failure to record its end must not end the core.
      ended.catch((error: unknown) => console.error(error));
      return { run, ended };
    } catch (error) {
      save({ ...run, state: 'failed', error: toPlainError(error), endedAt: new Date().toISOString() });
      throw error;
    }
  }

  return {
    list: () => listRuns(database, context.project),
    get,
    checkpoint,
    curves: (reference, query = {}) => curves.read(get(reference).id, query),
    logs: (reference, query) => readLogs(database, get(reference).id, query),

    async start({ name, model: modelReference, dataset: datasetReference, config: asked }, watch) {
      const model = await models.getOrAdd(modelReference);
      const dataset = await datasets.getOrAdd(datasetReference);
      const decoder = readDecoderConfig(model.folder);
      checkTraining(decoder, asked);
      const config = {
        ...asked,
        adapter: { ...asked.adapter, targets: modelTargets(decoder, asked.adapter.targets) },
      };
      refuseTakenName(name);
      const run: Run = {
        id: newId(),
        name,
        project: context.project,
        modelId: model.id,
        modelName: model.name,
        datasetId: dataset.id,
        datasetName: dataset.name,
        config,
        state: 'queued',
        trainable: null,
        frozenExtra: null,
        step: 0,
        totalSteps: null,
        lastLoss: null,
        lastHeldOutLoss: null,
        best: null,
        skippedSteps: 0,
        endReason: null,
        dataContract: null,
        environment: null,
        error: null,
        resumable: false,
        createdAt: new Date().toISOString(),
        startedAt: null,
        endedAt: null,
        notes: '',
        tags: [],
      };
      ensureProject(context.writable(), context.project);
      insertRun(context.writable(), run);
      emit({ type: 'run', run });
      return launch(run, null, watch);
    },

    async resume(reference, watch, changes = {}) {
      const run = get(reference);
      if (active.has(run.id))
        throw new StudioError(
          'usage',
          `The run "${run.name}" is running.`,
          'Wait for its end, or stop it first.',
        );
      const from = latest(run);
      // Without one a run can only start anew, which loses nothing where no step was done: pivots that were found are in the cache.
      if (!from && run.step > 0)
        throw new StudioError(
          'not_found',
          `The run "${run.name}" has no checkpoint to resume from.`,
          'Start a new run with the same configuration.',
        );
      const config = { ...run.config, ...changes };
      checkOptions(config);
      dropMetricsAfter(context.writable(), run.id, from ? stepOf(from) : 0);
      curves.forget(run.id);
      return launch({ ...run, config }, from, watch);
    },

    async stop(reference, options) {
      const run = get(reference);
      const running = active.get(run.id);
      if (!running) return run;
      running.job.stop(options);
      return running.ended;
    },

    annotate(reference, { name, notes, tags }) {
      const run = get(reference);
      if (name !== undefined && name !== run.name) refuseTakenName(name);
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

    remove(reference) {
      const run = get(reference);
      if (active.has(run.id))
        throw new StudioError('usage', `The run "${run.name}" is running.`, 'Stop it first.');
      removeRun(context.writable(), run.id);
      curves.forget(run.id);
      rmSync(paths.runFolder(run.id), { recursive: true, force: true });
      emit({ type: 'run.removed', runId: run.id });
    },

    recover() {
      for (const state of ['running', 'queued'] as const)
        for (const run of runsInState(database, state))
          save({ ...run, state: 'interrupted', endedAt: new Date().toISOString() });
    },
  };
}

/** Complete checkpoints, oldest first: folders of eight digits (engine/training/checkpoint.ts). */
function listCheckpoints(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{8}$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

function stepOf(checkpoint: string): number {
  return Number(basename(checkpoint));
}

function environmentOf(engine: ProbeResult): NonNullable<Run['environment']> {
  return {
    studio: studioVersion,
    tensorflow: engine.tensorflow,
    node: process.versions.node,
    device: engine.devices.join(', '),
    cores: cpus().length,
    memoryBytes: totalmem(),
  };
}
