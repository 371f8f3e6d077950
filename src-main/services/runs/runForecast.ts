import { cpus, totalmem } from 'node:os';
import { forecastTraining } from '../../budget/forecast/calibrate.ts';
import { rowLayout } from '../../budget/forecast/rowLayout.ts';
import type { Model, Run } from '../../contract/entities.ts';
import type {
  Calibration,
  ForecastRecord,
  RowLayout,
  RunForecast,
  WorkParts,
} from '../../contract/forecast.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { layOutRun, type RowsRead } from '../../data/mix/laidOutRun.ts';
import { openRows } from '../../data/mix/rowPlan.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { listProbes } from '../../store/results.ts';
import { newestRuns } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import type { TrainingData } from '../mixes/trainingData.ts';
import { freeBytes } from '../machine/disk.ts';
import { usableMemory } from '../machine/machine.ts';

/**
 * Rows of a run that are laid out for its forecast, those of each pass over them: a million in three passes would keep
 * the core from answering anybody for half a minute.
 */
const mostLaidOut = 100_000;

/** So many measurements count, the newest. */
const mostRecords = 200;

/** A training whose data lie tokenized, before it starts. */
export interface Outlook {
  /** Into what parts its work is to be cut. */
  parts: WorkParts;
  /** Forecast of so many steps. */
  foresee(steps: number): RunForecast;
}

/**
 * Looks at the rows of a training, and decides into what parts its work is cut.
 * @param given.begunWith the parts of a run that goes on; absent or null: it begins
 */
export function outlookOf(
  context: ServiceContext,
  given: {
    model: Model;
    config: TrainConfig;
    data: TrainingData;
    gpu: Calibration['gpu'];
    begunWith?: WorkParts | null;
  },
): Outlook {
  const { model, config, data, gpu, begunWith } = given;
  const layout = layoutOfFiles(data, { ...config, context: Math.min(config.context, model.contextLength) });
  const forecastOf = (steps: number, parts: WorkParts | null) =>
    forecastTraining(
      {
        modelId: model.id,
        shape: readDecoderConfig(model.folder),
        config,
        ...layout,
        steps,
        heldOutRows: Math.min(data.contract.heldOutRows, config.heldOutRows),
      },
      readCalibration(context, gpu),
      parts,
    );
  const { parts } = forecastOf(0, begunWith ?? null);
  return {
    parts,
    foresee(steps) {
      const { memory, time } = forecastOf(steps, parts);
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
    },
  };
}

/** How the engine lays out the rows of files. */
function layoutOfFiles({ trainFile, heldOutFile }: TrainingData, config: TrainConfig): RowLayout {
  const rows = openRows(trainFile);
  const heldOut = heldOutFile ? openRows(heldOutFile) : null;
  try {
    return foreseenLayout(rows, heldOut, config);
  } finally {
    rows.close();
    heldOut?.close();
  }
}

/** The layout of a run's rows: the engine's own, or where these are very many that of a sample of them. */
export function foreseenLayout(rows: RowsRead, heldOut: RowsRead | null, config: TrainConfig): RowLayout {
  const { batch, accumulate, epochs, maxSteps, packing } = config;
  const trained = maxSteps === null ? epochs * rows.rowCount : maxSteps * accumulate * batch;
  // Rows that are packed are all looked at, however few steps there are.
  if (Math.max(trained, packing ? rows.rowCount : 0) <= mostLaidOut)
    return rowLayout(layOutRun(config, rows, heldOut).layouts, packing);
  const once = { ...config, epochs: 1, maxSteps: null };
  const { layouts } = layOutRun(once, sampleOf(rows), heldOut, Math.ceil(trained / batch));
  return rowLayout(layouts, packing);
}

/** Rows of a pass, evenly chosen, and the longest of all: a line holds it. */
function sampleOf(rows: RowsRead): RowsRead {
  const numbers = rows.epochRows?.(0) ?? null;
  const count = numbers?.length ?? rows.rowCount;
  let longest = 0;
  for (let row = 1; row < rows.rowCount; row++) if (rows.length(row) > rows.length(longest)) longest = row;
  const rowCount = Math.min(count, mostLaidOut);
  const rowAt = (i: number) => {
    if (i === 0) return longest;
    const at = Math.floor((i * count) / rowCount);
    return numbers ? numbers[at]! : at;
  };
  return {
    rowCount,
    length: (i) => rows.length(rowAt(i)),
    labels: (i) => rows.labels(rowAt(i)),
    epochRows: null,
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
  const card = environment?.card?.name ?? null;
  return [
    { runId: id, name, modelId, device, card, config, forecast, measured, createdAt: endedAt ?? createdAt },
  ];
}
