import {
  itemsForAccuracy,
  itemsForLoss,
  seedsFor,
  smallestDifference,
} from '../../../../src-main/statistics/sampleSize.ts';
import type { Scatter } from '../../../../src-main/contract/evaluation/comparison.ts';

/** What is asked: numbers in points (hundredths) or nats, shares in percent; an empty box is null. */
export interface PowerForm {
  metric: 'accuracy' | 'loss';
  points: number | null;
  nats: number | null;
  /** `assumed`, or the place of a pair of the project's own scores, `first|second|benchmark`. */
  itemSource: string;
  discordance: number | null;
  deviation: number | null;
  /** `assumed`, or a pair of a study, `study|first|second`. */
  seedSource: string;
  seedScatter: number | null;
  power: number | null;
  alpha: number | null;
}

export const powerKey = 'studio.planPower';

/** Ten of a hundred items on which exactly one of two adapters is right: usual between adapters of one model. */
const first: Readonly<PowerForm> = {
  metric: 'accuracy',
  points: 2,
  nats: 0.02,
  itemSource: 'assumed',
  discordance: 10,
  deviation: 0.2,
  seedSource: 'assumed',
  seedScatter: 1,
  power: 80,
  alpha: 5,
};

/** What was stored, as far as it is of the right kind. */
export function restorePower(saved: Partial<Record<keyof PowerForm, unknown>>): PowerForm {
  const number = (
    key: 'points' | 'nats' | 'discordance' | 'deviation' | 'seedScatter' | 'power' | 'alpha',
  ) => (typeof saved[key] === 'number' ? saved[key] : first[key]);
  const text = (key: 'itemSource' | 'seedSource') =>
    typeof saved[key] === 'string' ? saved[key] : first[key];
  return {
    metric: saved.metric === 'loss' ? 'loss' : 'accuracy',
    points: number('points'),
    nats: number('nats'),
    itemSource: text('itemSource'),
    discordance: number('discordance'),
    deviation: number('deviation'),
    seedSource: text('seedSource'),
    seedScatter: number('seedScatter'),
    power: number('power'),
    alpha: number('alpha'),
  };
}

/** A ground on which the answer can stand, besides an assumption. */
export interface Ground {
  key: string;
  label: string;
  /** Percent, points or nats, as the form has it. */
  value: number;
}

/** The project's own scatter of items for a metric. */
export function itemGrounds(metric: PowerForm['metric'], { items }: Scatter): Ground[] {
  return items.flatMap((pair): Ground[] => {
    const value = metric === 'accuracy' ? pair.discordance : pair.deviation;
    // Two that answer every item alike say nothing about others.
    if (value === null || value === 0) return [];
    const shown = metric === 'accuracy' ? 100 * value : value;
    return [
      {
        key: `${pair.first}|${pair.second}|${pair.benchmark}`,
        label: `${pair.first} and ${pair.second}, ${pair.benchmark}, ${pair.items.toLocaleString('en-US')} items`,
        value: Number(shown.toPrecision(3)),
      },
    ];
  });
}

/** The project's own scatter between seeds: studies measure it in nats. */
export function seedGrounds(metric: PowerForm['metric'], { seeds }: Scatter): Ground[] {
  if (metric === 'accuracy') return [];
  return seeds.map(({ study, first: a, second: b, seeds: n, deviation }) => ({
    key: `${study}|${a}|${b}`,
    label: `${study}: ${a} less ${b}, ${n} seeds`,
    value: Number(deviation.toPrecision(3)),
  }));
}

/** Test sets of the paper's benchmarks. */
export const benchmarks = [
  { label: 'HumanEval', items: 164 },
  { label: 'CommonsenseQA', items: 1221 },
  { label: 'GSM8K test', items: 1319 },
  { label: 'MMLU', items: 14_042 },
] as const;

export interface PowerAnswer {
  problems: Partial<Record<keyof PowerForm, string>>;
  /** Null: a field is wrong. */
  found: {
    /** Null: no number that could be collected suffices. */
    items: number | null;
    seeds: number | null;
    /** [items, smallest difference in the form's unit], from few items to many. */
    curve: [number, number][];
    /** The smallest difference of each benchmark; null: none that is possible. */
    benchmarks: { label: string; items: number; difference: number | null }[];
  } | null;
}

/** What the form asks, answered; what stands at a ground counts in place of the number beside it. */
export function answerPower(form: Readonly<PowerForm>, scatter: Scatter): PowerAnswer {
  const problems: PowerAnswer['problems'] = {};
  const isLoss = form.metric === 'loss';
  const read = (key: keyof PowerForm, value: number | null, least: number, most: number): number => {
    if (value === null) problems[key] = 'Enter a number.';
    else if (!(value > least)) problems[key] = `More than ${least}.`;
    else if (value > most) problems[key] = `At most ${most}.`;
    return value ?? 0;
  };
  const itemGround = itemGrounds(form.metric, scatter).find(({ key }) => key === form.itemSource);
  const seedGround = seedGrounds(form.metric, scatter).find(({ key }) => key === form.seedSource);
  const difference = isLoss ? read('nats', form.nats, 0, 100) : read('points', form.points, 0, 100);
  const spread = isLoss
    ? read('deviation', itemGround?.value ?? form.deviation, 0, 1000)
    : read('discordance', itemGround?.value ?? form.discordance, 0, 100);
  const seedScatter = read('seedScatter', seedGround?.value ?? form.seedScatter, 0, 1000);
  const power = read('power', form.power, 5, 99.9);
  const alpha = read('alpha', form.alpha, 0, 50);
  if (!isLoss && !problems.points && !problems.discordance && difference > spread)
    problems.points = `Adapters that differ on ${spread} % of the items cannot differ by more than ${spread} points.`;
  if (Object.keys(problems).length > 0) return { problems, found: null };
  const certainty = { power: power / 100, alpha: alpha / 100 };
  const needed = (wanted: number) =>
    isLoss
      ? itemsForLoss(wanted, spread, certainty)
      : itemsForAccuracy(wanted / 100, spread / 100, certainty);
  const most = isLoss ? 100 : spread;
  const smallest = (items: number) => smallestDifference(items, needed, most);
  const curve = Array.from({ length: 41 }, (_, i) => Math.round(10 * 10 ** (i / 10))).flatMap(
    (items): [number, number][] => {
      const seen = smallest(items);
      return seen === null ? [] : [[items, seen]];
    },
  );
  return {
    problems,
    found: {
      items: needed(difference),
      seeds: seedsFor(difference, seedScatter, certainty),
      curve,
      benchmarks: benchmarks.map(({ label, items }) => ({ label, items, difference: smallest(items) })),
    },
  };
}
