import { rmSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { checkTraining } from '../../options/checkAdapter.ts';
import { fittingContext } from '../../options/context.ts';
import { forecastTraining } from '../../budget/forecast/calibrate.ts';
import type { Calibration, ForecastRecord, RowLengths, RunForecast } from '../../contract/forecast.ts';
import type { Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { insertProbe, listProbes } from '../../store/results.ts';
import { newestRuns } from '../../store/runs.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasets.ts';
import { findTrainingGpu } from '../machine/engineProbe.ts';
import { usableMemory } from '../machine/machine.ts';
import { freeBytes } from '../machine/disk.ts';
import type { ModelService } from '../models/models.ts';
import { countRowLengths, laidOutTokens } from '../data/rowLengths.ts';
import { startMeter } from '../runs/runMeter.ts';
import { prepareTrainingData, type TrainingData } from '../data/trainingData.ts';

export interface ForecastService {
  /** What this machine is, and what was measured on it. */
  calibration(): Promise<Calibration>;
  lengths(model: string, dataset: string, signal: AbortSignal): Promise<RowLengths>;
  /** Takes a few steps of a training that is recorded nowhere else, and measures them; progress of the task `probe`. */
  probe(
    given: { model: string; dataset: string; config: TrainConfig; steps: number },
    signal: AbortSignal,
  ): Promise<ForecastRecord>;
}

/** So many measurements count, the newest. */
const mostRecords = 200;

export function createForecastService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): ForecastService {
  const { paths, emit } = context;
  /** By model and dataset: the text of neither changes under its hash. */
  const counted = new Map<string, RowLengths>();
  let isProbing = false;

  return {
    calibration: async () => readCalibration(context, await findTrainingGpu(context.probe)),

    async lengths(modelReference, datasetReference, signal) {
      const [model, dataset] = [models.get(modelReference), datasets.get(datasetReference)];
      const key = `${model.contentHash} ${dataset.contentHash}`;
      const known = counted.get(key);
      if (known) return known;
      const lengths = await unlessCancelled(countRowLengths(model, datasets.file(dataset), signal), signal);
      counted.set(key, lengths);
      return lengths;
    },

    async probe({ model: modelReference, dataset: datasetReference, config, steps }, signal) {
      const [model, dataset] = [models.get(modelReference), datasets.get(datasetReference)];
      checkTraining(readDecoderConfig(model.folder), config);
      fittingContext(config.context, model.contextLength);
      if (isProbing)
        throw new StudioError('busy', 'Another probe is under way.', 'Wait for its end, or cancel it.');
      isProbing = true;
      const progress = (done: number, label: string) =>
        emit({ type: 'progress', task: 'probe', label, done, total: steps });
      const folder = join(paths.cache, 'probes', newId());
      try {
        progress(0, 'Preparing the data');
        const data = await unlessCancelled(
          prepareTrainingData({
            model,
            dataset,
            datasetFile: datasets.file(dataset),
            config,
            cacheFolder: paths.cache,
            signal,
            // `progress` counts the probe's steps.
            onRows: () => {},
          }),
          signal,
        );
        const gpu = await findTrainingGpu(context.probe);
        const forecast = foresee(context, { model, config, data, steps, gpu });
        progress(0, 'Taking steps');
        const meter = startMeter();
        const job = context.engine.start(
          {
            kind: 'train',
            modelFolder: model.folder,
            trainFile: data.trainFile,
            heldOutFile: data.heldOutFile,
            config: probeConfig(config, model, steps),
            checkpointFolder: folder,
            cacheFolder: paths.cache,
            resumeFrom: null,
          },
          {
            signal,
            onEvent(event) {
              meter.see(event);
              if (event.type !== 'step' && event.type !== 'skipped') return;
              progress(Math.min(event.step, steps - 1), 'Taking steps');
              if (event.step >= steps) job.stop({ save: false });
            },
          },
        );
        const { peakMemoryBytes } = await job.result;
        const record: ForecastRecord = {
          runId: null,
          name: 'probe',
          modelId: model.id,
          device: gpu ? 'gpu' : 'cpu',
          config,
          forecast,
          measured: meter.read(peakMemoryBytes),
          createdAt: new Date().toISOString(),
        };
        insertProbe(context.writable(), machineKey(), record);
        return record;
      } finally {
        isProbing = false;
        rmSync(folder, { recursive: true, force: true });
        progress(steps, 'Taking steps');
      }
    },
  };
}

/**
 * The same step, without what surrounds it: the schedule, evaluations, checkpoints and samples change no step's cost.
 */
function probeConfig(config: TrainConfig, model: Model, steps: number): TrainConfig {
  return {
    ...config,
    context: Math.min(config.context, model.contextLength),
    // The stop comes before: what is left of the steps is never taken.
    maxSteps: steps + 1000,
    schedule: 'constant',
    warmupSteps: 0,
    evalEvery: 0,
    checkpointEvery: 0,
    earlyStoppingPatience: null,
    keepBest: false,
    samples: null,
  };
}

/** Forecast of a training whose data lie tokenized. */
export function foresee(
  context: ServiceContext,
  given: {
    model: Model;
    config: TrainConfig;
    data: TrainingData;
    steps: number;
    gpu: Calibration['gpu'];
  },
): RunForecast {
  const { model, config, data, steps, gpu } = given;
  const files = [data.trainFile, ...(data.heldOutFile ? [data.heldOutFile] : [])];
  const length = Math.min(config.context, model.contextLength);
  const rowTokens = laidOutTokens(files, { context: length, packing: config.packing });
  const { memory, time } = forecastTraining(
    {
      modelId: model.id,
      shape: readDecoderConfig(model.folder),
      config,
      rowTokens,
      steps,
      heldOutRows: Math.min(data.contract.heldOutRows, config.heldOutRows),
    },
    readCalibration(context, gpu),
  );
  return {
    modelledBytes: memory.bytes,
    memoryBytes: memory.correctedBytes,
    modelledSecondsPerStep: time.modelledSecondsPerStep,
    secondsPerStep: time.secondsPerStep,
    seconds: time.seconds,
    rowTokens,
    memoryBasis: memory.basis,
    timeBasis: time.basis,
  };
}

/** Measurements of another machine, whose data folder this was, say nothing here. */
export function readCalibration({ database, paths }: ServiceContext, gpu: Calibration['gpu']): Calibration {
  const runs = newestRuns(database, 2 * mostRecords)
    .filter(isOfThisMachine)
    .flatMap(recordOf);
  const records = [...runs, ...listProbes(database, machineKey())]
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
    .slice(0, mostRecords);
  return {
    cores: cpus().length,
    memoryBytes: usableMemory(),
    gpu,
    diskFreeBytes: freeBytes(paths.home),
    records,
  };
}

function machineKey(): string {
  return `${cpus().length} ${totalmem()}`;
}

function isOfThisMachine({ environment }: Run): boolean {
  return environment !== null && `${environment.cores} ${environment.memoryBytes}` === machineKey();
}

function recordOf({
  id,
  name,
  modelId,
  config,
  environment,
  forecast,
  measured,
  endedAt,
  createdAt,
}: Run): ForecastRecord[] {
  if (!forecast || !measured) return [];
  const device = environment?.device.includes('gpu') ? 'gpu' : 'cpu';
  return [{ runId: id, name, modelId, device, config, forecast, measured, createdAt: endedAt ?? createdAt }];
}

/** The work, or the one error for what was cancelled. */
async function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (signal.aborted) throw new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
    throw error;
  }
}

/** What callers ask of them. */
export const forecastHandlers = (forecasts: ForecastService) =>
  ({
    'plan.calibration': () => forecasts.calibration(),
    'plan.lengths': ({ model, dataset }, { signal }) => forecasts.lengths(model, dataset, signal),
    'plan.probe': (input, { signal }) => forecasts.probe(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
