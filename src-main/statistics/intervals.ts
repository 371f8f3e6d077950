import { normalTail } from './normal.ts';
import { createRandom } from './random.ts';

export type Interval = [number, number];

/** 97.5 % quantile of the normal distribution. */
const z95 = 1.959963984540054;

/** Wilson's 95 % score interval of a proportion (Wilson 1927). */
export function wilsonInterval(successes: number, n: number): Interval {
  if (n === 0) return [0, 1];
  const p = successes / n;
  const centre = (p + z95 ** 2 / (2 * n)) / (1 + z95 ** 2 / n);
  const half = (z95 * Math.sqrt((p * (1 - p)) / n + z95 ** 2 / (4 * n ** 2))) / (1 + z95 ** 2 / n);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/**
 * 95 % percentile bootstrap interval of a statistic over items (Efron 1979).
 * @param statistic value of a resample, given as item indices
 */
export function bootstrapInterval(
  items: number,
  statistic: (indices: Int32Array) => number,
  options: { seed: number; resamples?: number },
): Interval {
  const { seed, resamples = 2000 } = options;
  const random = createRandom(seed);
  const indices = new Int32Array(items);
  const values = Array.from({ length: resamples }, () => {
    for (let i = 0; i < items; i++) indices[i] = random.integer(items);
    return statistic(indices);
  }).sort((a, b) => a - b);
  const at = (q: number) => values[Math.min(resamples - 1, Math.max(0, Math.round(q * (resamples - 1))))]!;
  return [at(0.025), at(0.975)];
}

/** log n! */
function logFactorial(n: number): number {
  let total = 0;
  for (let i = 2; i <= n; i++) total += Math.log(i);
  return total;
}

/**
 * McNemar's exact test (two-sided binomial): do two graders of the same items differ?
 * @param onlyA items right only with a; onlyB: right only with b
 */
export function mcNemarExact(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  if (n === 0) return 1;
  const logOfHalf = n * Math.log(0.5);
  let tail = 0;
  for (let i = 0; i <= Math.min(onlyA, onlyB); i++)
    tail += Math.exp(logFactorial(n) - logFactorial(i) - logFactorial(n - i) + logOfHalf);
  return Math.min(1, 2 * tail);
}

/**
 * Wilcoxon's signed-rank test, two-sided, zero differences dropped. Exact up to 50 differences without ties, else the
 * normal approximation with tie correction and without continuity correction (as scipy.stats.wilcoxon with
 * method="auto" and correction=False).
 */
export function wilcoxonSignedRank(differences: readonly number[]): number {
  if (!differences.every(Number.isFinite)) throw new Error('wilcoxonSignedRank: a difference is not finite');
  const nonZero = differences.filter((d) => d !== 0);
  const n = nonZero.length;
  if (n === 0) return 1;
  const order = nonZero.map((d, i) => ({ size: Math.abs(d), i })).sort((a, b) => a.size - b.size);
  const ranks = new Float64Array(n);
  let tieTerm = 0;
  for (let begin = 0; begin < n;) {
    let end = begin;
    while (end < n && order[end]!.size === order[begin]!.size) end++;
    for (let i = begin; i < end; i++) ranks[order[i]!.i] = (begin + 1 + end) / 2;
    tieTerm += (end - begin) ** 3 - (end - begin);
    begin = end;
  }
  let positive = 0;
  nonZero.forEach((d, i) => {
    if (d > 0) positive += ranks[i]!;
  });
  if (n <= 50 && tieTerm === 0) return exactSignedRank(positive, n);
  const mean = (n * (n + 1)) / 4;
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tieTerm / 48;
  return 2 * normalTail(Math.abs(positive - mean) / Math.sqrt(variance));
}

/** Two-sided p of the rank sum, by counting the subsets of 1..n with each sum. */
function exactSignedRank(positive: number, n: number): number {
  const most = (n * (n + 1)) / 2;
  const counts = new Float64Array(most + 1);
  counts[0] = 1;
  for (let rank = 1; rank <= n; rank++)
    for (let total = most; total >= rank; total--) counts[total]! += counts[total - rank]!;
  const lower = Math.min(positive, most - positive);
  let tail = 0;
  for (let total = 0; total <= lower; total++) tail += counts[total]!;
  return Math.min(1, (2 * tail) / 2 ** n);
}

/** Holm's step-down correction (Holm 1979), in the order given. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((p, i) => ({ p, i })).sort((a, b) => a.p - b.p);
  const adjusted = new Array<number>(pValues.length);
  let running = 0;
  order.forEach(({ p, i }, rank) => {
    running = Math.max(running, Math.min(1, (pValues.length - rank) * p));
    adjusted[i] = running;
  });
  return adjusted;
}
