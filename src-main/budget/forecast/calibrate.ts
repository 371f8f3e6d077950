import type {
  Calibration,
  DeviceKind,
  ForecastBasis,
  ForecastRecord,
  RowLayout,
  RowLengths,
  WorkParts,
} from '../../contract/forecast.ts';
import { quantizationOf, type TrainConfig } from '../../contract/training.ts';
import { possibleParts } from '../../options/deviceSizes.ts';
import { baseParameters, type ModelShape } from '../../shape/modelShape.ts';
import { graphBytes, hostMemoryBytes, trainingMemory, type MemoryForecast } from './memory.ts';
import type { PassPlace } from './pass.ts';
import { largestPass, meanPass } from './rowLayout.ts';
import { runTime, stepWork, type RunTime } from './time.ts';

/** A training that is planned. */
export interface PlannedTraining extends RowLayout {
  modelId: string;
  shape: ModelShape;
  config: TrainConfig;
  steps: number;
  /** Rows that each evaluation scores. */
  heldOutRows: number;
}

export interface Forecast {
  /** Into what parts its work is cut. */
  parts: WorkParts;
  memory: MemoryForecast & {
    /** Peak with this machine's correction. */
    correctedBytes: number;
    basis: ForecastBasis;
    /** Measurements that it rests on. */
    n: number;
    /** On a GPU: what the process beside it needs of the machine's memory. Null: everything is there. */
    hostBytes: number | null;
  };
  time: RunTime & { secondsPerStep: number; modelledSecondsPerStep: number; basis: ForecastBasis; n: number };
}

/**
 * Products that a core does in a second before anything was measured: careful for a processor without matrix units. A
 * GPU's, by precision, are assumed: a tenth of what a card of recent years names.
 */
const flopsPerCore = 40e9;
const flopsOfGpu = { f32: 5e12, bf16: 15e12 };

/** Seconds of a step that no product explains: each layer is some hundred small operations. */
const secondsPerLayer = 0.0015;

/** Start of the engine, and bytes of weights that it then loads and hashes in a second. */
const engineStartSeconds = 4;
const loadedBytesPerSecond = 250e6;

/** Products of a second before anything was measured. */
export function productsPerSecond(
  precision: TrainConfig['precision'],
  { gpu, cores }: Pick<Calibration, 'gpu' | 'cores'>,
): number {
  return gpu ? flopsOfGpu[precision] : flopsPerCore * cores;
}

/** Seconds until an engine has started and loaded a model. */
export function startOf(shape: ModelShape): number {
  return engineStartSeconds + (4 * baseParameters(shape)) / loadedBytesPerSecond;
}

/** Lines whose means differ by less than this part are taken for the same. */
const nearMean = 0.05;

/** A measurement that is this far off the arithmetic says more about what went on beside it. */
const mostCorrection = 3;

/**
 * Forecast of a training's peak memory and time: the arithmetic, corrected by what was measured on this machine. What
 * did the same step before (or was probed) decides alone; without it all measurements do, by the median of measured
 * over modelled, those of the same precision and model before others. Measurements on the other kind of device say
 * nothing; the memory of a GPU is not measured at all.
 *
 * Of the parts into which the work may be cut it takes the fastest that find room, or, where none do well, the fastest
 * of those that do best.
 *
 * @param begunWith the parts of a run that goes on
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function forecastTraining(
  planned: PlannedTraining,
  calibration: Calibration,
  begunWith?: WorkParts | null,
): Forecast {
  const device: DeviceKind = calibration.gpu ? 'gpu' : 'cpu';
  const [fastest, ...smaller] = begunWith
    ? ([begunWith] as const)
    : possibleParts(device, quantizationOf(planned.config));
  const verdictOf = (forecast: Forecast) => verdicts.indexOf(trainingFit(forecast, calibration));
  let best = forecastWith(planned, calibration, { device, parts: fastest });
  for (const parts of smaller) {
    if (verdictOf(best) === 0) break;
    const forecast = forecastWith(planned, calibration, { device, parts });
    if (verdictOf(forecast) < verdictOf(best)) best = forecast;
  }
  return best;
}

function forecastWith(planned: PlannedTraining, calibration: Calibration, place: PassPlace): Forecast {
  const { shape, config, steps, heldOutRows } = planned;
  const { device } = place;
  const memory = trainingMemory(shape, config, largestPass(config, planned), place);
  const work = stepWork(shape, config, meanPass(config, planned), place);
  const records = calibration.records.filter((record) => record.device === device);
  const same = records.filter((record) => isSameStep(record, planned));
  const ofModel = records.filter(({ modelId }) => modelId === planned.modelId);

  const memoryFrom = device === 'gpu' ? [] : same.length > 0 ? same : records;
  const factor = correction(
    memoryFrom.map(({ measured, forecast }) => measured.peakMemoryBytes / forecast.modelledBytes),
  );
  const timed = (list: readonly ForecastRecord[]) =>
    list.filter(({ measured }) => measured.secondsPerStep !== null);
  const alike = (record: ForecastRecord) => record.config.precision === config.precision;
  const timedSame = timed(same);
  const timedFrom =
    [timedSame, timed(ofModel.filter(alike)), timed(records.filter(alike)), timed(records)].find(
      (list) => list.length > 0,
    ) ?? [];
  const modelled =
    work.flops / productsPerSecond(config.precision, calibration) +
    secondsPerLayer * shape.layers * config.accumulate;
  const slowness = timedFrom.map(
    ({ measured, forecast }) => measured.secondsPerStep! / forecast.modelledSecondsPerStep,
  );
  const secondsPerStep =
    timedSame.length > 0
      ? median(timedSame.map(({ measured }) => measured.secondsPerStep!))
      : modelled * (slowness.length > 0 ? median(slowness) : 1);
  const starts = [timedSame, ofModel]
    .map((list) =>
      list.flatMap(({ measured }) => (measured.startSeconds === null ? [] : [measured.startSeconds])),
    )
    .find((list) => list.length > 0);
  const startSeconds = starts ? median(starts) : startOf(shape) + secondsPerStep;
  return {
    parts: place.parts,
    memory: {
      ...memory,
      correctedBytes: memory.bytes * factor,
      basis: memoryFrom.length === 0 ? 'model' : same.length > 0 ? 'measured' : 'machine',
      n: memoryFrom.length,
      hostBytes: device === 'gpu' ? hostMemoryBytes(shape) + graphBytes(shape, config.adapter) : null,
    },
    time: {
      ...runTime(config, work, { steps, secondsPerStep, startSeconds, heldOutRows }),
      secondsPerStep,
      modelledSecondsPerStep: modelled,
      basis: timedSame.length > 0 ? 'measured' : timedFrom.length > 0 ? 'machine' : 'model',
      n: timedFrom.length,
    },
  };
}

/** How far forecasts were off on this machine, as shares of what was measured; null without a run. */
export function forecastErrors(records: readonly ForecastRecord[]): {
  n: number;
  memory: number;
  time: number | null;
} | null {
  // A probe is a forecast's ground, no test of it.
  const runs = records.filter(({ runId }) => runId !== null);
  if (runs.length === 0) return null;
  const share = (foreseen: number, measured: number) => Math.abs(foreseen / measured - 1);
  const timed = runs.flatMap(({ forecast, measured }) =>
    measured.secondsPerStep === null ? [] : [share(forecast.secondsPerStep, measured.secondsPerStep)],
  );
  return {
    n: runs.length,
    memory: median(
      runs.map(({ forecast, measured }) => share(forecast.memoryBytes, measured.peakMemoryBytes)),
    ),
    time: timed.length > 0 ? median(timed) : null,
  };
}

/** From good to bad. */
const verdicts = ['fits', 'tight', 'too_large'] as const;
export type FitVerdict = (typeof verdicts)[number];

/** Bytes of memory of the device that trainings compute on. */
export function deviceMemory({ gpu, memoryBytes }: Calibration): number {
  return gpu?.memoryBytes ?? memoryBytes;
}

/** Whether a training finds room on its device, and its process in the machine's memory. */
export function trainingFit({ memory }: Forecast, calibration: Calibration): FitVerdict {
  const onDevice = memoryFit(memory.correctedBytes, deviceMemory(calibration));
  if (memory.hostBytes === null) return onDevice;
  const onHost = memoryFit(memory.hostBytes, calibration.memoryBytes);
  return worstFit([onDevice, onHost]);
}

export function worstFit(list: readonly FitVerdict[]): FitVerdict {
  return verdicts[list.reduce((worst, verdict) => Math.max(worst, verdicts.indexOf(verdict)), 0)]!;
}

/** Whether a peak, in bytes, finds room: up to three quarters of the memory, up to all of it, or not. */
export function memoryFit(bytes: number, memoryBytes: number): FitVerdict {
  return bytes <= 0.75 * memoryBytes ? 'fits' : bytes <= memoryBytes ? 'tight' : 'too_large';
}

/** Share of rows that a context cuts. */
export function truncatedShare({ lengths }: Pick<RowLengths, 'lengths'>, context: number): number {
  return lengths.length === 0 ? 0 : lengths.filter((length) => length > context).length / lengths.length;
}

/** Names what decides a step's memory and time, besides how full lines are: equal keys, equal steps. */
function stepKey(modelId: string, config: TrainConfig, { rowTokens, line }: RowLayout): string {
  const { adapter, batch, accumulate, packing, gradientCheckpointing, precision, optimizer, momentum } =
    config;
  // Labels decide how many logits are made. Their number is known roughly before rows are tokenized, this is known.
  const { loadIn8bit, loadIn4bit, trainOn } = config;
  const {
    alpha: _alpha,
    alphaPattern: _alphaPattern,
    rankStabilized: _rs,
    pivots: _pivots,
    ...size
  } = adapter;
  const rest = {
    batch,
    accumulate,
    packing,
    gradientCheckpointing,
    precision,
    optimizer,
    momentum,
    loadIn8bit,
    loadIn4bit,
    trainOn,
  };
  // Lines are foreseen from a sample of the rows, so their lengths are not quite those that a run then has.
  const rows = line ? ['line', line.longest] : rowTokens;
  return JSON.stringify([modelId, rows, size, rest]);
}

/** Whether a record is of a training whose steps are those of the planned one. */
function isSameStep(record: ForecastRecord, planned: PlannedTraining): boolean {
  const { modelId, config, forecast } = record;
  if (stepKey(modelId, config, forecast) !== stepKey(planned.modelId, planned.config, planned)) return false;
  if (!forecast.line || !planned.line) return true;
  return Math.abs(forecast.line.meanTokens / planned.line.meanTokens - 1) < nearMean;
}

export function correction(ratios: readonly number[]): number {
  if (ratios.length === 0) return 1;
  return Math.min(mostCorrection, Math.max(1 / mostCorrection, median(ratios)));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
