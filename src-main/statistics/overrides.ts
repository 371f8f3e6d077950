import type { Override } from '../contract/evaluation/overrides.ts';
import type { EvaluationItem } from '../contract/results.ts';
import { gradeOf } from './scores.ts';

/** What a person's grade says of an item. */
export type Regrade = Pick<Override, 'item' | 'grade' | 'seen'>;

/** Items with the grades that a person gave in place of the stored ones; a loss is no grade and stays. */
export function regraded(
  items: readonly EvaluationItem[],
  overrides: readonly Regrade[],
): readonly EvaluationItem[] {
  const grades = new Map(overrides.map(({ item, grade }) => [item, grade]));
  if (grades.size === 0) return items;
  return items.map((item) => {
    const grade = grades.get(item.id) ?? null;
    if (grade === null || item.loss !== null) return item;
    const isRight = grade === 'pass';
    return item.share === null
      ? { ...item, state: 'graded', correct: isRight }
      : { ...item, state: 'graded', share: Number(isRight) };
  });
}

/** How many grades a person changed, and how many of those without seeing whose answers they were. */
export function regradeCounts(
  items: readonly EvaluationItem[],
  overrides: readonly Regrade[],
): { changed: number; blind: number } {
  const said = new Map(overrides.map((one) => [one.item, one]));
  let [changed, blind] = [0, 0];
  if (said.size === 0) return { changed, blind };
  const after = regraded(items, overrides);
  items.forEach((item, i) => {
    if (gradeOf(item) === gradeOf(after[i]!)) return;
    changed++;
    if (said.get(item.id)!.seen === 'blind') blind++;
  });
  return { changed, blind };
}

/** How many grades of a person a verdict counts, and what they were given in sight of. */
export function overriddenWords({ changed, blind }: { changed: number; blind: number }): string {
  const grades = `${changed} ${changed === 1 ? 'grade' : 'grades'} changed by hand`;
  const seen = changed - blind;
  if (blind === 0) return `With ${grades}, in sight of whose answers they are`;
  if (seen === 0) return `With ${grades}, without seeing whose answers they are`;
  return `With ${grades}, ${blind} without seeing whose answers they are and ${seen} in sight of it`;
}
