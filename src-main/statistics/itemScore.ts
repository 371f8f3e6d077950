import type { ScoredItem } from './alignment.ts';
import { bootstrapMean } from './bootstrap.ts';
import { clusteredMean, clusteredMeanInterval, clusteredWilson, clustersOf, itemsWorth } from './clusters.ts';
import type { Interval } from './intervals.ts';
import type { ScoreKind } from './pairOutcome.ts';

export const intervalMethods = ['wilson', 'wilson_clustered', 'bootstrap', 'student', 'bounds'] as const;
export type IntervalMethod = (typeof intervalMethods)[number];

/** A score with what is not known of it. */
export interface ItemScore {
  /** Mean over the graded items; null: none was. */
  score: number | null;
  /** 95 %; items that were not graded widen it. */
  interval: Interval;
  method: IntervalMethod;
  /** All items, and those graded. */
  n: number;
  graded: number;
  failed: number;
  cutOff: number;
  /** Groups of items that belong together; null: each stands for itself. */
  groups: number | null;
  designEffect: number;
  /** Items drawn one by one that would tell as much. */
  effectiveN: number;
}

/** What the values of items are: a share where any is between right and wrong. */
export function kindOf(items: Iterable<Pick<ScoredItem, 'correct'>>, isLoss: boolean): ScoreKind {
  if (isLoss) return 'loss';
  for (const { correct } of items)
    if (typeof correct === 'number' && correct !== 0 && correct !== 1) return 'share';
  return 'right';
}

/** An item's value; NaN: it was not graded. */
export function valueOf(kind: ScoreKind, { correct, loss, state }: ScoredItem): number {
  const value = kind === 'loss' ? loss : correct;
  return state !== 'graded' || value === null ? NaN : Number(value);
}

/** From so many clusters on they are drawn anew. */
const fewestDrawn = 20;

/**
 * The score of items and its 95 % interval, from the items as they are stored:
 * right or wrong: Wilson's, over groups with the effective number of items; shares: BCa bootstrap, and Wilson's, which
 * is wider, where they are few or all alike; mean loss: Student's, over groups.
 *
 * Of items that failed or were cut off nothing is known but that their score is between 0 and 1: with the share c of
 * graded items the interval is c [low, high] + (1 - c) [0, 1]. A loss has no such bound.
 */
export function scoreItems(kind: ScoreKind, items: readonly ScoredItem[]): ItemScore {
  const n = items.length;
  const kept = items.filter((item) => !Number.isNaN(valueOf(kind, item)));
  const values = Float64Array.from(kept, (item) => valueOf(kind, item));
  const clusters = clustersOf(kept.map(({ group }) => group));
  const graded = kept.length;
  const states = {
    n,
    graded,
    failed: items.filter(({ state }) => state === 'failed').length,
    cutOff: items.filter(({ state }) => state === 'cut_off').length,
  };
  if (graded === 0) {
    const interval: Interval = kind === 'loss' ? [0, Number.MAX_VALUE] : [0, 1];
    return {
      score: null,
      interval,
      method: 'bounds',
      ...states,
      groups: null,
      designEffect: 1,
      effectiveN: 0,
    };
  }
  const found = clusteredMean(values, clusters);
  const rest = {
    ...states,
    score: found.mean,
    groups: clusters.isGrouped ? clusters.count : null,
    designEffect: found.designEffect,
    effectiveN: clusters.isGrouped ? itemsWorth(found) : graded,
  };
  // One loss says nothing of others.
  if (kind === 'loss')
    return { ...rest, interval: clusteredMeanInterval(found) ?? [0, Number.MAX_VALUE], method: 'student' };
  const drawn = kind === 'share' && clusters.count >= fewestDrawn ? bootstrapMean(values, clusters) : null;
  const isDrawn = drawn !== null && drawn[0] < drawn[1];
  const [low, high] = isDrawn ? drawn : clusteredWilson(values, clusters);
  const share = graded / n;
  return {
    ...rest,
    interval: [share * low, share * high + (1 - share)],
    method: isDrawn ? 'bootstrap' : clusters.isGrouped ? 'wilson_clustered' : 'wilson',
  };
}
