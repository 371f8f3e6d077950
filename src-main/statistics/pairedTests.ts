import { normalTail } from './normal.ts';
import { createRandom } from './random.ts';

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

/** What becomes of differences of 0: left out, ranked and then left out (Pratt 1959), or half a rank to either side. */
export type ZeroMethod = 'wilcox' | 'pratt' | 'zsplit';

/** Ranks of the sizes of differences, with the sign of each. */
interface SignedRanks {
  /** In the order of the differences: mean rank with sign, 0 for a difference of 0. */
  ranks: Float64Array;
  nonzero: number;
  zeros: number;
  /** Sum of t^3 - t over ties of t differences that are not 0. */
  tieTerm: number;
}

function signedRanks(differences: ArrayLike<number>, zeroMethod: ZeroMethod): SignedRanks {
  const sizes = Float64Array.from(differences, Math.abs);
  if (!sizes.every(Number.isFinite)) throw new Error('signed ranks: a difference is not finite');
  const sorted = sizes.slice().sort();
  let zeros = 0;
  while (zeros < sorted.length && sorted[zeros] === 0) zeros++;
  const below = zeroMethod === 'wilcox' ? zeros : 0;
  const rankOf = new Map<number, number>();
  let tieTerm = 0;
  for (let begin = zeros; begin < sorted.length;) {
    let end = begin + 1;
    while (end < sorted.length && sorted[end] === sorted[begin]) end++;
    // Each of them has the mean of their ranks.
    rankOf.set(sorted[begin]!, (begin + 1 + end) / 2 - below);
    tieTerm += (end - begin) ** 3 - (end - begin);
    begin = end;
  }
  const ranks = Float64Array.from(differences, (d) =>
    d === 0 ? 0 : Math.sign(d) * rankOf.get(Math.abs(d))!,
  );
  return { ranks, nonzero: sorted.length - zeros, zeros, tieTerm };
}

/** Up to so many differences, 0 and ties among them, the distribution is counted; without any up to the second. */
const mostCountedWithTies = 13;
const mostCounted = 50;

/**
 * Wilcoxon's signed-rank test, two-sided: as scipy.stats.wilcoxon 1.17 with method="auto" and correction=False. Exact
 * up to 50 differences without ties and zeros, and up to 13 with them; else the normal approximation with its
 * correction for ties (and for zeros by Pratt: Cureton 1967).
 * @param zeroMethod scipy's `zero_method`, which is "wilcox" where a paper says nothing of it
 */
export function wilcoxonSignedRank(
  differences: ArrayLike<number>,
  zeroMethod: ZeroMethod = 'wilcox',
): number {
  const { ranks, nonzero, zeros, tieTerm } = signedRanks(differences, zeroMethod);
  if (nonzero === 0) return 1;
  const isPlain = tieTerm === 0 && zeros === 0;
  if (ranks.length <= (isPlain ? mostCounted : mostCountedWithTies)) return countedSignFlips(ranks)!;
  let statistic = 0;
  for (const rank of ranks) statistic += rank;
  // Of the sum of signed ranks, which is twice the sum of positive ranks less their total.
  const n = nonzero + (zeroMethod === 'wilcox' ? 0 : zeros);
  const squares = (count: number) => (count * (count + 1) * (2 * count + 1)) / 6;
  const zeroTerm = zeroMethod === 'zsplit' ? zeros ** 3 - zeros : 0;
  const variance = squares(n) - (zeroMethod === 'pratt' ? squares(zeros) : 0) - (tieTerm + zeroTerm) / 12;
  return 2 * normalTail(Math.abs(statistic) / Math.sqrt(variance));
}

/**
 * Wilcoxon's signed-rank test where differences belong together: the signs of a cluster's ranks are turned together
 * (Rosner, Glynn and Lee 2006, "The Wilcoxon signed rank test for paired comparisons of clustered data").
 * @param clusterOf number of each difference's cluster, from 0 to below `clusters`
 */
export function clusteredSignedRank(
  differences: ArrayLike<number>,
  clusterOf: Int32Array,
  clusters: number,
  zeroMethod: ZeroMethod = 'wilcox',
): number {
  const { ranks } = signedRanks(differences, zeroMethod);
  const sums = new Float64Array(clusters);
  for (let i = 0; i < ranks.length; i++) sums[clusterOf[i]!]! += ranks[i]!;
  return signFlipTest(sums);
}

/** Counting stops where it would take more steps; with so few sums all outcomes are walked through. */
const mostSteps = 2e6;
const mostWalked = 16;
/** From so many sums of like size on, their total is normal; of fewer it is drawn. */
const manySums = 40;
const draws = 20_000;

/**
 * Whether independent sums scatter around 0: two-sided p of their total under all ways to turn their signs (Fisher
 * 1935). Of sums of 1 and -1 this is McNemar's exact test; of sums over clusters it is that test for clusters. Exact
 * where it can be counted or walked through; by the normal approximation for many sums, and for few by 20,000 draws,
 * which are always the same.
 */
export function signFlipTest(sums: ArrayLike<number>): number {
  const told = Float64Array.from(sums).filter((sum) => sum !== 0);
  if (told.length === 0) return 1;
  if (!told.every(Number.isFinite)) throw new Error('sign flips: a sum is not finite');
  const counted = countedSignFlips(told);
  if (counted !== null) return counted;
  if (told.length <= mostWalked) return walkedSignFlips(told);
  let [total, squares, fourths] = [0, 0, 0];
  for (const sum of told) {
    total += sum;
    squares += sum ** 2;
    fourths += sum ** 4;
  }
  if (squares ** 2 / fourths >= manySums) return 2 * normalTail(Math.abs(total) / Math.sqrt(squares));
  return drawnSignFlips(told, Math.abs(total));
}

/** Two-sided p of sums of halves, by counting the outcomes of each total; null: no halves, or too many. */
function countedSignFlips(sums: Float64Array): number | null {
  let [most, total] = [0, 0];
  const sizes: number[] = [];
  for (const sum of sums) {
    if (!Number.isInteger(2 * sum)) return null;
    if (sum === 0) continue;
    sizes.push(Math.abs(2 * sum));
    most += Math.abs(2 * sum);
    total += 2 * sum;
  }
  // Halves only where ranks are tied.
  const step = sizes.every((size) => size % 2 === 0) ? 2 : 1;
  const limit = Math.round((most - Math.abs(total)) / 2 / step);
  if ((limit + 1) * sizes.length > mostSteps) return null;
  // Chances of the total of those turned downwards, up to the least that is as far from the middle as what was found.
  const chances = new Float64Array(limit + 1);
  chances[0] = 1;
  for (const size of sizes) {
    const jump = size / step;
    for (let at = limit; at >= 0; at--)
      chances[at] = 0.5 * (chances[at]! + (at >= jump ? chances[at - jump]! : 0));
  }
  let tail = 0;
  for (const chance of chances) tail += chance;
  return Math.min(1, 2 * tail);
}

/** All 2^n outcomes, each from the one before by turning one sign (Gray 1953). */
function walkedSignFlips(sums: Float64Array): number {
  const signs = sums.slice();
  let total = 0;
  let size = 0;
  for (const sum of sums) {
    total += sum;
    size += Math.abs(sum);
  }
  const bar = Math.abs(total) - 1e-12 * size;
  const outcomes = 2 ** sums.length;
  let reached = 0;
  for (let i = 1; i <= outcomes; i++) {
    if (Math.abs(total) >= bar) reached++;
    const turned = 31 - Math.clz32(i & -i);
    if (turned >= signs.length) break;
    total -= 2 * signs[turned]!;
    signs[turned] = -signs[turned]!;
  }
  return reached / outcomes;
}

/** So many signs come of one drawn number. */
const bits = 30;

function drawnSignFlips(sums: Float64Array, found: number): number {
  const random = createRandom(sums.length);
  const words = new Int32Array(Math.ceil(sums.length / bits));
  const bar = found * (1 - 1e-12);
  let reached = 1;
  for (let draw = 0; draw < draws; draw++) {
    random.fillIntegers(words, 2 ** bits);
    let total = 0;
    for (let word = 0, i = 0; word < words.length; word++)
      for (let signs = words[word]!, end = Math.min(i + bits, sums.length); i < end; i++, signs >>= 1)
        total += sums[i]! * (1 - 2 * (signs & 1));
    if (Math.abs(total) >= bar) reached++;
  }
  return reached / (draws + 1);
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
