import { existsSync, readdirSync, rmSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { checkTraining } from '../budget/check.ts';
import { checkOptions } from '../budget/checkOptions.ts';
import { modelTargets } from '../budget/targets.ts';
import type { Curves, EndReason, EvalMetric, Run, StepMetric } from '../contract/entities.ts';
import { StudioError, toPlainError } from '../contract/errors.ts';
import type { TrainConfig } from '../contract/training.ts';
import type { EngineEvent, ProbeResult, TrainResult } from '../engine/process/protocol.ts';
import type { EngineJob } from '../engine/process/supervisor.ts';
import { readDecoderConfig } from '../formats/huggingFaceConfig.ts';
import {
  dropMetricsAfter,
  ensureProject,
  findRun,
  insertRun,
  listRuns,
  readCurves,
  removeRun,
  runsInState,
  updateRun,
  writeMetrics,
} from '../store/runs.ts';
import { missing, newId, type ServiceContext } from './context.ts';
import type { DatasetService } from './datasets.ts';
import type { ModelService } from './models.ts';
import { prepareTrainingData } from './trainingData.ts';
import { studioVersion } from './version.ts';

export interface RunService {
  list(): Run[];
  get(reference: string): Run;
  curves(reference: string): Curves;
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
  remove(reference: string): void;
  /**
   * The checkpoint that stands for a run, for evaluation, generation and export: with `keepBest` the one with the lowest held-out
   * loss, else the latest; null where there is none.
   */
  checkpoint(run: Run): string | null;
  /** Marks runs that a dead process left running. */
  recover(): void;
}

/** Metrics go to the database at most this often: one commit costs a disk flush. */
const flushEveryMs = 500;

interface Active {
  job: EngineJob<'train'>;
  ended: Promise<Run>;
}

export function createRunService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): RunService {
  const { paths, database, emit, project } = context;
  const active = new Map<string, Active>();
  let probed: Promise<ProbeResult> | null = null;

  const get = (reference: string): Run => {
    const run = findRun(database, project, reference);
    if (!run)
      throw missing(
        'run',
        reference,
        listRuns(database, project).map(({ name }) => name),
      );
    return run;
  };
  const latest = (run: Run): string | null => listCheckpoints(paths.runCheckpoints(run.id)).at(-1) ?? null;
  const checkpoint = (run: Run): string | null => {
    if (!run.config.keepBest) return latest(run);
    // Among those on disk: a checkpoint is written after the evaluation, and the best so far is never removed.
    const evaluations = readCurves(database, run.id).evals;
    const lossOf = (folder: string) =>
      evaluations.find(({ step }) => step === stepOf(folder))?.loss ?? Infinity;
    const [best] = listCheckpoints(paths.runCheckpoints(run.id)).sort((a, b) => lossOf(a) - lossOf(b));
    return best !== undefined && lossOf(best) < Infinity ? best : latest(run);
  };
  const save = (run: Run): Run => {
    const hasStart = run.step === 0 && ['stopped', 'interrupted'].includes(run.state);
    const current = { ...run, resumable: run.state !== 'done' && (hasStart || latest(run) !== null) };
    updateRun(context.writable(), current);
    emit({ type: 'run', run: current });
    return current;
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
      const recorder = createRecorder(context, run, save, watch);
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
    list: () => listRuns(database, project),
    get,
    checkpoint,
    curves: (reference) => readCurves(database, get(reference).id),

    async start({ name, model: modelReference, dataset: datasetReference, config: asked }, watch) {
      const model = models.getOrAdd(modelReference);
      const dataset = await datasets.getOrAdd(datasetReference);
      const decoder = readDecoderConfig(model.folder);
      checkTraining(decoder, asked);
      const config = {
        ...asked,
        adapter: { ...asked.adapter, targets: modelTargets(decoder, asked.adapter.targets) },
      };
      if (findRun(database, project, name))
        throw new StudioError(
          'name_taken',
          `There is already a run "${name}".`,
          `Choose another name, or continue it with: train --resume ${name}`,
        );
      const run: Run = {
        id: newId(),
        name,
        project,
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
      };
      ensureProject(context.writable(), project);
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
      return launch({ ...run, config }, from, watch);
    },

    async stop(reference, options) {
      const run = get(reference);
      const running = active.get(run.id);
      if (!running) return run;
      running.job.stop(options);
      return running.ended;
    },

    remove(reference) {
      const run = get(reference);
      if (active.has(run.id))
        throw new StudioError('usage', `The run "${run.name}" is running.`, 'Stop it first.');
      removeRun(context.writable(), run.id);
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

const endReasons: Record<TrainResult['outcome'], EndReason> = {
  done: 'all_steps',
  early_stopped: 'early_stopped',
  stopped: 'stop_requested',
};

/** Turns the engine's events into the run's record: metrics in batches, state at once. */
function createRecorder(
  context: ServiceContext,
  initial: Run,
  save: (run: Run) => Run,
  watch: ((event: EngineEvent) => void) | undefined,
) {
  let run = initial;
  let steps: StepMetric[] = [];
  let evals: EvalMetric[] = [];
  let logs: string[] = [];
  let timer: NodeJS.Timeout | null = null;

  const flush = () => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (steps.length + evals.length + logs.length === 0) return;
    writeMetrics(context.writable(), run.id, { steps, evals, logs });
    const last = steps.at(-1);
    run = save({
      ...run,
      step: Math.max(run.step, last?.step ?? 0),
      lastLoss: last?.loss ?? run.lastLoss,
      lastHeldOutLoss: evals.at(-1)?.loss ?? run.lastHeldOutLoss,
    });
    if (steps.length > 0) context.emit({ type: 'run.steps', runId: run.id, steps });
    for (const metric of evals) context.emit({ type: 'run.eval', runId: run.id, metric });
    [steps, evals, logs] = [[], [], []];
  };
  const flushSoon = () => {
    timer ??= setTimeout(() => {
      try {
        flush();
      } catch (error) {
        // A full disk, say: the metrics stay in memory and are tried again with the next ones.
        timer = null;
        context.emit({
          type: 'run.log',
          runId: run.id,
          line: `Metrics not written yet: ${toPlainError(error).message}`,
        });
      }
    }, flushEveryMs);
  };

  const log = (line: string) => {
    logs.push(line);
    context.emit({ type: 'run.log', runId: run.id, line });
    flushSoon();
  };

  return {
    onEvent(event: EngineEvent): void {
      switch (event.type) {
        case 'start':
          run = save({
            ...run,
            trainable: event.trainable,
            frozenExtra: event.frozenExtra,
            totalSteps: event.totalSteps,
            step: event.firstStep - 1,
            skippedSteps: event.skippedSteps,
            best: event.best,
            dataContract: run.dataContract && { ...run.dataContract, packing: event.packing },
          });
          break;
        case 'step': {
          const { type: _type, ...metric } = event;
          steps.push(metric);
          flushSoon();
          break;
        }
        case 'skipped':
          run = { ...run, step: event.step, skippedSteps: run.skippedSteps + 1 };
          log(`step ${event.step} skipped: ${event.reason}`);
          break;
        case 'eval': {
          const { type: _type, ...metric } = event;
          evals.push(metric);
          if (metric.loss < (run.best?.loss ?? Infinity))
            run = { ...run, best: { step: metric.step, loss: metric.loss } };
          flushSoon();
          break;
        }
        case 'log':
          log(event.line);
          break;
        case 'progress':
          context.emit({ ...event, task: `run ${run.id}` });
          break;
        case 'checkpoint':
          flush();
          break;
        default:
          throw new Error(`unknown event ${JSON.stringify(event satisfies never)}`);
      }
      watch?.(event);
    },
    onLog: log,
    finish(result: TrainResult): Run {
      flush();
      run = save({
        ...run,
        state: result.outcome === 'stopped' ? 'stopped' : 'done',
        endReason: endReasons[result.outcome],
        step: result.step,
        best: result.best,
        endedAt: new Date().toISOString(),
      });
      return run;
    },
    fail(error: unknown): Run {
      try {
        flush();
      } catch (flushError) {
        console.error(flushError);
      }
      run = save({ ...run, state: 'failed', error: toPlainError(error), endedAt: new Date().toISOString() });
      return run;
    },
  };
}
