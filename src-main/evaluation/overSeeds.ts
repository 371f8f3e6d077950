import { clustersOf, type Clusters } from '../statistics/clusters.ts';
import type { Interval } from '../statistics/intervals.ts';
import { pairOutcome, type PairOutcome } from '../statistics/pairOutcome.ts';
import { compareSeedsAndItems, type CrossedDifference } from '../statistics/seedsAndItems.ts';
import { differBySeedAlone, seedsOf as seedsOfRun } from './confounders.ts';
import type { Graded, GradedTable } from './gradedTable.ts';
import type { Measured } from './verdict.ts';

/** Runs of one setting. */
export interface Arm {
  name: string;
  /** Places of its runs among the subjects, by their seeds. */
  members: readonly number[];
}

/** Puts runs together that differ by their seed alone, in the order in which their first ones come. */
export function armsOf(subjects: readonly Graded[]): Arm[] {
  const groups: number[][] = [];
  for (const [place, subject] of subjects.entries()) {
    const group = groups.find((places) =>
      places.every((other) => differBySeedAlone(subjects[other]!, subject)),
    );
    if (group) group.push(place);
    else groups.push([place]);
  }
  const seedAt = (place: number) => subjects[place]!.run?.config.seed ?? 0;
  const members = groups.map((group) => group.sort((a, b) => seedAt(a) - seedAt(b)));
  const short = members.map((places) => commonName(places.map((place) => subjects[place]!.name)));
  return members.map((places, i) => {
    const isOwn = short[i] !== '' && short.filter((name) => name === short[i]).length === 1;
    return {
      name: isOwn ? short[i]! : places.map((place) => subjects[place]!.name).join(' + '),
      members: places,
    };
  });
}

/** What names begin with alike, without the word that leads to the seed: `lora` of lora-seed-0 and lora-seed-1. */
function commonName(names: readonly string[]): string {
  const [first = '', ...others] = names;
  if (others.length === 0) return first;
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--;
  return first.slice(0, length).replace(/[-_ .,/:(]*(seed|s)?[-_ .,/:(]*$/i, '');
}

/** Over which seeds and items a figure was found. */
export interface OverSeeds {
  /** Values of each run on the items that all of them were graded on. */
  runs: Float64Array[][];
  clusters: Clusters;
  /** Share of items that all were graded on. */
  share: number;
}

function overSeeds({ values, groups }: GradedTable, arms: readonly Arm[]): OverSeeds {
  const all = arms.flatMap(({ members }) => members.map((place) => values[place]!));
  const kept = [...groups.keys()].filter((item) => !all.some((run) => Number.isNaN(run[item]!)));
  return {
    runs: arms.map(({ members }) =>
      members.map((place) => Float64Array.from(kept, (item) => values[place]![item]!)),
    ),
    clusters: clustersOf(kept.map((item) => groups[item]!)),
    share: kept.length / groups.length,
  };
}

/** Of items with several values each: what the rest could be widens a share to both sides. */
function widened([low, high]: Interval, share: number, least: number, most: number): Interval {
  return [
    Math.max(least, share * low + (1 - share) * least),
    Math.min(most, share * high + (1 - share) * most),
  ];
}

/**
 * The mean of an arm of several seeds with its interval over seeds and items; null: no item was graded for all, or no
 * answer differs, and the interval of single items has to do.
 */
export function scoreArm(table: GradedTable, arm: Arm): { score: number; interval: Interval } | null {
  const { runs, clusters, share } = overSeeds(table, [arm]);
  const [values] = runs;
  if (values![0]!.length < 2) return null;
  const nothing = values!.map((run) => run.map(() => 0));
  const { difference, interval, error } = compareSeedsAndItems(nothing, values!, clusters, true);
  const isLoss = table.kind === 'loss';
  // All right with every seed, or all wrong: that there is no scatter does not make it certain.
  if (!isLoss && error === 0) return null;
  return { score: difference, interval: isLoss ? interval : widened(interval, share, 0, 1) };
}

export type ArmFigures = PairOutcome & Pick<Measured, 'seeds' | 'overSeeds' | 'notes'>;

/**
 * Two arms on the same items: over seeds and items where both have several seeds; else the mean of each item over the
 * seeds that there are, which is said. Null where no item was graded for all runs.
 */
export function measureArms(table: GradedTable, a: Arm, b: Arm): ArmFigures | null {
  const means = [a, b].map(({ members }) => meanOverRuns(members.map((place) => table.values[place]!)));
  const seedsOf = ({ members }: Arm) => members.flatMap((place) => seedsOfRun(table.subjects[place]!.run));
  const seeds = { a: seedsOf(a), b: seedsOf(b) };
  const single = [a, b].find(({ members }) => members.length < 2);
  const kind = single && table.kind === 'right' ? 'share' : table.kind;
  // The interval of losses is found at once; that of shares is drawn, and is not needed beside that over seeds.
  const found =
    pairOutcome(single ? kind : 'loss', means[0]!, means[1]!, table.groups) ??
    pairOutcome(kind, means[0]!, means[1]!, table.groups);
  if (!found) return null;
  if (single || found.n < 2) {
    const of = single
      ? [`${single.name} has one run: what another seed would change of it is not covered.`]
      : [];
    return { ...found, seeds, overSeeds: null, notes: of };
  }
  const { runs, clusters, share } = overSeeds(table, [a, b]);
  const isPaired = seeds.a.join() === seeds.b.join();
  const crossed = compareSeedsAndItems(runs[0]!, runs[1]!, clusters, isPaired);
  return {
    ...found,
    interval: armInterval(table, crossed, means, share),
    test: 'student_seeds_items',
    pValue: crossed.pValue,
    seeds,
    overSeeds: {
      error: crossed.error,
      freedom: crossed.freedom,
      seedError: crossed.seedError,
      itemError: crossed.itemError,
      deviation: crossed.seedError * Math.sqrt(perArm(seeds.a.length, seeds.b.length)),
    },
    notes: [],
  };
}

/** Where no answer differs there is no scatter to go by: the interval of single items has a width all the same. */
function armInterval(
  { kind, groups }: GradedTable,
  { interval, error }: CrossedDifference,
  [a, b]: readonly Float64Array[],
  share: number,
): Interval {
  if (kind === 'loss') return interval;
  if (error === 0) return pairOutcome('share', a!, b!, groups)!.interval;
  return widened(interval, share, -1, 1);
}

/** Seeds of each that two numbers of seeds are worth. */
function perArm(a: number, b: number): number {
  return 2 / (1 / a + 1 / b);
}

/** Means of each item; not graded where one of the runs was not. */
function meanOverRuns(runs: readonly Float64Array[]): Float64Array {
  return runs[0]!.map((_, item) => runs.reduce((sum, run) => sum + run[item]!, 0) / runs.length);
}
