import { setImmediate } from 'node:timers/promises';
import type {
  Comparison,
  ComparedTogether,
  ItemScatter,
  Ranking,
} from '../contract/evaluation/comparison.ts';
import type { BenchmarkName } from '../contract/evaluation/benchmarks.ts';
import type { EvaluationItem } from '../contract/results.ts';
import { StudioError } from '../contract/errors.ts';
import { fewestGroups } from '../statistics/clusters.ts';
import { scoreItems } from '../statistics/itemScore.ts';
import { pairOutcome } from '../statistics/pairOutcome.ts';
import { deviation, mean } from '../statistics/seeds.ts';
import { confounders, seedsOf } from './confounders.ts';
import { tabulate, type Graded, type GradedTable } from './gradedTable.ts';
import { armsOf, measureArms, scoreArm, type Arm } from './overSeeds.ts';
import { rank, type Unranked } from './ranking.ts';
import { judgeTogether, type Measured } from './verdict.ts';

/** What is said beside the figures. */
export interface ComparisonOptions {
  /** Pairs from which this one was chosen by its scores; p values are corrected for them. */
  chosenOf?: number;
  /** What makes it doubtful. */
  warnings?: readonly string[];
  /** What must be known to read the figures. */
  notes?: readonly string[];
}

/**
 * Compares every pair of subjects on the same items, which meet by their ids (statistics/pairOutcome.ts says how they
 * are tested); p values are corrected by Holm over the pairs.
 * @throws StudioError usage where the subjects were graded on different items, with the first id that differs
 */
export function compareSubjects(
  benchmark: BenchmarkName,
  data: string,
  subjects: readonly Graded[],
  options: ComparisonOptions = {},
): Comparison[] {
  return judgeTogether(measurePairs(tabulate(benchmark, data, subjects), options), options.chosenOf);
}

/**
 * The same with what all comparisons say together. Runs that differ by their seed alone are compared a second time, as
 * arms of several seeds: whether a setting is better, not whether one training of it was.
 */
export function compareAll(...asked: ComparedInput): WithArms {
  const steps = comparing(...asked);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same for whoever has other things to do meanwhile: tests of shares draw samples, many pairs take seconds. */
export function compareAllInTurn(...asked: ComparedInput): Promise<WithArms> {
  return inTurn(comparing(...asked));
}

type ComparedInput = [
  benchmark: BenchmarkName,
  data: string,
  subjects: readonly Graded[],
  options?: Omit<ComparisonOptions, 'chosenOf'>,
];

function* comparing(...[benchmark, data, subjects, options = {}]: ComparedInput): Steps<WithArms> {
  const table = tabulate(benchmark, data, subjects);
  const about = { benchmark, data, metric: metrics[table.kind] };
  const places = [...subjects.keys()];
  const pairs = yield* each(pairsOf(places), ([i, j]) => measurePair(table, i, j, options));
  const comparisons = judgeTogether(pairs);
  const single = yield* each(places, (place) =>
    unranked(table, { name: subjects[place]!.name, members: [place] }),
  );
  const together = { comparisons, ranking: rank(about, single, comparisons) };
  const arms = armsOf(subjects);
  if (arms.length < 2 || arms.length === subjects.length) return { ...together, arms: null };
  const ofArms = judgeTogether(yield* each(pairsOf(arms), ([a, b]) => measureArmPair(table, a, b, options)));
  const rows = yield* each(arms, (arm) => unranked(table, arm));
  return { ...together, arms: { comparisons: ofArms, ranking: rank(about, rows, ofArms) } };
}

/** Work that may be left after each of its parts. */
type Steps<T> = Generator<undefined, T>;

function* each<T, R>(list: readonly T[], work: (one: T) => R): Steps<R[]> {
  const found: R[] = [];
  for (const one of list) {
    found.push(work(one));
    yield;
  }
  return found;
}

/** Milliseconds that others wait at most, beside a single pair. */
const turnMs = 20;

async function inTurn<T>(steps: Steps<T>): Promise<T> {
  let begin = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - begin < turnMs) continue;
    await setImmediate();
    begin = performance.now();
  }
}

type WithArms = ComparedTogether & { arms: ComparedTogether | null };

/**
 * Comparisons on several benchmarks that are asked at once: verdicts anew, with p values corrected over all pairs of
 * all of them. Who looks at five benchmarks finds a difference on one of them by chance in one of four cases.
 */
export function judgeBenchmarks<T extends WithArms & { overridden?: WithArms | null }>(
  benchmarks: readonly T[],
): T[] {
  if (benchmarks.length < 2) return [...benchmarks];
  const anew = judgeAnew(benchmarks);
  // With a person's grades all benchmarks are one family, too: those without any count as they are.
  const regraded = judgeAnew(benchmarks.map((benchmark) => benchmark.overridden ?? benchmark));
  return benchmarks.map((benchmark, i) => ({
    ...benchmark,
    ...anew[i]!,
    ...(benchmark.overridden && { overridden: { ...benchmark.overridden, ...regraded[i]! } }),
  }));
}

function judgeAnew(benchmarks: readonly WithArms[]): WithArms[] {
  const anew = judgeParts(benchmarks);
  const arms = judgeParts(benchmarks.flatMap(({ arms: part }) => part ?? []));
  let next = 0;
  return benchmarks.map((benchmark, i) => ({
    ...anew[i]!,
    arms: benchmark.arms === null ? null : arms[next++]!,
  }));
}

function judgeParts(parts: readonly ComparedTogether[]): ComparedTogether[] {
  const judged = judgeTogether(parts.flatMap(({ comparisons }) => comparisons));
  let begin = 0;
  return parts.map(({ comparisons: { length }, ranking }) => {
    const comparisons = judged.slice(begin, (begin += length));
    return { comparisons, ranking: rank(ranking, ranking.subjects, comparisons) };
  });
}

const metrics = { right: 'accuracy', share: 'mean_score', loss: 'mean_loss' } as const;

function pairsOf<T>(list: readonly T[]): [T, T][] {
  return list.flatMap((a, i) => list.slice(i + 1).map((b): [T, T] => [a, b]));
}

/** What all comparisons of a table have in common. */
function common(table: GradedTable, { warnings = [], notes = [] }: ComparisonOptions) {
  const { benchmark, data, kind, groups } = table;
  const kinds = new Set(groups.filter((group) => group !== null));
  const few =
    kinds.size > 1 && kinds.size < fewestGroups && kinds.size < groups.length
      ? [`Its ${kinds.size} groups of items are too few to speak for others: the figures are of these.`]
      : [];
  return { benchmark, data, metric: metrics[kind], warnings: [...warnings], notes: [...notes, ...few] };
}

function measurePairs(table: GradedTable, options: ComparisonOptions): Measured[] {
  return pairsOf([...table.subjects.keys()]).map(([i, j]) => measurePair(table, i, j, options));
}

function measurePair(table: GradedTable, i: number, j: number, options: ComparisonOptions): Measured {
  const { subjects, values, groups, kind } = table;
  const [a, b] = [subjects[i]!, subjects[j]!];
  const found = pairOutcome(kind, values[i]!, values[j]!, groups);
  if (!found) throw nothingGraded(a.name, b.name);
  return {
    ...common(table, options),
    ...found,
    a: a.name,
    b: b.name,
    seeds: { a: seedsOf(a.run), b: seedsOf(b.run) },
    overSeeds: null,
    confounders: confounders(a, b),
  };
}

/** What one benchmark says of given arms, before it is judged with what else is asked. */
export interface MeasuredArms {
  about: Pick<Ranking, 'benchmark' | 'data' | 'metric'>;
  /** Every arm with its own score, also where none of its answers was graded. */
  rows: Unranked[];
  /** Every pair of arms of which something was graded. */
  pairs: Measured[];
}

/**
 * Measures arms that are put together elsewhere, so that a setting is the same on several benchmarks: single runs as
 * single runs, several seeds over seeds and items.
 * @throws StudioError usage where the subjects were graded on different items
 */
export function measureGiven(
  benchmark: BenchmarkName,
  data: string,
  subjects: readonly Graded[],
  arms: readonly Arm[],
): Promise<MeasuredArms> {
  return inTurn(measuring(benchmark, data, subjects, arms));
}

function* measuring(
  benchmark: BenchmarkName,
  data: string,
  subjects: readonly Graded[],
  arms: readonly Arm[],
): Steps<MeasuredArms> {
  const table = tabulate(benchmark, data, subjects);
  const rows = yield* each(arms, (arm) => unranked(table, arm));
  const graded = arms.filter((_, i) => rows[i]!.score !== null);
  const pairs = yield* each(pairsOf(graded), ([a, b]) => {
    const [[first, ...moreA], [second, ...moreB]] = [a.members, b.members];
    if (moreA.length + moreB.length > 0) return measureArmPair(table, a, b, {});
    return { ...measurePair(table, first!, second!, {}), a: a.name, b: b.name };
  });
  return { about: { benchmark, data, metric: metrics[table.kind] }, rows, pairs };
}

function measureArmPair(table: GradedTable, a: Arm, b: Arm, options: ComparisonOptions): Measured {
  const found = measureArms(table, a, b);
  if (!found) throw nothingGraded(a.name, b.name);
  const shared = common(table, options);
  const [first, second] = [a, b].map(({ members }) => table.subjects[members[0]!]!);
  return {
    ...shared,
    ...found,
    a: a.name,
    b: b.name,
    notes: [...shared.notes, ...found.notes],
    // Between arms the seed is drawn, not chosen.
    confounders: confounders(first!, second!).filter((line) => !line.startsWith('seed: ')),
  };
}

function nothingGraded(a: string, b: string): StudioError {
  return new StudioError(
    'usage',
    `Not one answer was scored for both ${a} and ${b}.`,
    'Look at why they failed.',
  );
}

function unranked(table: GradedTable, { name, members }: Arm): Unranked {
  const scores = members.map((place) => scoreItems(table.kind, table.columns[place]!));
  const [first] = scores;
  const overSeeds = members.length > 1 ? scoreArm(table, { name, members }) : null;
  return {
    name,
    members: [...members],
    score: overSeeds?.score ?? first!.score,
    interval: overSeeds?.interval ?? first!.interval,
    n: first!.n,
    ungraded: scores.reduce((most, { n, graded }) => Math.max(most, n - graded), 0),
    groups: first!.groups,
    effectiveN: first!.effectiveN,
    seeds: members.flatMap((place) => seedsOf(table.subjects[place]!.run)),
  };
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
