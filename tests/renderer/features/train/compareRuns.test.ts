import { describe, expect, it } from 'vitest';
import { trainConfigSchema, type TrainConfigInput } from '../../../../src-main/contract/training.ts';
import {
  comparisonMarkdown,
  configDifferences,
  contractDifferences,
} from '../../../../src-renderer/options/configDifferences.ts';
import { perStep, placeText, valueAt } from '../../../../src-renderer/charts/overlay/progressAxis.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

function run(
  name: string,
  config: Omit<TrainConfigInput, 'adapter'>,
  adapter: Partial<TrainConfigInput['adapter']> = {},
) {
  return sampleRun({
    name,
    config: trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 8, alpha: 16, ...adapter },
      ...config,
    }),
  });
}

describe('what configurations differ in', () => {
  it('is nothing where they are the same, whatever options of other methods say', () => {
    expect(configDifferences([run('a', {}), run('b', {}, { clusters: 9, heads: 2 })])).toEqual([]);
    expect(configDifferences([run('a', {})])).toEqual([]);
  });

  it('has every option that is not the same in all, as text, in the order of the form', () => {
    const lines = configDifferences([
      run('a', { learningRate: 1e-4, heldOutFraction: 0.05 }),
      run('b', { learningRate: 2e-4, optimizer: 'sgd', momentum: 0.9 }, { method: 'idlora', layers: [0, 1] }),
      { ...run('c', { maxSteps: 30 }), datasetName: 'other' },
    ]);
    expect(lines.map(({ label, values }) => [label, ...values])).toEqual([
      ['Dataset', 'sums', 'sums', 'other'],
      ['Method', 'LoRA', 'ID-LoRA', 'LoRA'],
      ['Clusters', null, '4', null],
      ['Boost', null, '2', null],
      ['Layers', 'all', '0-1', 'all'],
      ['Learning rate', '0.0001', '0.0002', '0.0002'],
      ['Max steps', null, null, '30'],
      ['Optimizer', 'AdamW', 'SGD', 'AdamW'],
      ['Momentum', null, '0.9', null],
      ['Held out', '5 %', '2 %', '2 %'],
    ]);
  });

  it('says in one line how the bases are kept, of full fine-tuning nothing', () => {
    const lines = configDifferences([
      run('a', {}),
      run('b', { loadIn8bit: true }),
      run('c', { loadIn4bit: true }),
      run('d', {}, { method: 'full', rank: 1, alpha: 1 }),
    ]);
    expect(lines.filter(({ key }) => key === 'baseWeights')).toMatchObject([
      { label: 'Base weights', values: ['as stored', '8 bits', '4 bits (NF4)', null] },
    ]);
    expect(lines.map(({ key }) => key)).not.toContain('loadIn4bit');
  });

  it('can be copied as Markdown', () => {
    const runs = [run('a|1', { seed: 1 }), run('b', { seed: 2 })];
    expect(comparisonMarkdown(runs, configDifferences(runs))).toBe(
      '| Value | a\\|1 | b |\n| --- | --- | --- |\n| Seed | 1 | 2 |\n',
    );
  });
});

describe('data contracts', () => {
  const contracted = (name: string, hash: string | null, parts: Record<string, string>) => {
    const made = run(name, {});
    return {
      ...made,
      dataContract: {
        hash,
        parts,
        sources: [],
        datasetHash: 'h',
        rows: 1,
        trainRows: 1,
        heldOutRows: 0,
        truncatedRows: 0,
        droppedRows: 0,
        refusedRows: 0,
        tokens: 1,
        trainedTokens: 1,
        packing: null,
      },
    };
  };
  const parts = { amounts: 'a: 30 %, b: 70 %', seed: '0' };

  it('match by their hash, and differ in named parts', () => {
    expect(contractDifferences([contracted('a', 'h', parts), contracted('b', 'h', parts)])).toEqual({
      isSame: true,
      lines: [],
    });
    const other = { ...parts, amounts: 'a: 50 %, b: 50 %' };
    const { isSame, lines } = contractDifferences([contracted('a', 'h', parts), contracted('b', 'i', other)]);
    expect(isSame).toBe(false);
    expect(lines.map(({ label, values }) => [label, ...values])).toEqual([
      ['Amounts', 'a: 30 %, b: 70 %', 'a: 50 %, b: 50 %'],
    ]);
  });

  it('are not compared where a run has none yet', () => {
    expect(contractDifferences([contracted('a', 'h', parts), run('b', {})]).isSame).toBeNull();
    expect(contractDifferences([contracted('a', null, {}), contracted('b', null, {})]).isSame).toBeNull();
  });

  it('name a mix as one', () => {
    const mix = { recipe: { sources: [] }, inner: {} } as unknown as NonNullable<
      ReturnType<typeof run>['mix']
    >;
    expect(configDifferences([run('a', {}), { ...run('b', {}), mix }]).map(({ values }) => values)).toEqual([
      ['sums', 'sums (mix)'],
    ]);
  });
});

describe('the axis of an overlay', () => {
  const data = {
    hash: 'h',
    parts: {},
    sources: [],
    datasetHash: 'h',
    rows: 110,
    trainRows: 100,
    heldOutRows: 10,
    truncatedRows: 0,
    droppedRows: 0,
    refusedRows: 0,
    tokens: 5000,
    trainedTokens: 900,
    packing: null,
  };
  const { config } = run('a', { batch: 4, accumulate: 2 });
  const speeds = [100, 400, 800].map((tokensPerSecond) => ({ tokensPerSecond }));

  it('counts steps, tokens, or seconds at the median speed', () => {
    expect(perStep({ dataContract: data, config }, speeds, 'steps')).toBe(1);
    expect(perStep({ dataContract: data, config }, speeds, 'tokens')).toBe(400);
    expect(perStep({ dataContract: data, config }, speeds, 'time')).toBe(1);
    const packed = { ...data, packing: { packs: 20, efficiency: 0.9 } };
    expect(perStep({ dataContract: packed, config }, speeds, 'tokens')).toBe(2000);
  });

  it('is not known without the record of the data or without a step', () => {
    expect(perStep({ dataContract: null, config }, speeds, 'tokens')).toBeNull();
    expect(perStep({ dataContract: data, config }, [], 'time')).toBeNull();
    expect(perStep({ dataContract: null, config }, [], 'steps')).toBe(1);
  });

  it('reads values at a place, and none beside the line', () => {
    const line = [
      [1, 5],
      [2, 4],
      [10, 3],
    ] as const;
    expect([0.5, 1, 1.9, 2, 9.9, 10, 11].map((x) => valueAt(line, x))).toEqual([null, 5, 5, 4, 4, 3, null]);
    expect(valueAt([], 1)).toBeNull();
  });

  it.each([
    [12_345, 'steps', '12.3 k'],
    [3_500_000, 'tokens', '3.50 M'],
    [90, 'time', '2 min'],
  ] as const)('says %d %s as %s', (x, measure, text) => {
    expect(placeText(x, measure)).toBe(text);
  });
});
