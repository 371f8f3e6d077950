import type { Evaluation, EvaluationItem, GroupScore, ScoreSums } from '../contract/results.ts';
import { errorOverGroups, fewestGroups, itemsWorth } from './clusters.ts';
import { wilsonInterval, type Interval } from './intervals.ts';
import { studentQuantile } from './student.ts';

/** Sums over answers, of which each has a summed loss and a number of tokens. */
export function lossSums(rows: Iterable<{ lossSum: number; tokens: number }>): ScoreSums & { kind: 'loss' } {
  const sums = { kind: 'loss' as const, loss: 0, tokens: 0, lossSquares: 0, tokenSquares: 0, products: 0 };
  for (const { lossSum, tokens } of rows) {
    sums.loss += lossSum;
    sums.tokens += tokens;
    sums.lossSquares += lossSum ** 2;
    sums.tokenSquares += tokens ** 2;
    sums.products += lossSum * tokens;
  }
  return sums;
}

/** Sums over graded items: right answers, or shares where items are asked several times. */
export function itemSums(
  items: readonly Pick<EvaluationItem, 'correct' | 'share'>[],
): Exclude<ScoreSums, { kind: 'loss' }> {
  const isShare = items.some(({ share }) => share !== null);
  const grades = items.map(gradeOf);
  const ungraded = grades.filter((grade) => grade === null).length;
  if (!isShare) return { kind: 'right', right: grades.filter((grade) => grade === 1).length, ungraded };
  return {
    kind: 'share',
    sum: grades.reduce<number>((sum, grade) => sum + (grade ?? 0), 0),
    squares: grades.reduce<number>((sum, grade) => sum + (grade ?? 0) ** 2, 0),
    ungraded,
  };
}

/** 1: right, 0: wrong, between them a share; null: not graded. */
export function gradeOf({ correct, share }: Pick<EvaluationItem, 'correct' | 'share'>): number | null {
  return share ?? (correct === null ? null : Number(correct));
}

/** Grades by group, in the order of their first items; empty where items stand alone. */
export function groupScores(
  items: readonly Pick<EvaluationItem, 'correct' | 'share' | 'group'>[],
): GroupScore[] {
  const groups = new Map<string, GroupScore>();
  for (const item of items) {
    if (item.group === null) continue;
    const group = groups.get(item.group) ?? { name: item.group, n: 0, right: 0 };
    groups.set(item.group, group);
    group.n++;
    group.right += gradeOf(item) ?? 0;
  }
  return [...groups.values()];
}

/** Share of right answers (what was not graded counts as wrong), or perplexity per answer token. */
export function scoreOf(sums: ScoreSums, n: number): number {
  switch (sums.kind) {
    case 'right':
      return sums.right / n;
    case 'share':
      return sums.sum / n;
    case 'loss':
      return Math.exp(sums.loss / sums.tokens);
  }
}

/**
 * 95 % interval of a score: Wilson's for right answers, Student's for shares, over groups Wilson's of the items that
 * they are worth; widened by what was not graded. Else that of a ratio of sums over items with Student's t (Cochran
 * 1977, 6.3), taken to the exponent. One item says nothing of others: any perplexity is possible.
 * @param groups in which items belong together, where they do
 */
export function scoreInterval(sums: ScoreSums, n: number, groups: readonly GroupScore[] = []): Interval {
  if (sums.kind !== 'loss') {
    const graded = n - sums.ungraded;
    if (graded === 0) return [0, 1];
    const worth = worthOfGroups(sums, n, groups);
    const right = sums.kind === 'right' ? sums.right : sums.sum;
    const [low, high] =
      worth !== null
        ? wilsonInterval((right / graded) * worth, worth)
        : sums.kind === 'right'
          ? wilsonInterval(right, graded)
          : shareInterval(sums, graded);
    // Of the rest nothing is known but that it is between all wrong and all right.
    return [(graded * low) / n, (graded * high + sums.ungraded) / n];
  }
  if (n < 2) return [1, Number.MAX_VALUE];
  const mean = sums.loss / sums.tokens;
  const squares = Math.max(0, sums.lossSquares - 2 * mean * sums.products + mean ** 2 * sums.tokenSquares);
  const error = Math.sqrt((n / (n - 1)) * squares) / sums.tokens;
  const half = studentQuantile(n - 1, 0.95) * error;
  return [Math.max(1, Math.exp(mean - half)), Math.min(Number.MAX_VALUE, Math.exp(mean + half))];
}

/**
 * Items drawn one by one that would tell as much as those in groups; null where they stand alone, or the groups are too
 * few to speak of groups.
 */
function worthOfGroups(
  sums: Exclude<ScoreSums, { kind: 'loss' }>,
  n: number,
  groups: readonly GroupScore[],
): number | null {
  const inGroups = groups.reduce((total, group) => total + group.n, 0);
  if (groups.length < fewestGroups || groups.length === n || inGroups < n) return null;
  const [total, ofSquares] = sums.kind === 'right' ? [sums.right, sums.right] : [sums.sum, sums.squares];
  const mean = total / n;
  const clustered = groups.reduce((sum, group) => sum + (group.right - mean * group.n) ** 2, 0);
  const squares = ofSquares - n * mean ** 2;
  const { designEffect } = errorOverGroups({ n, groups: groups.length, mean, squares, clustered });
  return itemsWorth({ effectiveN: (n - sums.ungraded) / designEffect, freedom: groups.length - 1 });
}

/**
 * Student's interval of a mean of shares, within 0 and 1. Where all shares are alike it would have no width: Wilson's
 * stands in its place, as if each item were asked once.
 */
function shareInterval({ sum, squares }: ScoreSums & { kind: 'share' }, n: number): Interval {
  const mean = sum / n;
  const variance = n < 2 ? 0 : Math.max(0, squares - n * mean ** 2) / (n - 1);
  if (variance === 0) return wilsonInterval(mean * n, n);
  const half = studentQuantile(n - 1, 0.95) * Math.sqrt(variance / n);
  return [Math.max(0, mean - half), Math.min(1, mean + half)];
}

/**
 * An evaluation with the interval that today's rule gives: what is stored are the sums. One from before they were kept
 * has the number of right answers in its score; its perplexity keeps the interval that was stored.
 */
export function withInterval(evaluation: Evaluation): Evaluation {
  const { sums, metric, n, score, groups } = evaluation;
  const known =
    sums ??
    (metric === 'accuracy' ? { kind: 'right' as const, right: Math.round(score * n), ungraded: 0 } : null);
  return known ? { ...evaluation, interval: scoreInterval(known, n, groups) } : evaluation;
}

/** A sentence where scored items were trained on: the score then says little about others. */
export function leakWarning({ leak, n, subject }: Pick<Evaluation, 'leak' | 'n' | 'subject'>): string[] {
  if (leak === null || leak.items === 0) return [];
  const share = (100 * leak.items) / n;
  return [
    `${leak.items} of ${n} scored items (${share.toFixed(share < 10 ? 1 : 0)} %) stand in the rows that ${subject} was trained on ("${leak.dataset}").`,
  ];
}
