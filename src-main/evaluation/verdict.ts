import type { Comparison } from '../contract/evaluation/comparison.ts';
import { holm } from '../statistics/pairedTests.ts';
import {
  detectableAccuracy,
  detectableMean,
  itemsForAccuracy,
  itemsForLoss,
  seedsFor,
  usualCertainty,
} from '../statistics/sampleSize.ts';
import { wilsonInterval } from '../statistics/intervals.ts';
import { studentQuantile } from '../statistics/student.ts';

/** What a comparison is from the figures alone; the rest follows from what is tested with it. */
export type Measured = Omit<
  Comparison,
  'pAdjusted' | 'family' | 'isChosen' | 'verdict' | 'detectable' | 'needed' | 'sentence' | 'outlook'
>;

/**
 * Whether a benchmark says nothing about models of this accuracy: near 0, and certainly so. None right of 16 may well
 * be one right of ten.
 * @param high upper bound of its 95 % interval
 */
export function isNearZero(score: number, high: number): boolean {
  return score < 0.02 && high < 0.05;
}

const significance = usualCertainty.alpha;
/** With fewer items that differ no paired test reaches the level above, whatever the outcome (Tarone 1990). */
const fewestItems = 6;

/** Whether some outcome on the items that differ would have shown a difference. */
export function couldTell({ differing }: Pick<Comparison, 'differing'>): boolean {
  return differing >= fewestItems;
}

/**
 * Verdicts on all that is asked at once: p values are corrected by Holm over all pairs and benchmarks given.
 * Comparisons that were corrected before are judged anew with the others.
 * @param chosenOf of one pair alone: pairs from which it was chosen by its scores
 */
export function judgeTogether(measured: readonly Measured[], chosenOf = 1): Comparison[] {
  const isChosen = measured.length === 1 && chosenOf > 1;
  const family = isChosen ? chosenOf : measured.length;
  const adjusted = holm(measured.map(({ pValue }) => pValue));
  return measured.map((figures, i) => {
    const pAdjusted = isChosen ? Math.min(1, chosenOf * adjusted[i]!) : adjusted[i]!;
    const judged = { ...figures, pAdjusted, family, isChosen, verdict: verdictOn(figures, pAdjusted) };
    const detectable = detectableBy(judged);
    const needed = neededFor(judged);
    return {
      ...judged,
      detectable,
      needed,
      sentence: sentence(judged),
      outlook: judged.verdict === 'cannot_tell' ? outlook({ ...judged, detectable, needed }) : null,
    };
  });
}

/** What was not graded can turn a difference as far as the interval reaches: it must not decide. */
function verdictOn(c: Measured, pAdjusted: number): Comparison['verdict'] {
  const [low, high] = c.interval;
  if (pAdjusted >= significance || (c.ungraded.items > 0 && low <= 0 && high >= 0)) return 'cannot_tell';
  const isLess = c.difference < 0;
  return (c.metric === 'mean_loss') === isLess ? 'b_better' : 'a_better';
}

type Judged = Measured & Pick<Comparison, 'pAdjusted' | 'family' | 'isChosen' | 'verdict'>;

/** Of all tests made together the first must pass the strictest level: that is the one that is planned for. */
function certaintyOf({ family }: Pick<Comparison, 'family'>) {
  return { ...usualCertainty, alpha: significance / family };
}

function detectableBy(c: Judged): number | null {
  const certainty = certaintyOf(c);
  if (c.overSeeds) {
    const { error, freedom } = c.overSeeds;
    const quantiles = [1 - certainty.alpha, 2 * certainty.power - 1].map((p) => studentQuantile(freedom, p));
    return error * (quantiles[0]! + quantiles[1]!);
  }
  return c.counts
    ? detectableAccuracy(c.effectiveN, discordance(c), certainty)
    : detectableMean(c.effectiveN, c.deviation, certainty);
}

function neededFor(c: Judged): Comparison['needed'] {
  const certainty = certaintyOf(c);
  if (c.overSeeds) {
    const { deviation } = c.overSeeds;
    return { items: null, seeds: seedsFor(c.difference, deviation, certainty) };
  }
  const alone = c.counts
    ? itemsForAccuracy(c.difference, discordance(c), certainty)
    : itemsForLoss(c.difference, c.deviation, certainty);
  const items = alone === null ? null : Math.ceil((alone * c.n) / c.effectiveN);
  return { items, seeds: null };
}

/** Where hardly an item differs, more would than were seen (Agresti and Coull 1998). */
function discordance({ differing, n }: Pick<Comparison, 'differing' | 'n'>): number {
  return Math.max(n === 0 ? 0 : differing / n, (differing + 2) / (n + 4));
}

/** A figure in the metric's unit, and a difference with its sign. */
function words(metric: Comparison['metric']) {
  const [factor, digits, unit] = metric === 'mean_loss' ? [1, 3, 'nats'] : [100, 1, 'points'];
  return {
    unit,
    score: (value: number) =>
      metric === 'mean_loss' ? `${value.toFixed(3)} nats per token` : `${(100 * value).toFixed(1)} %`,
    size: (value: number) => `${Math.abs(factor * value).toFixed(digits)} ${unit}`,
    signed: (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(factor * value).toFixed(digits)}`,
  };
}

const testNames: Record<Comparison['test'], string> = {
  mcnemar_exact: "McNemar's exact test",
  wilcoxon_signed_rank: "Wilcoxon's signed-rank test",
  mcnemar_clustered: "McNemar's test over groups",
  signed_rank_clustered: "Wilcoxon's signed-rank test over groups",
  student_seeds_items: "Student's t over seeds and items",
};

function sentence(c: Judged): string {
  if (c.n === 0)
    return `Nothing can be told of ${c.b} and ${c.a}: of ${itemCount(c.ungraded.items)} of ${c.data} none was graded for both, since answers failed or were cut off.`;
  const isLoss = c.metric === 'mean_loss';
  const { score, signed, unit } = words(c.metric);
  const uncertainty =
    isLoss && c.n < fewestItems
      ? `too few items for an interval: at least ${fewestItems} are needed to show any difference`
      : `95 % interval ${signed(c.interval[0])} to ${signed(c.interval[1])}`;
  const few =
    c.n >= fewestItems && !couldTell(c)
      ? `; they differ on ${c.differing === 0 ? 'no item' : `only ${c.differing}`}, and fewer than ${fewestItems} show nothing`
      : '';
  const groups =
    c.groups === null
      ? ''
      : ` in ${c.groups} groups, which tell as much as ${Math.round(c.effectiveN)} alone`;
  const basis =
    `on ${itemCount(c.n)} of ${c.data}${groups}: ${score(c.scoreB)} against ${score(c.scoreA)}` +
    `${isLoss ? ', mean over items' : ''}, difference ${signed(c.difference)} ${unit} (${uncertainty}${open(c)}); ` +
    `${testNames[c.test]}, p = ${c.pAdjusted.toPrecision(2)}${correction(c)}${few}; ${seedWords(c)}`;
  if (isBeyondReach(c))
    return `This benchmark is beyond both models: accuracy is near 0, so it cannot tell ${c.a} and ${c.b} apart (${basis}).`;
  switch (c.verdict) {
    case 'b_better':
      return `${c.b} is better than ${c.a} ${basis}.`;
    case 'a_better':
      return `${c.b} is worse than ${c.a} ${basis}.`;
    case 'cannot_tell':
      return `Cannot tell ${c.b} and ${c.a} apart ${basis}.`;
    default:
      throw new Error(`unknown verdict ${String(c.verdict satisfies never)}`);
  }
}

/** Both are near 0 on all items: not where answers that are missing may be right. */
function isBeyondReach({ verdict, metric, scoreA, scoreB, effectiveN, ungraded }: Judged): boolean {
  if (verdict !== 'cannot_tell' || metric === 'mean_loss' || ungraded.items > 0) return false;
  const score = Math.max(scoreA, scoreB);
  return isNearZero(score, wilsonInterval(score * effectiveN, effectiveN)[1]);
}

function itemCount(count: number): string {
  return `${count} ${count === 1 ? 'item' : 'items'}`;
}

/** What is said of items that failed or were cut off. */
function open({ ungraded, metric }: Judged): string {
  if (ungraded.items === 0) return '';
  const more = `${itemCount(ungraded.items)} more without a whole answer`;
  return metric === 'mean_loss'
    ? `; ${more}, which it does not cover`
    : `, with ${more}, whatever they would be`;
}

function correction({ family, isChosen }: Judged): string {
  if (isChosen) return `, Bonferroni over the ${family} pairs of what was scored`;
  return family > 1 ? `, Holm over ${family} pairs` : '';
}

function seedWords({ seeds, overSeeds }: Judged): string {
  const list = (numbers: readonly number[]) => numbers.join(', ');
  if (overSeeds)
    return list(seeds.a) === list(seeds.b)
      ? `${seeds.a.length} runs each, seeds ${list(seeds.a)}`
      : `${seeds.b.length} runs with seeds ${list(seeds.b)} against ${seeds.a.length} with ${list(seeds.a)}`;
  const [[seedA], [seedB]] = [seeds.a, seeds.b];
  if (seedA === undefined || seedB === undefined) return 'one run';
  return `one run each, ${seedA === seedB ? `seed ${seedA}` : `seeds ${seedB} and ${seedA}`}: what another seed would change is not covered`;
}

/** What so much would have shown, and what would settle it. */
function outlook(c: Judged & Pick<Comparison, 'detectable' | 'needed'>): string {
  if (c.n === 0) return 'Allow longer answers, or look at what failed.';
  const { size } = words(c.metric);
  const grouped = new Intl.NumberFormat('en-US');
  const many = c.overSeeds
    ? 'these seeds and items'
    : c.n === 1
      ? 'one item'
      : `${grouped.format(c.n)} items`;
  const seen =
    c.detectable === null
      ? `With ${many} no difference would be seen reliably.`
      : `With ${many} a difference of ${size(c.detectable)} or more is seen in 4 of 5 cases.`;
  const [count, what] = c.overSeeds ? [c.needed.seeds, 'seeds of each'] : [c.needed.items, 'items'];
  const has = c.overSeeds ? Math.min(c.seeds.a.length, c.seeds.b.length) : c.n;
  if (c.difference === 0 || c.differing === 0) return seen;
  if (count === null)
    return `${seen} One of ${size(c.difference)} is too small to be settled by more of them.`;
  if (count <= has) return seen;
  return `${seen} One of ${size(c.difference)}, as it is here, would take about ${grouped.format(count)} ${what}.`;
}
