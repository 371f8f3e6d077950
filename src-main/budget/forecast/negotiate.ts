import type { Calibration, RowLayout, RowLengths } from '../../contract/forecast.ts';
import { StudioError } from '../../contract/errors.ts';
import { quantizationOf, quantizationOptions, type TrainConfig } from '../../contract/training.ts';
import { methodOf } from '../../methods/registry.ts';
import { rankStep } from '../../options/checkAdapter.ts';
import { forecastTraining, truncatedShare, type Forecast, type PlannedTraining } from './calibrate.ts';
import { rowLayoutOf } from './rowLayout.ts';

/** What may not be exceeded; null: no limit. */
export interface ForecastLimits {
  memoryBytes: number | null;
  seconds: number | null;
}

/** One change of a configuration, and what it brings. */
export interface Suggestion {
  id:
    | ('checkpointing' | 'batch' | 'context' | 'precision' | 'quantized_base' | 'optimizer' | 'rank')
    | 'combination';
  /** What is changed, in words. */
  label: string;
  /** Options of the run, and of its adapter, that change. */
  changes: Partial<Omit<TrainConfig, 'adapter'>> & { adapter?: { rank: number; alpha: number } };
  forecast: Forecast;
  /** Whether all limits are kept with it. */
  isEnough: boolean;
  /** What it may do to the result: 0 nothing, 1 hardly anything, 2 something. */
  risk: 0 | 1 | 2;
  riskWords: string;
}

/** A saving below this share of memory or time is not worth a change. */
const leastSaving = 0.02;

/**
 * Changes that lower the memory or time of a training that exceeds a limit, best first: those that suffice before those
 * that do not, and of these the one with the least risk for the result, then the greatest saving of what is exceeded.
 * Where no single change suffices, several together that do so come first.
 *
 * Steps stay as many as they are: a smaller batch gets more accumulation, so that a step sees as many rows as before.
 *
 * @param lengths token lengths of the data; null: the share of rows that a shorter context cuts is not known, and none
 * is offered
 * @returns nothing where all limits are kept
 */
export function negotiate(
  planned: PlannedTraining,
  calibration: Calibration,
  limits: ForecastLimits,
  lengths: RowLengths | null,
): Suggestion[] {
  const now = forecastTraining(planned, calibration);
  const over = excess(now, limits);
  if (over.memory <= 0 && over.time <= 0) return [];
  const found = candidates(planned, lengths, powersOfTwo).flatMap((candidate): Suggestion[] => {
    const forecast = forecastOf(changed(planned, candidate, lengths), calibration);
    if (!forecast) return [];
    const saves = (before: number, after: number) => after < before * (1 - leastSaving);
    const helps =
      (over.memory > 0 && saves(now.memory.correctedBytes, forecast.memory.correctedBytes)) ||
      (over.time > 0 && saves(now.time.seconds, forecast.time.seconds));
    return helps ? [{ ...candidate, forecast, isEnough: distance(forecast, limits) === 0 }] : [];
  });
  const saved = ({ forecast }: Suggestion) =>
    over.memory > 0
      ? now.memory.correctedBytes - forecast.memory.correctedBytes
      : now.time.seconds - forecast.time.seconds;
  found.sort((a, b) => Number(b.isEnough) - Number(a.isEnough) || a.risk - b.risk || saved(b) - saved(a));
  if (found[0]?.isEnough) return found;
  const together = combination(planned, calibration, limits, lengths);
  return together ? [together, ...found] : found;
}

/** A training with a change. */
function changed(
  planned: PlannedTraining,
  { changes }: Candidate,
  lengths: RowLengths | null,
): PlannedTraining {
  const { adapter, ...run } = changes;
  const config = { ...planned.config, ...run, adapter: { ...planned.config.adapter, ...adapter } };
  const { labels: _labels, ...rest } = planned;
  return { ...rest, config, ...changedLayout(planned, config, lengths) };
}

/** The layout of rows with another batch or context. */
function changedLayout(planned: PlannedTraining, config: TrainConfig, lengths: RowLengths | null): RowLayout {
  const { rowTokens, line, labels } = planned;
  const longest = longestRow(planned);
  if (config.context < longest || (line && lengths && config.batch !== planned.config.batch))
    return rowLayoutOf(config, longest, lengths);
  const share = config.batch / planned.config.batch;
  const ofLabels = labels !== undefined && { labels: labels * share };
  if (!line) return { rowTokens, line, ...ofLabels };
  const scaled = (tokens: number) => Math.max(longest, tokens * share);
  const meanTokens = scaled(line.meanTokens);
  return { rowTokens: Math.ceil(scaled(rowTokens)), line: { ...line, meanTokens }, ...ofLabels };
}

/** Tokens of the longest row, as far as it is known. */
function longestRow({ rowTokens, line }: RowLayout): number {
  return line?.longest ?? rowTokens;
}

/**
 * Several changes with which a training keeps its limits; null where none together do. The least risk first, and of
 * those the one that comes nearest, until the limits are kept; then every change without which they are kept as well is
 * taken back, the greatest risk first.
 */
function combination(
  planned: PlannedTraining,
  calibration: Calibration,
  limits: ForecastLimits,
  lengths: RowLengths | null,
): Suggestion | null {
  const taken = new Map<Suggestion['id'], Candidate>();
  const apply = (list: Iterable<Candidate>) =>
    [...list].reduce((now, candidate) => changed(now, candidate, lengths), planned);
  const left = (list: Iterable<Candidate>) => {
    const forecast = forecastOf(apply(list), calibration);
    return forecast ? distance(forecast, limits) : Infinity;
  };
  let now = left([]);
  while (now > 0) {
    // Each kind of change once, from the training as it was asked for.
    const open = candidates(planned, lengths, divisors).filter(({ id }) => !taken.has(id));
    const better = open
      .map((candidate) => ({ candidate, left: left([...taken.values(), candidate]) }))
      .filter((one) => one.left < now * (1 - leastSaving));
    const [best] = better.sort((a, b) => a.candidate.risk - b.candidate.risk || a.left - b.left);
    if (!best) return null;
    taken.set(best.candidate.id, best.candidate);
    now = best.left;
  }
  for (const { id } of [...taken.values()].sort((a, b) => b.risk - a.risk)) {
    const rest = [...taken.values()].filter((other) => other.id !== id);
    if (left(rest) === 0) taken.delete(id);
  }
  // A batch as large as the others allow: fewer passes a step.
  for (const candidate of candidates(planned, lengths, divisors).filter(({ id }) => id === 'batch')) {
    const rest = [...taken.values()].filter(({ id }) => id !== 'batch');
    if (!taken.has('batch') || left([...rest, candidate]) > 0) continue;
    taken.set('batch', candidate);
    break;
  }
  const parts = [...taken.values()];
  const changes = Object.assign({}, ...parts.map((part) => part.changes)) as Suggestion['changes'];
  return {
    id: 'combination',
    label: `Together: ${parts.map(({ label }) => `${label[0]!.toLowerCase()}${label.slice(1)}`).join('; ')}`,
    changes,
    forecast: forecastTraining(apply(parts), calibration),
    isEnough: true,
    risk: parts.reduce<Suggestion['risk']>((most, { risk }) => (risk > most ? risk : most), 0),
    riskWords: parts.map(({ riskWords }) => riskWords).join(' '),
  };
}

/** How far a forecast is beyond its limits, as a share of them; 0: it keeps them. */
function distance(forecast: Forecast, limits: ForecastLimits): number {
  const { memory, time } = excess(forecast, limits);
  return Math.max(0, memory / (limits.memoryBytes ?? 1)) + Math.max(0, time / (limits.seconds ?? 1));
}

function excess({ memory, time }: Forecast, limits: ForecastLimits): { memory: number; time: number } {
  return {
    memory: limits.memoryBytes === null ? 0 : memory.correctedBytes - limits.memoryBytes,
    time: limits.seconds === null ? 0 : time.seconds - limits.seconds,
  };
}

/** The forecast, or null where the change is impossible for the model. */
function forecastOf(planned: PlannedTraining, calibration: Calibration): Forecast | null {
  try {
    return forecastTraining(planned, calibration);
  } catch (error) {
    if (error instanceof StudioError) return null;
    throw error;
  }
}

type Candidate = Omit<Suggestion, 'forecast' | 'isEnough'>;

/** Parts into which a batch can be divided, fewest first. */
type Parts = (batch: number) => number[];

const divisors: Parts = (batch) => {
  const small: number[] = [];
  for (let parts = 1; parts * parts <= batch; parts++) if (batch % parts === 0) small.push(parts);
  const large = small.map((parts) => batch / parts).filter((parts) => !small.includes(parts));
  return [...small, ...large.reverse()].slice(1);
};
/** Few enough to be read one by one. */
const powersOfTwo: Parts = (batch) => divisors(batch).filter((parts) => Number.isInteger(Math.log2(parts)));

function candidates(planned: PlannedTraining, lengths: RowLengths | null, partsOf: Parts): Candidate[] {
  const { config } = planned;
  const longest = longestRow(planned);
  const list: Candidate[] = [];
  if (!config.gradientCheckpointing)
    list.push({
      id: 'checkpointing',
      label: 'Compute activations again instead of keeping them (checkpointing)',
      changes: { gradientCheckpointing: true },
      risk: 0,
      riskWords: 'Same result; a step takes longer.',
    });
  for (const parts of partsOf(config.batch))
    list.push({
      id: 'batch',
      label: `Batch ${config.batch / parts} with ${config.accumulate * parts} passes a step instead of ${config.batch} with ${config.accumulate}`,
      changes: { batch: config.batch / parts, accumulate: config.accumulate * parts },
      risk: 0,
      riskWords: 'A step sees the same number of rows; the gradient is that of the same mean.',
    });
  const { adapter } = config;
  if (methodOf(adapter) && quantizationOf(config) === 'none')
    list.push({
      id: 'quantized_base',
      label: 'Keep the frozen base in 8 bits',
      changes: quantizationOptions('int8'),
      risk: 1,
      riskWords: 'The base is rounded to 127 steps a row; a step takes longer.',
    });
  if (methodOf(adapter) && !config.loadIn4bit)
    list.push({
      id: 'quantized_base',
      label: 'Keep the frozen base in 4 bits (NF4)',
      changes: quantizationOptions('nf4'),
      risk: 2,
      riskWords: 'The base is rounded to 16 steps a block of 64 weights; a step takes longer.',
    });
  if (config.precision === 'f32')
    list.push({
      id: 'precision',
      label: 'bf16 instead of f32 for weights and activations',
      changes: { precision: 'bf16' },
      risk: 1,
      riskWords: 'Rounding noise; the adapter itself stays in f32.',
    });
  if (config.optimizer === 'adamw')
    list.push({
      id: 'optimizer',
      label: 'AdamW with 8-bit moments',
      changes: { optimizer: 'adamw8bit' },
      risk: 1,
      riskWords: 'Moments are rounded; losses usually agree to the second digit.',
    });
  if (lengths)
    for (const share of [3 / 4, 1 / 2, 1 / 4]) {
      const context = 8 * Math.floor((longest * share) / 8);
      if (context < 8) continue;
      const cut = truncatedShare(lengths, context);
      list.push({
        id: 'context',
        label: `Context ${context} instead of ${longest} tokens`,
        changes: { context },
        risk: cut <= 0.01 ? 1 : 2,
        riskWords: `Cuts ${cut === 0 ? 'no row' : `${(100 * cut).toFixed(cut < 0.1 ? 1 : 0)} % of the rows`}: what is cut off is not learned.`,
      });
    }
  if (adapter.method !== 'full') {
    const step = rankStep(adapter);
    const rank = Math.max(step, Math.floor(adapter.rank / 2 / step) * step);
    if (rank < adapter.rank)
      list.push({
        id: 'rank',
        label: `Rank ${rank} instead of ${adapter.rank}`,
        changes: { adapter: { rank, alpha: (adapter.alpha * rank) / adapter.rank } },
        risk: 2,
        riskWords: 'Fewer trainable parameters: the adapter can learn less.',
      });
  }
  return list;
}
