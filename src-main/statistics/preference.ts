import { StudioError } from '../contract/errors.ts';
import { quantile, usualResamples } from './bootstrap.ts';
import { wilsonInterval, type Interval } from './intervals.ts';
import { holm, mcNemarExact } from './pairedTests.ts';
import { createRandom } from './random.ts';
import { compactLetters, type ToldApart } from './ranking.ts';

/** What a person said of two answers to one prompt, without knowing whose they are. */
export interface Vote {
  /** The prompt: votes on one prompt belong together. */
  item: string;
  a: string;
  b: string;
  choice: 'a' | 'b' | 'tie' | 'both_bad';
}

export interface Preference {
  /** Votes for the first and for the second. */
  wins: number;
  losses: number;
  ties: number;
  bothBad: number;
  /** Share of the votes for one of them that were for the first; null: there was none. */
  winRate: number | null;
  /** Wilson's, 95 %. */
  interval: Interval;
  /** Sign test, two-sided. */
  pValue: number;
}

/**
 * How often the first of two was preferred, and the sign test that it was not by chance (Dixon and Mood 1946). Ties and
 * votes against both are told apart: they are no half wins.
 */
export function preferenceBetween(votes: readonly Vote[], first: string, second: string): Preference {
  let [wins, losses, ties, bothBad] = [0, 0, 0, 0];
  for (const { a, b, choice } of votes) {
    if (!(a === first && b === second) && !(a === second && b === first)) continue;
    if (choice === 'tie') ties++;
    else if (choice === 'both_bad') bothBad++;
    else if ((choice === 'a' ? a : b) === first) wins++;
    else losses++;
  }
  const told = wins + losses;
  return {
    wins,
    losses,
    ties,
    bothBad,
    winRate: told === 0 ? null : wins / told,
    interval: wilsonInterval(wins, told),
    pValue: mcNemarExact(wins, losses),
  };
}

/** What a person's votes come to, in words: how often, and whether that tells anything. */
export function preferenceWords(
  { wins, losses, ties, bothBad, winRate, interval, pValue }: Preference,
  { first, second }: { first: string; second: string },
): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const counts = `${first} was better ${wins} times, ${second} ${losses} times; alike ${ties}, both bad ${bothBad}.`;
  if (winRate === null) return [counts, 'Nobody was preferred yet: nothing can be told.'];
  const verdict =
    pValue < 0.05 ? `${wins > losses ? first : second} is preferred` : 'Cannot tell which is preferred';
  return [
    counts,
    `${verdict}: ${first} won ${percent(winRate)} (${percent(interval[0])} to ${percent(interval[1])}) of the ${wins + losses} pairs with a winner; sign test, p = ${pValue.toPrecision(2)}.`,
  ];
}

/** Who was called best among several, as votes on pairs: the best one stands before each of the others. */
export function votesOfBest(
  votes: readonly { id: string; choice: { column: number } | 'alike' | 'all_bad' }[],
  names: readonly string[],
): Vote[] {
  return votes.flatMap(({ id: item, choice }) => {
    if (typeof choice === 'object') {
      const a = names[choice.column]!;
      return names.flatMap((b): Vote[] => (b === a ? [] : [{ item, a, b, choice: 'a' }]));
    }
    const of = choice === 'alike' ? ('tie' as const) : ('both_bad' as const);
    return names.flatMap((a, i) => names.slice(i + 1).map((b): Vote => ({ item, a, b, choice: of })));
  });
}

/** Names by which all columns can be told: of those that share one, the later ones get a number. */
export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set(names);
  return names.map((name, i) => {
    if (names.indexOf(name) === i) return name;
    let number = 2;
    while (taken.has(`${name} (${number})`)) number++;
    const free = `${name} (${number})`;
    taken.add(free);
    return free;
  });
}

/**
 * What such votes come to, in words: of two their win rate, of more who is told apart from whom.
 * @param columns their names, of which several may be the same
 */
export function bestWords(votes: Parameters<typeof votesOfBest>[0], columns: readonly string[]): string[] {
  const names = distinctNames(columns);
  const pairs = votesOfBest(votes, names);
  const [first, second] = names;
  if (names.length === 2)
    return preferenceWords(preferenceBetween(pairs, first!, second!), { first: first!, second: second! });
  const best = names.map((_, i) =>
    votes.filter(({ choice }) => typeof choice === 'object' && choice.column === i),
  );
  const count = (which: 'alike' | 'all_bad') => votes.filter(({ choice }) => choice === which).length;
  const counts = `Best of ${names.length}: ${names.map((name, i) => `${name} ${best[i]!.length} times`).join(', ')}; alike ${count('alike')}, all bad ${count('all_bad')}.`;
  if (best.every(({ length }) => length === 0))
    return [counts, 'Nobody was preferred yet: nothing can be told.'];
  const ranked = bradleyTerry(pairs).map(({ name, letters }) => `${name} (${letters.join(' ')})`);
  return [counts, `By their strengths: ${ranked.join(', ')}. Those that share a letter are not told apart.`];
}

/** What a judge that was asked in both orders said of many pairs. */
export interface JudgedPreference extends Preference {
  /** Pairs on which it preferred a side, whoever stood there: told apart, and no half wins. */
  orderDependent: number;
  /** Pairs on which it gave no verdict at least once. */
  abstained: number;
  /** The greatest p-value that the pairs without a verdict leave possible. */
  greatestP: number;
}

/**
 * How often a judge preferred the first of two. A pair without a verdict may have been won by either: the interval of
 * the win rate takes all such pairs once as lost and once as won, and a preference stands only if it does so whatever
 * they were.
 */
export function judgedPreference(
  choices: readonly ('a' | 'b' | 'tie' | 'order' | 'abstained')[],
): JudgedPreference {
  const count = (choice: (typeof choices)[number]) => choices.filter((one) => one === choice).length;
  const [wins, losses, abstained] = [count('a'), count('b'), count('abstained')];
  const told = wins + losses;
  // Splits of the pairs without a verdict from which the least difference, or none, remains.
  const even = Math.min(abstained, Math.abs(wins - losses));
  const [fewer, more] = [Math.min(wins, losses), Math.max(wins, losses)];
  return {
    wins,
    losses,
    ties: count('tie'),
    bothBad: 0,
    orderDependent: count('order'),
    abstained,
    winRate: told === 0 ? null : wins / told,
    interval: [
      wilsonInterval(wins, told + abstained)[0],
      wilsonInterval(wins + abstained, told + abstained)[1],
    ],
    pValue: mcNemarExact(wins, losses),
    greatestP: mcNemarExact(fewer + even, more),
  };
}

/** What a judge's preference comes to, in words: the verdict first, then what is behind it. */
export function judgedPreferenceWords(
  found: JudgedPreference,
  { judge, first, second }: { judge: string; first: string; second: string },
): string[] {
  const { wins, losses, ties, orderDependent, abstained, winRate, interval, pValue, greatestP } = found;
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const better = wins > losses ? first : second;
  const verdict =
    winRate === null
      ? `${judge} preferred neither: nothing can be told.`
      : greatestP < 0.05
        ? `${judge} prefers ${better}.`
        : pValue < 0.05
          ? `${judge} prefers ${better} where it gave a verdict; the ${abstained} pairs without one could turn that.`
          : `Cannot tell which ${judge} prefers.`;
  const rate =
    winRate === null
      ? []
      : [
          `${first} won ${percent(winRate)} (${percent(interval[0])} to ${percent(interval[1])}) of the pairs with a winner; sign test, p = ${pValue.toPrecision(2)}.`,
        ];
  return [
    verdict,
    ...rate,
    `In both orders ${first} was better ${wins} times, ${second} ${losses} times, alike ${ties}; ${orderDependent} verdicts depended on the order, and on ${abstained} pairs it gave none.`,
  ];
}

export interface BradleyTerryOptions {
  resamples?: number;
  seed?: number;
  /** Votes that each of two that met is given against the other: without them one that never lost has no bound. */
  prior?: number;
}

export interface Strength {
  name: string;
  /** On the scale of log odds: a is preferred to b with chance 1 / (1 + exp(b - a)). Their mean is 0. */
  strength: number;
  /** 95 % of the resamples. */
  interval: Interval;
  /** Those that share a letter are not told apart. */
  letters: string[];
}

/**
 * Strengths of several systems from votes between two of them each (Bradley and Terry 1952), by Hunter's steps (2004,
 * "MM algorithms for generalized Bradley-Terry models"), strongest first. Ties and votes against both are left out.
 * Prompts are drawn anew with all their votes; two systems are told apart where the interval of their difference leaves
 * 0 out at 5 % over the number of pairs, and the sign test over their prompts agrees after Holm's correction over all
 * pairs: votes of one mind have no spread to draw from, however few they are.
 *
 * @throws StudioError usage where some were never compared with the others, not even by way of a third
 */
export function bradleyTerry(
  votes: readonly Vote[],
  { resamples = usualResamples, seed = 0, prior = 0.5 }: BradleyTerryOptions = {},
): Strength[] {
  const names = [...new Set(votes.flatMap(({ a, b }) => [a, b]))].sort();
  const count = names.length;
  const place = new Map(names.map((name, i) => [name, i]));
  const told = votes.filter(({ choice }) => choice === 'a' || choice === 'b');
  // Of each prompt its votes as places in the table of wins: row beats column.
  const byItem = new Map<string, number[]>();
  const met = new Float64Array(count * count);
  for (const { item, a, b, choice } of told) {
    const [winner, loser] = choice === 'a' ? [a, b] : [b, a];
    const [row, column] = [place.get(winner)!, place.get(loser)!];
    const cells = byItem.get(item) ?? [];
    byItem.set(item, cells);
    cells.push(row * count + column);
    met[row * count + column] = met[column * count + row] = prior;
  }
  checkConnected(names, told);
  const items = [...byItem.values()];
  const fill = (chosen: Iterable<readonly number[]>) => {
    const wins = met.slice();
    for (const cells of chosen) for (const cell of cells) wins[cell]!++;
    return wins;
  };
  const found = strengths(fill(items), count, new Float64Array(count).fill(1));
  const random = createRandom(seed);
  const chosen = new Int32Array(items.length);
  const drawn = Array.from({ length: count }, () => new Float64Array(resamples));
  for (let draw = 0; draw < resamples; draw++) {
    random.fillIntegers(chosen, items.length);
    const wins = fill(Array.from(chosen, (i) => items[i]!));
    const logs = strengths(wins, count, found.map(Math.exp));
    for (let i = 0; i < count; i++) drawn[i]![draw] = logs[i]!;
  }

  const order = [...names.keys()].sort((i, j) => found[j]! - found[i]!);
  const pairs = (count * (count - 1)) / 2;
  const signs = signTests(items, count);
  const apart: ToldApart[] = [];
  for (let i = 0; i < count; i++)
    for (let j = i + 1; j < count; j++) {
      if (signs[order[i]! * count + order[j]!]! >= 0.05) continue;
      const [first, second] = [drawn[order[i]!]!, drawn[order[j]!]!];
      const differences = first.map((value, draw) => value - second[draw]!).sort();
      if (quantile(differences, 0.025 / pairs) > 0) apart.push([i, j]);
    }
  const letters = compactLetters(count, apart);
  return order.map((i, at) => {
    const sorted = drawn[i]!.slice().sort();
    return {
      name: names[i]!,
      strength: found[i]!,
      interval: [quantile(sorted, 0.025), quantile(sorted, 0.975)],
      letters: letters[at]!,
    };
  });
}

/**
 * The exact sign test of each two over the prompts on which one of them won more votes, by Holm over all pairs.
 * @param items of each prompt its votes, as places in a table [count, count] in which row beats column
 * @returns [count, count], symmetric; 1 on the diagonal
 */
function signTests(items: readonly (readonly number[])[], count: number): Float64Array {
  const won = new Int32Array(count * count);
  for (const cells of items) {
    const ahead = new Int32Array(count * count);
    for (const cell of cells) {
      ahead[cell]!++;
      ahead[(cell % count) * count + Math.floor(cell / count)]!--;
    }
    ahead.forEach((more, cell) => {
      if (more > 0) won[cell]!++;
    });
  }
  const pairs: [number, number][] = [];
  for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) pairs.push([i, j]);
  const adjusted = holm(pairs.map(([i, j]) => mcNemarExact(won[i * count + j]!, won[j * count + i]!)));
  const table = new Float64Array(count * count).fill(1);
  pairs.forEach(([i, j], at) => {
    table[i * count + j] = table[j * count + i] = adjusted[at]!;
  });
  return table;
}

/**
 * Log strengths, their mean 0, of the greatest likelihood: pi_i = wins_i / sum_j n_ij / (pi_i + pi_j), until they
 * stand.
 * @param wins [count, count]: row beats column; @param start strengths to begin with
 */
function strengths(wins: Float64Array, count: number, start: Float64Array): Float64Array {
  const values = start.slice();
  for (let step = 0; step < 1000; step++) {
    let moved = 0;
    for (let i = 0; i < count; i++) {
      let [won, weight] = [0, 0];
      for (let j = 0; j < count; j++) {
        const [mine, theirs] = [wins[i * count + j]!, wins[j * count + i]!];
        won += mine;
        if (mine + theirs > 0) weight += (mine + theirs) / (values[i]! + values[j]!);
      }
      const next = won / weight;
      moved = Math.max(moved, Math.abs(Math.log(next / values[i]!)));
      values[i] = next;
    }
    if (!(moved > 1e-10)) break;
  }
  const logs = values.map(Math.log);
  const middle = logs.reduce((sum, value) => sum + value, 0) / count;
  return logs.map((value) => value - middle);
}

function checkConnected(names: readonly string[], votes: readonly Vote[]): void {
  const reached = new Set(names.slice(0, 1));
  for (let size = 0; size < reached.size;) {
    size = reached.size;
    for (const { a, b } of votes)
      if (reached.has(a) || reached.has(b)) {
        reached.add(a);
        reached.add(b);
      }
  }
  const other = names.find((name) => !reached.has(name));
  if (other !== undefined)
    throw new StudioError(
      'usage',
      `No vote leads from ${names[0]} to ${other}, not even by way of a third: their strengths have no common scale.`,
      'Vote between them, or leave one of them out.',
    );
}
