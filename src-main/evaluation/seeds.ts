import type { StudyOutcome } from '../contract/studies.ts';

/** A score of a setting with one seed. */
export interface SeedScore {
  arm: number;
  seed: number;
  value: number;
}

/**
 * Compares settings over seeds. Runs of one seed have the same held-out rows and the same order of data, so that differences are taken
 * seed by seed: what a seed does to both settings alike falls out.
 *
 * @param arms number of settings
 */
export function compareOverSeeds(arms: number, scores: readonly SeedScore[]): StudyOutcome {
  const bySeed = Array.from(
    { length: arms },
    (_, arm) => new Map(scores.filter((score) => score.arm === arm).map(({ seed, value }) => [seed, value])),
  );
  const outcome: StudyOutcome = { arms: [], pairs: [] };
  for (const [first, mine] of bySeed.entries()) {
    const values = [...mine.values()];
    outcome.arms.push({
      n: values.length,
      loss: values.length === 0 ? null : mean(values),
      deviation: values.length < 2 ? null : deviation(values),
    });
    for (let second = first + 1; second < arms; second++) {
      const theirs = bySeed[second]!;
      const differences = [...mine].flatMap(([seed, value]) =>
        theirs.has(seed) ? [value - theirs.get(seed)!] : [],
      );
      if (differences.length === 0) continue;
      outcome.pairs.push({
        ...{ first, second, n: differences.length },
        difference: mean(differences),
        interval: meanInterval(differences),
      });
    }
  }
  return outcome;
}

/** 95 % interval of a mean by Student's t; null with fewer than two values. */
export function meanInterval(values: readonly number[]): [number, number] | null {
  const n = values.length;
  if (n < 2) return null;
  const half = (studentQuantile(n - 1) * deviation(values)) / Math.sqrt(n);
  return [mean(values) - half, mean(values) + half];
}

/** The t with P(|T| < t) = 0.95 for `freedom` degrees of freedom, to ten digits. */
export function studentQuantile(freedom: number): number {
  let [low, high] = [0, 13];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (within(middle, freedom) < 0.95) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(|T| < t) for a whole number of degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4). */
function within(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const cosine = Math.cos(angle);
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample. */
function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
