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
import { usesTf32 } from '../../options/tensorUnits.ts';
import { baseParameters, type ModelShape } from '../../shape/modelShape.ts';
import { cardRates, type Products } from './cardRates.ts';
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
  time: RunTime & {
    secondsPerStep: number;
    modelledSecondsPerStep: number;
    basis: ForecastBasis;
    n: number;
    /** What speed of its card it takes, where nothing was measured there; null: on the processor, or it was. */
    guess: string | null;
  };
}

/** Products that a core does in a second before anything was measured: careful for a processor without matrix units. */
const flopsPerCore = 40e9;

/** Seconds of a step that no product explains: each layer is some hundred small operations. */
const secondsPerLayer = 0.0015;

/** Start of the engine, and bytes of weights that it then loads and hashes in a second. */
const engineStartSeconds = 4;
const loadedBytesPerSecond = 250e6;

/**
 * Seconds of products before anything was measured. A card has to read the weights from its memory, too, each time that
 * they are multiplied by.
 * @param work.flops of all products, and the bytes of weights that are read for them
 */
export function productSeconds(
  work: { flops: number; weightBytes: number },
  products: Products,
  { gpu, cores }: Pick<Calibration, 'gpu' | 'cores'>,
): number {
  if (!gpu) return work.flops / (flopsPerCore * cores);
  const rates = cardRates(gpu, products);
  return work.flops / rates.flops + work.weightBytes / rates.bytes;
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
 * over modelled, those of the same precision, model and method before others. Measurements on another device say
 * nothing. What was seen of a card's memory corrects nothing: TensorFlow takes it in regions that it doubles, up to
 * twice what it needs, and the whole card where it could do with less.
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
  const records = recordsOf(calibration);
  const same = records.filter((record) => isSameStep(record, planned));
  const ofModel = records.filter(({ modelId }) => modelId === planned.modelId);

  const memoryFrom = device === 'gpu' ? [] : same.length > 0 ? same : records;
  const factor = correction(
    memoryFrom.map(({ measured, forecast }) => measured.peakMemoryBytes / forecast.modelledBytes),
  );
  const timed = (list: readonly ForecastRecord[]) =>
    list.filter(({ measured }) => measured.secondsPerStep !== null);
  const alike = (record: ForecastRecord) =>
    productsOf(record.config, calibration.gpu) === productsOf(config, calibration.gpu);
  const ofMethod = (record: ForecastRecord) => record.config.adapter.method === config.adapter.method;
  const timedSame = timed(same);
  const [alikeOfModel, alikeHere] = [ofModel, records].map((list) => timed(list.filter(alike)));
  const timedFrom =
    [
      timedSame,
      alikeOfModel!.filter(ofMethod),
      alikeOfModel!,
      alikeHere!.filter(ofMethod),
      alikeHere!,
      timed(records),
    ].find((list) => list.length > 0) ?? [];
  // Forward, for the gradient of what goes in, and forward once more where activations are computed again.
  const readings = config.accumulate * (config.gradientCheckpointing ? 3 : 2);
  const modelled =
    productSeconds(
      { flops: work.flops, weightBytes: readings * memory.parts.weights },
      productsOf(config, calibration.gpu),
      calibration,
    ) +
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
      guess:
        timedFrom.length === 0 && calibration.gpu
          ? cardRates(calibration.gpu, productsOf(config, calibration.gpu)).source
          : null,
    },
  };
}

/** How a run multiplies matrices on its device. */
function productsOf(config: Pick<TrainConfig, 'precision' | 'tf32'>, gpu: Calibration['gpu']): Products {
  return gpu && usesTf32(config, gpu.capability ?? '8.0') ? 'tf32' : config.precision;
}

/** What was measured on the device that trainings compute on: of cards on those of the same name. */
function recordsOf({ records, gpu }: Calibration): ForecastRecord[] {
  return records.filter(({ device, card }) =>
    gpu ? device === 'gpu' && (card === null || card === gpu.name) : device === 'cpu',
  );
}

/** The peak where the forecast's memory is: of the process, or on its card. Null: not known. */
function measuredPeak({ device, measured }: ForecastRecord): number | null {
  return device === 'gpu' ? (measured.cardPeak?.bytes ?? null) : measured.peakMemoryBytes;
}

/** How far forecasts were off on this machine, as shares of what was measured; null without a run. */
export function forecastErrors(records: readonly ForecastRecord[]): {
  n: number;
  memory: number | null;
  time: number | null;
} | null {
  // A probe is a forecast's ground, no test of it.
  const runs = records.filter(({ runId }) => runId !== null);
  if (runs.length === 0) return null;
  const share = (foreseen: number, measured: number) => Math.abs(foreseen / measured - 1);
  const timed = runs.flatMap(({ forecast, measured }) =>
    measured.secondsPerStep === null ? [] : [share(forecast.secondsPerStep, measured.secondsPerStep)],
  );
  const peaked = runs.flatMap((run) => {
    const peak = measuredPeak(run);
    return peak === null ? [] : [share(run.forecast.memoryBytes, peak)];
  });
  return {
    n: runs.length,
    memory: peaked.length > 0 ? median(peaked) : null,
    time: timed.length > 0 ? median(timed) : null,
  };
}

/** From good to bad. */
const verdicts = ['fits', 'tight', 'too_large'] as const;
export type FitVerdict = (typeof verdicts)[number];

/**
 * Bytes of memory that a job can have of the device that computes: of a card what TensorFlow does not keep free for the
 * driver and its libraries, which goes by the compute capability (gpu_device.cc).
 */
export function deviceMemory({ gpu, memoryBytes }: Pick<Calibration, 'gpu' | 'memoryBytes'>): number {
  if (!gpu) return memoryBytes;
  const major = Math.floor(Number(gpu.capability ?? 8));
  const keptMebibytes = major >= 8 ? 1536 : major === 7 ? 1050 : 500;
  return Math.max(0, gpu.memoryBytes - keptMebibytes * 2 ** 20);
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
  const { loadIn8bit, loadIn4bit, trainOn, tf32 } = config;
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
    ...(tf32 && { tf32 }),
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
