import { holm } from './pairedTests.ts';
import { studentQuantile, studentTest } from './student.ts';
import type { StudyOutcome } from '../contract/studies.ts';

/** A score of a setting with one seed. */
export interface SeedScore {
  arm: number;
  seed: number;
  value: number;
}

/**
 * Compares settings over seeds. Runs of one seed have the same held-out rows and the same order of data, so that
 * differences are taken seed by seed: what a seed does to both settings alike falls out. P values are Student's,
 * corrected by Holm over all pairs that have two seeds.
 *
 * @param arms number of settings
 * @param asked the pairs that are compared; absent: all
 */
export function compareOverSeeds(
  arms: number,
  scores: readonly SeedScore[],
  asked: readonly (readonly [number, number])[] = everyPair(arms),
): StudyOutcome {
  const bySeed = Array.from(
    { length: arms },
    (_, arm) => new Map(scores.filter((score) => score.arm === arm).map(({ seed, value }) => [seed, value])),
  );
  const outcome: StudyOutcome = { arms: [], pairs: [] };
  for (const one of bySeed) {
    const values = [...one.values()];
    outcome.arms.push({
      n: values.length,
      loss: values.length === 0 ? null : mean(values),
      deviation: values.length < 2 ? null : deviation(values),
    });
  }
  for (const [first, second] of asked) {
    const theirs = bySeed[second]!;
    const differences = [...bySeed[first]!].flatMap(([seed, value]) =>
      theirs.has(seed) ? [value - theirs.get(seed)!] : [],
    );
    if (differences.length === 0) continue;
    outcome.pairs.push({
      first,
      second,
      n: differences.length,
      difference: mean(differences),
      interval: meanInterval(differences),
      deviation: differences.length < 2 ? null : deviation(differences),
      pAdjusted: null,
      verdict: 'cannot_tell',
    });
  }
  const tested = outcome.pairs.filter((pair) => pair.deviation !== null);
  const adjusted = holm(tested.map((pair) => studentTest(pair.difference, pair.deviation!, pair.n)));
  for (const [i, pair] of tested.entries()) {
    pair.pAdjusted = adjusted[i]!;
    if (pair.pAdjusted < 0.05) pair.verdict = pair.difference < 0 ? 'first_better' : 'second_better';
  }
  return outcome;
}

function everyPair(count: number): [number, number][] {
  return Array.from({ length: count }, (_, first) => first).flatMap((first) =>
    Array.from({ length: count - first - 1 }, (_, i): [number, number] => [first, first + 1 + i]),
  );
}

/** 95 % interval of a mean by Student's t; null with fewer than two values. */
export function meanInterval(values: readonly number[]): [number, number] | null {
  const n = values.length;
  if (n < 2) return null;
  const half = (studentQuantile(n - 1, 0.95) * deviation(values)) / Math.sqrt(n);
  return [mean(values) - half, mean(values) + half];
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

/** Of a sample. */
export function deviation(values: ArrayLike<number>): number {
  const middle = mean(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - middle) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}
