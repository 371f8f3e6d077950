import type { Comparison, Ranked, Ranking } from '../contract/evaluation/comparison.ts';
import { compactLetters, type ToldApart } from '../statistics/ranking.ts';
import { isNearZero } from './verdict.ts';

/** A subject's own score, before it is put among others. */
export type Unranked = Omit<Ranked, 'letters' | 'isAmongBest'>;

/**
 * Puts subjects side by side by what their comparisons say: letters for those that are not told apart, instead of ranks
 * that chance would turn, and one sentence that says what the order is worth.
 * @param comparisons of all pairs of these subjects, judged; at least one
 */
export function rank(
  { benchmark, data, metric }: Pick<Ranking, 'benchmark' | 'data' | 'metric'>,
  subjects: readonly Unranked[],
  comparisons: readonly Comparison[],
): Ranking {
  const about = { benchmark, data, metric };
  const sign = metric === 'mean_loss' ? 1 : -1;
  const height = ({ score }: Unranked) => (score === null ? Infinity : sign * score);
  const sorted = [...subjects].sort((a, b) => height(a) - height(b));
  const place = new Map(sorted.map(({ name }, i) => [name, i]));
  const apart = comparisons.flatMap(({ a, b, verdict }): ToldApart[] => {
    const [first, second] = [place.get(a), place.get(b)];
    return verdict === 'cannot_tell' || first === undefined || second === undefined ? [] : [[first, second]];
  });
  const letters = compactLetters(sorted.length, apart);
  // Where scores and tests disagree the test counts: nobody is better than one that stands among the best.
  const worse = new Set(
    comparisons.flatMap(({ a, b, verdict }) =>
      verdict === 'a_better' ? [b] : verdict === 'b_better' ? [a] : [],
    ),
  );
  const ranked = sorted.map((subject, i): Ranked => {
    const isAmongBest = !worse.has(subject.name);
    return { ...subject, letters: letters[i]!, isAmongBest };
  });
  const isDecisive = apart.length > 0;
  return { ...about, sentence: firstSentence(about, ranked, comparisons), isDecisive, subjects: ranked };
}

function firstSentence(
  { data, metric }: Pick<Ranking, 'data' | 'metric'>,
  ranked: readonly Ranked[],
  comparisons: readonly Comparison[],
): string {
  const [only] = comparisons;
  if (!only) return `${ranked[0]?.name ?? 'Nothing'} stands alone: there is nothing to compare it with.`;
  if (comparisons.length === 1) return only.sentence;
  const where = `on ${itemRange(comparisons)} of ${data}`;
  const open = comparisons.filter(({ verdict }) => verdict === 'cannot_tell').length;
  const names = (subjects: readonly Ranked[]) => listed(subjects.map(({ name }) => name));
  if (open === comparisons.length) {
    if (
      metric !== 'mean_loss' &&
      ranked.every(
        ({ score, interval, ungraded }) => score !== null && isNearZero(score, interval[1]) && ungraded === 0,
      )
    )
      return `This benchmark is beyond all ${ranked.length}: accuracy is near 0, so it cannot tell ${names(ranked)} apart ${where}.`;
    const isClear = comparisons.every(({ interval: [low, high] }) => low <= 0 && high >= 0);
    const why = isClear
      ? `All ${open} pairwise differences include zero`
      : `None of the ${open} pairwise differences stands once all are tested together`;
    return `${why}: the ranking of ${names(ranked)} ${where} is not decisive.`;
  }
  const best = ranked.filter(({ isAmongBest }) => isAmongBest);
  const others = ranked.filter(({ isAmongBest }) => !isAmongBest);
  const [first] = best;
  const isAbove = (a: Ranked, b: Ranked) => !a.letters.some((letter) => b.letters.includes(letter));
  if (best.length === 1 && others.every((other) => isAbove(first!, other)))
    return `${first!.name} is better than ${others.length === 2 ? 'both' : 'each'} of ${names(others)} ${where}.`;
  if (best.length === 1)
    return `${first!.name} is better than ${names(others.filter((other) => isAbove(first!, other)))} ${where}, and not told apart from ${names(others.filter((other) => !isAbove(first!, other)))}.`;
  return `No single best ${where}: ${names(best)} cannot be told apart; ${names(others)} ${others.length === 1 ? 'is' : 'are'} worse than one of them or more.`;
}

/** Items of the pairs: fewer of some where answers failed. */
function itemRange(comparisons: readonly Comparison[]): string {
  const counts = comparisons.map(({ n }) => n).sort((a, b) => a - b);
  const [least, most] = [counts[0]!, counts.at(-1)!];
  return `${least === most ? least : `${least} to ${most}`} ${most === 1 ? 'item' : 'items'}`;
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
