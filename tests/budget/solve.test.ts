import { describe, expect, it } from 'vitest';
import { counted } from '../support/counted.ts';
import { parseBudget, usedOf } from '../../src-main/budget/budgetUnits.ts';
import { budgetUnits } from '../../src-main/contract/studies.ts';
import { countParameters, type ParameterCount } from '../../src-main/budget/count.ts';
import { linearModules, presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import type { SearchLimits } from '../../src-main/budget/searchSpace.ts';
import { solveBudget } from '../../src-main/budget/solve.ts';
import { modelTargets } from '../../src-main/shape/targets.ts';
import { rankBounds } from '../../src-main/budget/work.ts';
import { StudioError } from '../../src-main/contract/errors.ts';
import { adapterConfigSchema, methods, type AdapterConfig } from '../../src-main/contract/training.ts';
import { createRandom } from '../../src-main/statistics/random.ts';

const plainShape: ModelShape = {
  ...presets['llama-3-8b']!,
  hiddenSize: 24,
  intermediateSize: 36,
  heads: 4,
  keyValueHeads: 2,
  headDim: 6,
  layers: 3,
  vocabularySize: 50,
};
const shapes: Record<string, ModelShape> = {
  plain: plainShape,
  // Rows that 2 does not divide, and a base so small that the paper's percentage falls with ID-LoRA's rank.
  odd: {
    ...plainShape,
    hiddenSize: 10,
    intermediateSize: 15,
    heads: 5,
    keyValueHeads: 5,
    headDim: 2,
    vocabularySize: 3,
  },
  fused: { ...plainShape, fusedProjections: true, layers: 2, tieEmbeddings: true },
};
const within = (least: number, most: number) => Array.from({ length: most - least + 1 }, (_, i) => least + i);

interface Setting {
  adapter: AdapterConfig;
  count: ParameterCount;
  /** Its place among those that use as much of a budget, first number first: the least is the best. */
  order: number[];
}

/** Every setting within the limits that can be built, by trying them all. */
function everySetting(shape: ModelShape, adapter: AdapterConfig, limits: SearchLimits): Setting[] {
  const modules = modelTargets(shape, adapter.targets);
  const options: Partial<AdapterConfig>[] = [];
  const range = (name: 'clusters' | 'boost' | 'heads' | 'experts') =>
    limits[name] ? within(limits[name].least, limits[name].most) : [adapter[name]];
  for (const clusters of adapter.method === 'idlora' ? range('clusters') : [adapter.clusters])
    for (const boost of adapter.method === 'idlora' ? range('boost') : [adapter.boost])
      for (const heads of adapter.method === 'hydralora' ? range('heads') : [adapter.heads])
        for (const experts of adapter.method === 'moelora' ? range('experts') : [adapter.experts])
          options.push({ clusters, boost, heads, experts });
  const selections = limits.targets
    ? within(1, 2 ** modules.length - 1).map((bits) => modules.filter((_, i) => (bits >> i) & 1))
    : [modules];
  const found: Setting[] = [];
  for (const option of options)
    for (const targets of selections)
      for (const rank of limits.rank
        ? within(limits.rank.least, Math.min(40, limits.rank.most))
        : within(1, 40))
        try {
          const setting = { ...adapter, ...option, targets, rank };
          const count = countParameters(shape, setting);
          found.push({ adapter: setting, count, order: orderOf(shape, setting, count) });
        } catch (error) {
          if (!(error instanceof StudioError)) throw error;
        }
  return found;
}

/** The stated order of settings, written down once more. */
const orderOf = (shape: ModelShape, adapter: AdapterConfig, count: ParameterCount) => [
  -count.trainable,
  -(rankBounds(shape, adapter)?.tokenTotal ?? 0),
  -adapter.targets.length,
  adapter.clusters,
  adapter.boost,
  adapter.heads,
  adapter.experts,
  adapter.rank,
  ...adapter.targets.map((module) => linearModules(shape).indexOf(module)),
];

function best(settings: Setting[], unit: (typeof budgetUnits)[number]): Setting {
  return settings.reduce((one, other) => {
    const [mine, theirs] = [usedOf(one.count, unit), usedOf(other.count, unit)];
    if (mine !== theirs) return theirs > mine ? other : one;
    const at = one.order.findIndex((value, i) => value !== other.order[i]);
    return at >= 0 && other.order[at]! < one.order[at]! ? other : one;
  });
}

const limitsOf: Record<string, SearchLimits> = {
  'rank only': { rank: { least: 1, most: Infinity } },
  'rank and options': {
    rank: { least: 2, most: 12 },
    clusters: { least: 1, most: 4 },
    boost: { least: 1, most: 4 },
    heads: { least: 1, most: 5 },
    experts: { least: 2, most: 5 },
  },
  'options and targets at a rank': {
    rank: { least: 4, most: 4 },
    clusters: { least: 1, most: 3 },
    boost: { least: 1, most: 2 },
    heads: { least: 2, most: 4 },
    experts: { least: 1, most: 3 },
    targets: true,
  },
  everything: {
    rank: { least: 1, most: 9 },
    clusters: { least: 2, most: 3 },
    boost: { least: 1, most: 3 },
    heads: { least: 2, most: 3 },
    experts: { least: 2, most: 3 },
    targets: true,
  },
};

const variants: Partial<AdapterConfig>[] = [
  ...methods.filter((method) => method !== 'full').map((method) => ({ method })),
  { method: 'idlora', router: 'pivot' },
  { method: 'moelora', gate: 'task', tasks: 3 },
  { method: 'lora', layers: [1] },
  { method: 'idlora', boost: 1, rankPattern: { o_proj: 4 } },
];

describe.each(Object.keys(shapes))('equals brute force on the shape "%s"', (name) => {
  const shape = shapes[name]!;
  it.each(variants)('%j', (variant) => {
    const adapter = adapterConfigSchema.parse({ rank: 1, alpha: 1, ...variant });
    const random = createRandom(5);
    let solved = 0;
    for (const [label, limits] of Object.entries(limitsOf)) {
      if (limits.targets && variant.rankPattern) continue;
      const settings = everySetting(shape, adapter, limits);
      for (const unit of budgetUnits) {
        const uses = settings.map(({ count }) => usedOf(count, unit));
        const [least, most] = [Math.min(...uses), Math.max(...uses)];
        const exactly = uses.length > 0 ? [uses[random.integer(uses.length)]!, least, most] : [];
        const between = [0.3, 0.7, 1.1].map((share) => least + share * (most - least));
        for (const budget of [...exactly, ...between, 0.9 * least]) {
          if (!Number.isFinite(budget)) continue;
          const fitting = settings.filter(({ count }) => usedOf(count, unit) <= budget);
          const found = solveBudget(shape, adapter, { unit, most: budget }, limits);
          const where = `${label}, ${unit} ${budget}`;
          if (fitting.length === 0) {
            expect(found, where).toMatchObject({ solution: null, nearest: { used: least } });
            continue;
          }
          const expected = best(fitting, unit);
          expect(found.solution?.adapter, where).toEqual(expected.adapter);
          expect(found.solution?.count, where).toEqual(expected.count);
          expect(found.solution?.remainder, where).toBe(budget - usedOf(expected.count, unit));
          solved++;
        }
      }
    }
    expect(solved).toBeGreaterThan(20);
  });
});

it('full fine-tuning either fits or does not', () => {
  const shape = presets['llama-3.2-1b']!;
  const adapter = adapterConfigSchema.parse({ method: 'full', rank: 1, alpha: 1 });
  const solve = (most: number) => solveBudget(shape, adapter, { unit: 'parameters', most });
  expect(solve(1_235_814_400).solution).toMatchObject({ used: 1_235_814_400, remainder: 0 });
  expect(solve(1_235_814_399)).toMatchObject({ solution: null, nearest: { used: 1_235_814_400 } });
});

it('searches every option and target of 80 layers with no more work than of 8', () => {
  const limits: SearchLimits = {
    rank: { least: 1, most: 4096 },
    clusters: { least: 1, most: 16 },
    boost: { least: 1, most: 8 },
    targets: true,
  };
  const adapter = adapterConfigSchema.parse({ method: 'idlora', rank: 1, alpha: 1 });
  const work = (layers: number) => {
    const { object, reads } = counted({ ...presets['llama-3-8b']!, layers });
    const { solution } = solveBudget(object, adapter, { unit: 'parameters', most: 154_321 * layers }, limits);
    expect(solution!.remainder).toBeGreaterThanOrEqual(0);
    return reads();
  };
  expect(work(80)).toBeLessThanOrEqual(1.2 * work(8));
});

describe('a budget as people write it', () => {
  const choice = { percent: 'percentBase', bytes: 'bytesF32', trainableOf: () => 77 } as const;
  const read = (text: string) => parseBudget(text, choice);
  it.each([
    ['4000000', 'parameters', 4_000_000],
    ['4,000,000', 'parameters', 4_000_000],
    ['4.000.000', 'parameters', 4_000_000],
    ['4 000 000', 'parameters', 4_000_000],
    ['1e6', 'parameters', 1_000_000],
    ['50e6', 'parameters', 50_000_000],
    ['50M', 'parameters', 50_000_000],
    ['50 m', 'parameters', 50_000_000],
    ['4 million parameters', 'parameters', 4_000_000],
    ['0.3M', 'parameters', 300_000],
    ['0,3M', 'parameters', 300_000],
    ['1.1k', 'parameters', 1100],
    ['1,234.5k', 'parameters', 1_234_500],
    ['0.5%', 'percentBase', 0.5],
    ['0.5 %', 'percentBase', 0.5],
    ['0,5 %', 'percentBase', 0.5],
    ['0.5 % as the paper counts', 'percentPaper', 0.5],
    ['8MB', 'bytesF32', 8_000_000],
    ['8 MB', 'bytesF32', 8_000_000],
    ['8 mb bf16', 'bytesBf16', 8_000_000],
    ['8 MiB', 'bytesF32', 8_388_608],
    ['1.5 kB', 'bytesF32', 1500],
    ['like my run', 'parameters', 77],
    ['run:other', 'parameters', 77],
  ])('%s', (text, unit, most) => expect(read(text)).toEqual({ unit, most }));
  it('a number alone is in the unit that the form offers', () => {
    const plain = { unit: 'parameters', factor: 1e6 } as const;
    expect(parseBudget('0,5', { ...choice, plain })).toEqual({ unit: 'parameters', most: 500_000 });
    expect(parseBudget('0.5 %', { ...choice, plain })).toEqual({ unit: 'percentBase', most: 0.5 });
  });
  it.each([
    ['4 QB', '"4 QB" is no budget: "QB" is no unit.'],
    ['many', '"many" is no budget: it does not begin with a number.'],
    ['1,234,5', '"1,234,5" is no budget: the number is unclear.'],
    ['0.5 % of it', '"0.5 % of it" is no budget: "% of it" is no unit.'],
  ])('refuses "%s" by what was typed', (text, message) => expect(() => read(text)).toThrow(message));
  it.each([
    '',
    '0',
    '-4',
    '4.5',
    '0%',
    '101%',
    '1e999',
    '9007199254740992',
    'many',
    '4 QB',
    '0.0001 kB',
    '--1',
  ])('refuses "%s"', (text) => expect(() => read(text)).toThrow(StudioError));
});
