import { normalQuantile } from './normal.ts';
import { studentPower } from './student.ts';

/** How sure an answer is to be. */
export interface Certainty {
  /** Chance of a false alarm, two-sided. */
  alpha: number;
  /** Chance to see a difference that is there. */
  power: number;
}

export const usualCertainty: Certainty = { alpha: 0.05, power: 0.8 };

/** Most that an answer names: beyond it, the difference cannot be seen in practice. */
export const mostItems = 100_000_000;
const mostSeedsNamed = 10_000;

/**
 * Test items with which McNemar's exact test sees a difference of accuracy between two adapters that answer the same
 * items:
 *
 *   n = (z_{1 - alpha/2} sqrt(p) + z_power sqrt(p - d^2))^2 / d^2 + 1 / d
 *
 * for a difference d and a discordance p, the share of items that exactly one of them gets right (Connor 1987, "Sample
 * size for testing differences in proportions for the paired-sample design", Biometrics 43). 1 / d is what an exact
 * test of counts needs beyond the normal approximation.
 *
 * @param difference share, above 0; @param discordance share, at least the difference
 * @returns whole items; null where no discordance of that size can hold the difference, or none could be counted
 */
export function itemsForAccuracy(
  difference: number,
  discordance: number,
  certainty: Certainty = usualCertainty,
): number | null {
  const d = Math.abs(difference);
  if (!(d > 0) || !(discordance >= d) || discordance > 1) return null;
  const [zAlpha, zPower] = quantilesOf(certainty);
  const root = zAlpha * Math.sqrt(discordance) + zPower * Math.sqrt(Math.max(0, discordance - d * d));
  return counted((root / d) ** 2 + 1 / d);
}

/**
 * Test items with which Wilcoxon's signed-rank test sees a difference of mean loss, where the differences item by item
 * scatter normally:
 *
 *   n = (pi / 3) ((z_{1 - alpha/2} + z_power) s / d)^2 + z_{1 - alpha/2}^2 / 2
 *
 * 3 / pi is the test's efficiency beside the t test (Lehmann 1975, Nonparametrics); the last term is Guenther's
 * correction (1981).
 *
 * @param difference nats per token; @param deviation of the differences, in nats
 */
export function itemsForLoss(
  difference: number,
  deviation: number,
  certainty: Certainty = usualCertainty,
): number | null {
  const d = Math.abs(difference);
  if (!(d > 0) || !(deviation >= 0)) return null;
  const [zAlpha, zPower] = quantilesOf(certainty);
  const n = (Math.PI / 3) * (((zAlpha + zPower) * deviation) / d) ** 2 + zAlpha ** 2 / 2;
  // With fewer than six no two-sided signed-rank test reaches 5 %.
  return counted(Math.max(6, n));
}

/**
 * Seeds of each method with which a paired t test over seeds sees a difference between two methods, where the
 * differences at equal seeds scatter normally: the fewest with that power, exactly (noncentral t). At least two: one
 * seed says nothing about chance.
 *
 * @param deviation of the difference between seeds, in the unit of the difference
 * @returns null beyond 10,000
 */
export function seedsFor(
  difference: number,
  deviation: number,
  certainty: Certainty = usualCertainty,
): number | null {
  const d = Math.abs(difference);
  if (!(d > 0) || !(deviation >= 0)) return null;
  if (deviation === 0) return 2;
  const [zAlpha, zPower] = quantilesOf(certainty);
  // The normal approximation is never above: its test knows the scatter.
  const least = Math.max(2, Math.ceil(((zAlpha + zPower) * (deviation / d)) ** 2));
  if (!(least <= mostSeedsNamed)) return null;
  let seeds = least;
  while (studentPower(d / deviation, seeds, certainty.alpha) < certainty.power) seeds++;
  return seeds;
}

/**
 * The smallest difference that so many items show.
 * @param itemsFor items that a difference needs; falls as the difference grows
 * @param most greatest difference that is possible
 * @returns null where even that is not seen
 */
export function smallestDifference(
  items: number,
  itemsFor: (difference: number) => number | null,
  most: number,
): number | null {
  const isSeen = (difference: number) => (itemsFor(difference) ?? Infinity) <= items;
  if (!isSeen(most)) return null;
  let [low, high] = [0, most];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (isSeen(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The smallest difference of accuracy that McNemar's test shows with so many items, at the discordance that was seen,
 * or at the least that holds the difference.
 * @param items may be an effective number; @returns null where even the greatest is not seen
 */
export function detectableAccuracy(
  items: number,
  discordance: number,
  certainty: Certainty = usualCertainty,
): number | null {
  return smallestDifference(items, (d) => itemsForAccuracy(d, Math.max(d, discordance), certainty), 1);
}

/**
 * The smallest difference of a mean that the signed-rank test shows with so many items whose differences scatter
 * normally: `itemsForLoss` solved for the difference.
 * @returns null with fewer than six items
 */
export function detectableMean(
  items: number,
  deviation: number,
  certainty: Certainty = usualCertainty,
): number | null {
  if (!(items >= 6) || !(deviation >= 0)) return null;
  const [zAlpha, zPower] = quantilesOf(certainty);
  const left = items - zAlpha ** 2 / 2;
  return left > 0 ? (zAlpha + zPower) * deviation * Math.sqrt(Math.PI / 3 / left) : null;
}

/** A curve asks for the same two at each of its points. */
let lastQuantiles: { certainty: Certainty; pair: [number, number] } | null = null;

/** z_{1 - alpha/2} and z_power. */
function quantilesOf({ alpha, power }: Certainty): [number, number] {
  const known = lastQuantiles;
  if (known?.certainty.alpha === alpha && known.certainty.power === power) return known.pair;
  const pair: [number, number] = [normalQuantile(1 - alpha / 2), normalQuantile(power)];
  lastQuantiles = { certainty: { alpha, power }, pair };
  return pair;
}

function counted(n: number): number | null {
  const whole = Math.ceil(n - 1e-9);
  return whole <= mostItems ? whole : null;
}
