import type { BenchmarkName } from '../../contract/evaluation/benchmarks.ts';
import type {
  Calibration,
  DeviceKind,
  EvaluationForecast,
  EvaluationMeasurement,
} from '../../contract/forecast.ts';
import {
  trainConfigSchema,
  type AdapterConfig,
  type Precision,
  type Quantization,
} from '../../contract/training.ts';
import { countParameters } from '../count.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { correction, median, productSeconds, startOf } from './calibrate.ts';
import { possibleParts } from '../../options/deviceSizes.ts';
import { baseBytes, cudaBytes, hostMemoryBytes, processBytes, widenedBytes } from './memory.ts';
import { isFusedShape, passOf, sumLayers } from './pass.ts';
import { decodingSize, type DecodingSize } from '../../options/decodingSize.ts';
import type { ScoringCalls } from '../../options/scoredLengths.ts';

/** An evaluation that is planned. */
export interface PlannedEvaluation {
  modelId: string;
  shape: ModelShape;
  benchmark: BenchmarkName;
  precision: Precision;
  /** Null: the base model. */
  adapter: AdapterConfig | null;
  /** How the base is kept, as the run had it. */
  quantization: Quantization;
  items: number;
  /** Tokens of the longest row: prompt and answer for perplexity, the prompt for what is generated or chosen. */
  rowTokens: number;
  /** Tokens of an answer at most; 0: nothing is generated, answers are scored. */
  maxTokens: number;
  /** The calls in which rows are scored (options/scoredLengths.ts); null: all are as long as the longest. */
  scoring: readonly ScoringCalls[] | null;
}

/** The parts of an evaluation's memory, in the order in which they are shown. */
export const evaluationParts = ['process', 'weights', 'adapter', 'cache', 'logits', 'working'] as const;
export type EvaluationPart = (typeof evaluationParts)[number];

/** Rows that are scored or decoded together (services/evaluations/evaluations.ts). */
export const evaluationBatch = 16;

/** Rows of a batch, and their places. */
interface Layout {
  batch: number;
  /** Rows of the widest call, and their tokens. */
  widest: { batch: number; tokens: number };
  /** Logits that are made in one call, in rows of the vocabulary. */
  outputs: number;
  /** The cache; null: nothing is generated. */
  size: DecodingSize | null;
}

function layoutOf(planned: PlannedEvaluation): Layout {
  const { items, rowTokens, maxTokens } = planned;
  const batch = Math.max(1, Math.min(evaluationBatch, items));
  if (maxTokens === 0) {
    const calls = callsOf(planned, batch);
    const widest = calls.reduce((most, call) =>
      call.rows * call.tokens > most.rows * most.tokens ? call : most,
    );
    const outputs = calls.reduce((most, call) => Math.max(most, call.outputs), 0);
    return { batch, widest: { batch: widest.rows, tokens: widest.tokens }, outputs, size: null };
  }
  // Which models compute a text anew is not known here; it takes a few prompts' slots more.
  const lengths = Array.from({ length: batch }, () => rowTokens);
  const size = decodingSize(lengths, { batch, maxTokens, contextLength: Infinity, restarts: [] });
  return { batch, widest: { batch: 1, tokens: size.prefillTokens }, outputs: batch, size };
}

/** As the engine makes them (engine/inference/score.ts and choices.ts). */
function callsOf(
  { scoring, items, rowTokens }: PlannedEvaluation,
  batch: number,
): readonly Required<ScoringCalls>[] {
  const calls: readonly ScoringCalls[] =
    scoring && scoring.length > 0
      ? scoring
      : [{ tokens: 8 * Math.ceil(rowTokens / 8), calls: Math.ceil(items / batch) }];
  return calls.map(({ rows = batch, ...call }) => ({ rows, outputs: rows * call.tokens, ...call }));
}

/**
 * Peak memory of an evaluation where its tensors live, in bytes of each part and of all: no gradient is kept, so that
 * one layer at a time is what it needs beside weights and cache.
 *
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function evaluationMemory(
  planned: PlannedEvaluation,
  device: DeviceKind = 'cpu',
): { parts: Readonly<Record<EvaluationPart, number>>; bytes: number } {
  const { shape, precision, adapter, quantization } = planned;
  const { batch, widest, outputs, size } = layoutOf(planned);
  const wide = precision === 'bf16' ? 2 : 4;
  const { queryBlock, logitElements } = possibleParts(device, quantization)[0];
  const rows = widest.batch * widest.tokens;
  const { hiddenSize, intermediateSize, vocabularySize, heads, keyValueHeads, headDim, layers } = shape;
  const isAdapted = adapter !== null && adapter.method !== 'full';
  const count = isAdapted ? countParameters(shape, adapter) : null;
  const scored = (queries: number, keys: number) => 2 * heads * queries * keys * 4;
  const streamBytes = rows * (6 * hiddenSize + 3 * intermediateSize) * wide;
  // Keys or values of a token in one layer.
  const slotBytes = keyValueHeads * headDim * wide;
  const pastSlots = size ? batch * size.pastSlots.at(-1)! : 0;
  const cacheSlots = size ? pastSlots + batch * size.recentSlots + size.promptSlots : 0;
  const scoreBytes = size
    ? Math.max(
        scored(batch, size.pastSlots.at(-1)! + size.recentSlots),
        scored(size.prefillTokens, size.promptSlots),
      )
    : scored(widest.batch * Math.min(widest.tokens, queryBlock), widest.tokens);
  const chunkElements =
    2 * (size ? outputs * vocabularySize : Math.min(outputs * vocabularySize, logitElements));
  const ownBytes = isFusedShape(shape, device) ? processBytes.compiled : processBytes.plain;
  const parts: Record<EvaluationPart, number> = {
    process: device === 'gpu' ? cudaBytes : ownBytes,
    weights: baseBytes(shape, wide, quantization),
    adapter: count ? count.adapterBytes.f32 + (wide === 2 ? wide * count.trainable : 0) : 0,
    cache: layers * 2 * cacheSlots * slotBytes,
    logits: 4 * chunkElements,
    // A join holds what one table becomes beside what it was and a copy of that.
    working:
      streamBytes + scoreBytes + widenedBytes(shape, planned, device) + (cacheSlots + pastSlots) * slotBytes,
  };
  return { parts, bytes: evaluationParts.reduce((total, name) => total + parts[name], 0) };
}

/** Floating-point operations of the matrix products of a whole evaluation, were every answer as long as allowed. */
export function evaluationWork(
  planned: PlannedEvaluation,
  device: DeviceKind = 'cpu',
): { flops: number; calls: number } {
  const { shape, adapter, items, rowTokens, maxTokens, quantization } = planned;
  const place = { device, parts: possibleParts(device, quantization)[0] };
  const { batch, size } = layoutOf(planned);
  const config = {
    ...trainConfigSchema.parse({ adapter: { method: 'full', rank: 1, alpha: 1 } }),
    ...(adapter && { adapter }),
    precision: planned.precision,
  };
  const forward = (tokens: number, rows = batch) =>
    sumLayers(passOf(shape, config, { batch: rows, tokens }, place), ({ flops }) => flops.forward);
  const head = (positions: number) => 2 * positions * shape.hiddenSize * shape.vocabularySize;
  if (!size)
    return callsOf(planned, batch).reduce(
      ({ flops, calls }, call) => ({
        flops: flops + call.calls * (forward(call.tokens, call.rows) + head(call.outputs)),
        calls: calls + call.calls,
      }),
      { flops: 0, calls: 0 },
    );
  const prefills = items * Math.ceil(rowTokens / size.prefillTokens);
  const steps = Math.ceil(items / batch) * maxTokens;
  return {
    flops: prefills * (forward(size.prefillTokens, 1) + head(1)) + steps * (forward(1) + head(batch)),
    calls: prefills + steps,
  };
}

/** An evaluation that was made, with what was foreseen of it. */
export interface EvaluationRecord {
  modelId: string;
  benchmark: BenchmarkName;
  precision: Precision;
  forecast: EvaluationForecast;
  measured: EvaluationMeasurement;
}

/** Seconds of a call that no product explains, for each layer. */
const secondsPerLayer = 0.0004;

/**
 * Forecast of an evaluation's peak memory and time: the arithmetic, corrected by the evaluations that were made on this
 * machine, those of the same model, benchmark and length before others. Answers may end early: where none was made yet,
 * what is generated is foreseen as if every answer were as long as allowed.
 *
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function forecastEvaluation(
  planned: PlannedEvaluation,
  machine: Pick<Calibration, 'cores' | 'gpu'>,
  records: readonly EvaluationRecord[],
): EvaluationForecast {
  const { shape, modelId, benchmark, precision, items, rowTokens, maxTokens } = planned;
  const device: DeviceKind = machine.gpu ? 'gpu' : 'cpu';
  const { bytes, parts } = evaluationMemory(planned, device);
  const { flops, calls } = evaluationWork(planned, device);
  const modelledSeconds =
    startOf(shape) +
    productSeconds({ flops, weightBytes: calls * parts.weights }, precision, machine) +
    calls * secondsPerLayer * shape.layers;
  const card = machine.gpu?.name ?? null;
  const here = records.filter(
    ({ forecast }) => forecast.device === device && (forecast.card === null || forecast.card === card),
  );
  const alike = here.filter((record) => record.benchmark === benchmark && record.precision === precision);
  const same = alike.filter(
    (record) => record.modelId === modelId && record.forecast.maxTokens === maxTokens,
  );
  const ground = [same, alike, here].find((list) => list.length > 0) ?? [];
  const basis = same.length > 0 ? 'measured' : ground.length > 0 ? 'machine' : 'model';
  const memory = device === 'gpu' ? [] : ground;
  return {
    device,
    card,
    items,
    rowTokens,
    maxTokens,
    modelledBytes: bytes,
    modelledSeconds,
    memoryBytes:
      bytes *
      correction(memory.map(({ measured, forecast }) => measured.peakMemoryBytes / forecast.modelledBytes)),
    seconds:
      modelledSeconds *
      correction(ground.map(({ measured, forecast }) => measured.seconds / forecast.modelledSeconds)),
    hostBytes: device === 'gpu' ? hostMemoryBytes(shape) : null,
    memoryBasis: device === 'gpu' ? 'model' : basis,
    timeBasis: basis,
  };
}

/**
 * How far forecasts of evaluations were off on this machine, as shares of what was measured (medians); null without
 * one.
 */
export function evaluationErrors(
  records: readonly EvaluationRecord[],
): { n: number; memory: number | null; time: number } | null {
  if (records.length === 0) return null;
  const share = (foreseen: number, measured: number) => Math.abs(foreseen / measured - 1);
  // The peak is the process's on the machine: what a card held is not in it.
  const peaked = records.filter(({ forecast }) => forecast.device === 'cpu');
  return {
    n: records.length,
    memory:
      peaked.length > 0
        ? median(
            peaked.map(({ forecast, measured }) => share(forecast.memoryBytes, measured.peakMemoryBytes)),
          )
        : null,
    time: median(records.map(({ forecast, measured }) => share(forecast.seconds, measured.seconds))),
  };
}
