import type { MemoryPart } from '../../src-main/budget/forecast/memory.ts';
import { deviceMemory, type FitVerdict, type Forecast } from '../../src-main/budget/forecast/calibrate.ts';
import type {
  Calibration,
  EvaluationForecast,
  ForecastBasis,
  RowLayout,
} from '../../src-main/contract/forecast.ts';
import { bytes, count, duration, percent } from '../ui/format.ts';

export const partNames: Readonly<Record<MemoryPart, { label: string; definition: string }>> = {
  process: {
    label: 'Process',
    definition: 'Node and TensorFlow, with what they compile; on a GPU CUDA and its libraries.',
  },
  weights: { label: 'Base weights', definition: 'All parameters of the base, in the type that computes.' },
  adapter: { label: 'Adapter', definition: 'Its parameters in f32, and row indices.' },
  gradients: { label: 'Gradients', definition: 'One f32 number for each trainable parameter.' },
  optimizer: { label: 'Optimizer', definition: 'Its state: two f32 numbers a parameter for AdamW.' },
  activations: {
    label: 'Activations',
    definition: 'What the layers keep for the backward pass, adapters included.',
  },
  attention: {
    label: 'Attention',
    definition: 'Queries, keys, values and weights kept for the backward pass.',
  },
  logits: { label: 'Logits', definition: 'Those of one chunk of positions at a time.' },
  working: { label: 'Working memory', definition: 'What one layer needs for the moment.' },
};

export const fitWords: Readonly<Record<FitVerdict, { sign: string; word: string }>> = {
  fits: { sign: '✓', word: 'fits' },
  tight: { sign: '!', word: 'tight' },
  too_large: { sign: '✕', word: 'does not fit' },
};

const basisWords: Readonly<Record<ForecastBasis, (n: number) => string>> = {
  model: () => 'from arithmetic alone: nothing was measured on this machine yet',
  machine: (n) =>
    `arithmetic, corrected by ${n === 1 ? 'one measurement' : `${n} measurements`} on this machine`,
  measured: (n) => `measured on this very step${n > 1 ? ` ${n} times` : ''}`,
};

/** Where a forecast comes from, as a sentence. */
export function basisSentence({ memory, time }: Forecast): string {
  const ofMemory =
    memory.hostBytes === null
      ? basisWords[memory.basis](memory.n)
      : 'from arithmetic alone: what a card’s memory is seen to hold is more than a run needs';
  const ofTime =
    time.guess === null
      ? basisWords[time.basis](time.n)
      : `a guess, at ${time.guess}, until something is measured on this card`;
  const sentence =
    ofMemory === ofTime ? `Memory and time: ${ofMemory}.` : `Memory: ${ofMemory}. Time: ${ofTime}.`;
  return sentence;
}

/** How far forecasts were off, as shares of what was measured. */
export function errorWords({ memory, time }: { memory: number | null; time: number | null }): string {
  return [
    ...(memory === null ? [] : [`${percent(100 * memory)} in memory`]),
    ...(time === null ? [] : [`${percent(100 * time)} in time a step`]),
  ].join(' and ');
}

/** Where a forecast of an evaluation comes from. */
export function evaluationBasis({ timeBasis, memoryBasis, hostBytes }: EvaluationForecast): string {
  const words = {
    model: 'arithmetic alone, as nothing was scored on this machine yet',
    machine: 'arithmetic, corrected by other evaluations on this machine',
    measured: 'from evaluations like it on this machine',
  } as const;
  if (hostBytes !== null) return `time ${words[timeBasis]}; memory from arithmetic alone`;
  return words[timeBasis === memoryBasis ? timeBasis : 'machine'];
}

/** Where the memory is needed, and how much is there. */
export function deviceSentence(
  { memory }: Forecast,
  calibration: Pick<Calibration, 'gpu' | 'memoryBytes'> | null,
): string {
  if (!calibration) return '';
  const machine = `${bytes(calibration.memoryBytes)} that this machine has`;
  if (!calibration.gpu || memory.hostBytes === null) return `Of ${machine}.`;
  const { name, memoryBytes } = calibration.gpu;
  return `Of ${bytes(deviceMemory(calibration))} that TensorFlow gives out of the ${bytes(memoryBytes)} on the GPU (${name}), and beside it about ${bytes(memory.hostBytes)} of ${machine}.`;
}

/** How long rows are in the arrays that are computed on. */
export function layoutSentence({ rowTokens, line }: RowLayout): string {
  return line
    ? `The rows of a pass lie side by side, ${count(Math.round(line.meanTokens))} tokens on average and ${count(rowTokens)} at most, with little padding.`
    : `Rows are ${count(rowTokens)} tokens long with padding.`;
}

/** 0.24 s, 12.5 s, 3 min. */
export function stepTime(seconds: number): string {
  if (seconds >= 60) return duration(1000 * seconds);
  return `${seconds.toPrecision(seconds < 1 ? 2 : 3)} s`;
}
