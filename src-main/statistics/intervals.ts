import { normalTail } from './normal.ts';

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

/** Of items that two subjects answered: right with both, with the first alone, the second alone, and with neither. */
export interface PairedCounts {
  both: number;
  onlyA: number;
  onlyB: number;
  neither: number;
}

/**
 * 95 % interval of the difference of two proportions on the same items, second less first: Newcombe's square-and-add
 * method 10 (Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
 * paired data"), from Wilson's intervals of both and their correlation. It has a width also where nothing differs.
 */
export function pairedDifferenceInterval({ both, onlyA, onlyB, neither }: PairedCounts): Interval {
  const n = both + onlyA + onlyB + neither;
  if (n === 0) return [-1, 1];
  const [rightA, rightB] = [both + onlyA, both + onlyB];
  const [a, b] = [rightA / n, rightB / n];
  const [[lowA, highA], [lowB, highB]] = [wilsonInterval(rightA, n), wilsonInterval(rightB, n)];
  const margins = rightA * rightB * (n - rightA) * (n - rightB);
  const cross = both * neither - onlyA * onlyB;
  const phi = margins === 0 ? 0 : (cross > 0 ? Math.max(cross - n / 2, 0) : cross) / Math.sqrt(margins);
  const spread = (x: number, y: number) => Math.sqrt(Math.max(0, x * x - 2 * phi * x * y + y * y));
  return [b - a - spread(b - lowB, highA - a), b - a + spread(highB - b, a - lowA)];
}

/**
 * McNemar's exact test (two-sided binomial): do two graders of the same items differ?
 * @param onlyA items right only with a; onlyB: right only with b
 */
export function mcNemarExact(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  const least = Math.min(onlyA, onlyB);
  // The terms grow towards the last: each is the one after it, scaled. The last may be too small for a number.
  let logLast = n * Math.log(0.5);
  for (let i = 1; i <= least; i++) logLast += Math.log((n - i + 1) / i);
  let [term, sum] = [1, 0];
  for (let i = least; i >= 0 && term > 1e-17 * sum; i--) {
    sum += term;
    term *= i / (n - i + 1);
  }
  return Math.min(1, 2 * Math.exp(logLast + Math.log(sum)));
}

/**
 * Wilcoxon's signed-rank test, two-sided, zero differences dropped. Exact up to 50 differences without ties, else the
 * normal approximation with tie correction and without continuity correction (as scipy.stats.wilcoxon with
 * method="auto" and correction=False).
 */
export function wilcoxonSignedRank(differences: readonly number[]): number {
  if (!differences.every(Number.isFinite)) throw new Error('wilcoxonSignedRank: a difference is not finite');
  // Sorted apart as numbers and merged: with 50,000 of them that takes milliseconds.
  const above = Float64Array.from(differences.filter((d) => d > 0)).sort();
  const below = Float64Array.from(
    differences.filter((d) => d < 0),
    (d) => -d,
  ).sort();
  const n = above.length + below.length;
  if (n === 0) return 1;
  let [positive, tieTerm] = [0, 0];
  for (let [i, j] = [0, 0]; i + j < n;) {
    const size = Math.min(above[i] ?? Infinity, below[j] ?? Infinity);
    const begin = i + j;
    const firstAbove = i;
    while (above[i] === size) i++;
    while (below[j] === size) j++;
    const ties = i + j - begin;
    // Each of them has the mean of their ranks.
    positive += (i - firstAbove) * (begin + (ties + 1) / 2);
    tieTerm += ties ** 3 - ties;
  }
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
