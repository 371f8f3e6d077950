import type { Run } from '../contract/entities.ts';
import type { Comparison, ItemScatter } from '../contract/comparison.ts';
import type { BenchmarkName, EvaluationItem } from '../contract/results.ts';
import { StudioError } from '../contract/errors.ts';
import { pairedDifferenceInterval } from '../statistics/intervals.ts';
import { holm, mcNemarExact, wilcoxonSignedRank } from '../statistics/pairedTests.ts';
import { deviation, mean, meanInterval } from '../statistics/seeds.ts';
import { confounders, type ScoredBase } from './confounders.ts';

/** A subject's graded items. */
export interface Graded {
  name: string;
  /** What was trained; null: the base model, or an adapter from elsewhere. */
  run: Run | null;
  base: ScoredBase;
  /** Hash of the data it was graded on. */
  dataHash: string;
  items: readonly EvaluationItem[];
}

/** What is said beside the figures. */
export interface ComparisonOptions {
  /** Pairs from which this one was chosen by its scores; p values are corrected for them. */
  chosenOf?: number;
  /** What makes it doubtful. */
  warnings?: readonly string[];
  /** What must be known to read the figures. */
  notes?: readonly string[];
}

/** Below this accuracy of both, a benchmark says nothing about the difference of two models. */
const beyondReach = 0.02;
const significance = 0.05;
/** With fewer items that differ no paired test reaches the level above, whatever the outcome (Tarone 1990). */
const fewestItems = 6;

/** Whether some outcome on the items that differ would have shown a difference. */
export function couldTell({ differing }: Pick<Comparison, 'differing'>): boolean {
  return differing >= fewestItems;
}

/**
 * Compares every pair of subjects on the same items: accuracy by McNemar's exact test with Newcombe's interval of the
 * paired difference, answer loss by Wilcoxon's signed-rank test (the paper's test) with Student's interval of the mean
 * difference; p values are corrected by Holm over the pairs.
 * @throws StudioError usage where the subjects were graded on different items
 */
export function compareSubjects(
  benchmark: BenchmarkName,
  data: string,
  subjects: readonly Graded[],
  { chosenOf = 1, warnings = [], notes = [] }: ComparisonOptions = {},
): Comparison[] {
  const pairs = subjects.flatMap((a, i) => subjects.slice(i + 1).map((b) => [a, b] as const));
  const raw = pairs.map(([a, b]) => {
    checkSameItems(a, b);
    return benchmark === 'perplexity' ? compareLoss(a, b) : compareAccuracy(a, b);
  });
  const adjusted = holm(raw.map(({ pValue }) => pValue));
  const correction =
    pairs.length > 1
      ? `, Holm over ${pairs.length} pairs`
      : chosenOf > 1
        ? `, Bonferroni over the ${chosenOf} pairs of what was scored`
        : '';
  return raw.map((result, i) => {
    const [a, b] = pairs[i]!;
    const pAdjusted = Math.min(1, chosenOf * adjusted[i]!);
    const lowerIsBetter = benchmark === 'perplexity';
    const bWins = lowerIsBetter ? result.difference < 0 : result.difference > 0;
    const verdict = pAdjusted >= significance ? 'cannot_tell' : bWins ? 'b_better' : 'a_better';
    const comparison = { benchmark, a: a.name, b: b.name, ...result, pAdjusted, verdict } as const;
    return {
      ...comparison,
      sentence: sentence(comparison, data, correction, [a, b]),
      confounders: confounders(a, b),
      warnings: [...warnings],
      notes: [...notes],
    };
  });
}

function checkSameItems(a: Graded, b: Graded): void {
  const isSame = (mine: EvaluationItem, theirs: EvaluationItem | undefined) =>
    mine.index === theirs?.index &&
    mine.target === theirs.target &&
    (mine.loss === null ? 0 : mine.tokens) === (theirs.loss === null ? 0 : theirs.tokens);
  if (
    a.dataHash !== b.dataHash ||
    a.items.length !== b.items.length ||
    !a.items.every((item, i) => isSame(item, b.items[i]))
  )
    throw new StudioError(
      'usage',
      `${a.name} and ${b.name} were not graded on the same items (${a.items.length} and ${b.items.length}).`,
      'Evaluate both with the same data, limit and shots.',
    );
}

type Raw = Pick<
  Comparison,
  'metric' | 'n' | 'scoreA' | 'scoreB' | 'difference' | 'interval' | 'test' | 'pValue' | 'differing'
>;

function compareAccuracy(a: Graded, b: Graded): Raw {
  const counts = { both: 0, onlyA: 0, onlyB: 0, neither: 0 };
  a.items.forEach(({ correct }, i) => {
    const other = b.items[i]!.correct;
    counts[correct ? (other ? 'both' : 'onlyA') : other ? 'onlyB' : 'neither']++;
  });
  const { both, onlyA, onlyB } = counts;
  const n = a.items.length;
  return {
    metric: 'accuracy',
    n,
    scoreA: (both + onlyA) / n,
    scoreB: (both + onlyB) / n,
    difference: (onlyB - onlyA) / n,
    interval: pairedDifferenceInterval(counts),
    test: 'mcnemar_exact',
    pValue: mcNemarExact(onlyA, onlyB),
    differing: onlyA + onlyB,
  };
}

function compareLoss(a: Graded, b: Graded): Raw {
  const losses = (graded: Graded) =>
    graded.items.map(({ loss, index }) => {
      if (loss === null || !Number.isFinite(loss))
        throw new StudioError(
          'loss_not_finite',
          `${graded.name} has no finite loss on item ${index}: it cannot be compared.`,
          'Train it again with a lower learning rate.',
        );
      return loss;
    });
  const [lossA, lossB] = [losses(a), losses(b)];
  const differences = lossB.map((value, i) => value - lossA[i]!);
  const difference = mean(differences);
  return {
    metric: 'mean_loss',
    n: lossA.length,
    scoreA: mean(lossA),
    scoreB: mean(lossB),
    difference,
    interval: meanInterval(differences) ?? [difference, difference],
    test: 'wilcoxon_signed_rank',
    pValue: wilcoxonSignedRank(differences),
    differing: differences.filter((value) => value !== 0).length,
  };
}

function sentence(
  c: Omit<Comparison, 'sentence' | 'confounders' | 'warnings' | 'notes'>,
  data: string,
  correction: string,
  [a, b]: readonly [Graded, Graded],
): string {
  const isLoss = c.metric === 'mean_loss';
  const show = (value: number) =>
    isLoss ? `${value.toFixed(3)} nats per token` : `${(100 * value).toFixed(1)} %`;
  const [factor, digits, unit] = isLoss ? [1, 3, 'nats'] : [100, 1, 'points'];
  const shown = (value: number) => signed(factor * value, digits);
  const uncertainty =
    isLoss && c.n < fewestItems
      ? `too few items for an interval: at least ${fewestItems} are needed to show any difference`
      : `95 % interval ${shown(c.interval[0])} to ${shown(c.interval[1])}`;
  const test = c.test === 'mcnemar_exact' ? "McNemar's exact test" : "Wilcoxon's signed-rank test";
  const few =
    c.n >= fewestItems && !couldTell(c)
      ? `; they differ on ${c.differing === 0 ? 'no item' : `only ${c.differing}`}, and fewer than ${fewestItems} show nothing`
      : '';
  const [seedA, seedB] = [a, b].map(({ run }) => run?.config.seed);
  const seedWords =
    seedA === undefined || seedB === undefined
      ? 'one run'
      : seedA === seedB
        ? `one run each, seed ${seedA}`
        : `one run each, seeds ${seedB} and ${seedA}`;
  const basis =
    `on ${c.n} ${c.n === 1 ? 'item' : 'items'} of ${data}: ${show(c.scoreB)} against ${show(c.scoreA)}` +
    `${isLoss ? ', mean over items' : ''}, difference ${shown(c.difference)} ${unit} (${uncertainty}); ` +
    `${test}, p = ${c.pAdjusted.toPrecision(2)}${correction}${few}; ${seedWords}`;
  if (c.verdict === 'cannot_tell' && !isLoss && c.scoreA < beyondReach && c.scoreB < beyondReach)
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

function signed(value: number, digits: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;
}

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
