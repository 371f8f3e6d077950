import type { EvaluationItem } from '../contract/entities.ts';
import type { ItemScatter } from '../contract/scatter.ts';
import { deviation, mean } from '../statistics/seeds.ts';

/**
 * How two subjects' answers to the same items differ, item by item; null where fewer than two items were graded by
 * both.
 */
export function itemScatter(
  first: readonly EvaluationItem[],
  second: readonly EvaluationItem[],
): Pick<ItemScatter, 'items' | 'difference' | 'discordance' | 'deviation'> | null {
  const theirs = new Map(second.map((item) => [item.index, item]));
  const pairs = first.flatMap((item) => {
    const other = theirs.get(item.index);
    return other ? [[item, other] as const] : [];
  });
  const graded = pairs.flatMap(([a, b]) =>
    a.correct === null || b.correct === null ? [] : [Number(b.correct) - Number(a.correct)],
  );
  if (graded.length >= 2)
    return {
      items: graded.length,
      difference: mean(graded),
      discordance: graded.filter((difference) => difference !== 0).length / graded.length,
      deviation: null,
    };
  const losses = pairs.flatMap(([a, b]) => (a.loss === null || b.loss === null ? [] : [b.loss - a.loss]));
  if (losses.length < 2) return null;
  return { items: losses.length, difference: mean(losses), discordance: null, deviation: deviation(losses) };
}
