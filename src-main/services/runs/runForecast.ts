import { cpus, totalmem } from 'node:os';
import { forecastTraining } from '../../budget/forecast/calibrate.ts';
import { rowLayout } from '../../budget/forecast/rowLayout.ts';
import type { Model, Run } from '../../contract/entities.ts';
import type { Calibration, ForecastRecord, RowLayout, RunForecast } from '../../contract/forecast.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { layOutRun } from '../../data/mix/laidOutRun.ts';
import { openRows } from '../../data/mix/rowPlan.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { listProbes } from '../../store/results.ts';
import { newestRuns } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import type { TrainingData } from '../mixes/trainingData.ts';
import { freeBytes } from '../machine/disk.ts';
import { usableMemory } from '../machine/machine.ts';

/** So many measurements count, the newest. */
const mostRecords = 200;

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
  const layout = layoutOfFiles(data, { ...config, context: Math.min(config.context, model.contextLength) });
  const { memory, time } = forecastTraining(
    {
      modelId: model.id,
      shape: readDecoderConfig(model.folder),
      config,
      ...layout,
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
    ...layout,
    memoryBasis: memory.basis,
    timeBasis: time.basis,
  };
}

/** How the engine lays out the rows of files. */
function layoutOfFiles({ trainFile, heldOutFile }: TrainingData, config: TrainConfig): RowLayout {
  const rows = openRows(trainFile);
  const heldOut = heldOutFile ? openRows(heldOutFile) : null;
  try {
    return rowLayout(layOutRun(config, rows, heldOut).layouts, config.packing);
  } finally {
    rows.close();
    heldOut?.close();
  }
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

/** Tells this machine from others. */
export function machineKey(): string {
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
