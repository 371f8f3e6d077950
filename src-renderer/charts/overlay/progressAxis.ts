import type { Run } from '../../../src-main/contract/entities.ts';
import type { StepMetric } from '../../../src-main/contract/runRecords.ts';
import { duration, shortCount } from '../../ui/format.ts';

/** What a curve's horizontal axis can count. */
export const progressMeasures = ['steps', 'tokens', 'time'] as const;
export type ProgressMeasure = (typeof progressMeasures)[number];

/**
 * How much a step of a run is on an axis: 1 step, the mean tokens of a step, or the seconds that these take at the
 * run's median speed. Null where it is not known: nothing was trained yet, or the run is older than the record of its
 * data.
 */
export function perStep(
  run: Pick<Run, 'dataContract' | 'config'>,
  steps: readonly Pick<StepMetric, 'tokensPerSecond'>[],
  measure: ProgressMeasure,
): number | null {
  if (measure === 'steps') return 1;
  const { dataContract: data, config } = run;
  // Packed rows: a batch is of packs.
  const rows = data?.packing?.packs ?? data?.trainRows ?? 0;
  if (!data || rows === 0) return null;
  const tokens = (data.tokens / rows) * config.batch * config.accumulate;
  if (measure === 'tokens') return tokens;
  const speeds = steps.map(({ tokensPerSecond }) => tokensPerSecond).sort((a, b) => a - b);
  const speed = speeds[Math.floor(speeds.length / 2)];
  return speed ? tokens / speed : null;
}

/** A place on the axis in words. */
export function placeText(x: number, measure: ProgressMeasure): string {
  switch (measure) {
    case 'steps':
      return shortCount(Math.round(x));
    case 'tokens':
      return shortCount(Math.round(x));
    case 'time':
      return duration(1000 * x);
    default:
      throw new Error(`unknown measure ${String(measure satisfies never)}`);
  }
}

/** The value of a line at a place, from the point before it; null before its first and after its last. */
export function valueAt(line: readonly (readonly [x: number, value: number])[], x: number): number | null {
  const [first, last] = [line[0], line.at(-1)];
  if (!first || !last || x < first[0] || x > last[0]) return null;
  let [low, high] = [0, line.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (line[middle]![0] <= x) low = middle;
    else high = middle - 1;
  }
  return line[low]![1];
}
