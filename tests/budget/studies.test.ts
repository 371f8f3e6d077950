import { describe, expect, it } from 'vitest';
import { countParameters } from '../../src-main/budget/count.ts';
import { presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import { publishedCounts } from '../../src-main/budget/paper.ts';
import { forecastStudy } from '../../src-main/budget/studies/forecast.ts';
import { isPaperModel, paperStudies, studyNotes } from '../../src-main/budget/studies/paperStudies.ts';
import { checkStudyData, isPaperData } from '../../src-main/budget/studies/studyData.ts';
import { passKey } from '../../src-main/options/lengths.ts';
import { planStudy } from '../../src-main/budget/studies/plan.ts';
import { paperStudyIds, studyQuestionSchema, type StudyQuestion } from '../../src-main/contract/studies.ts';
import { methods, trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';

const shape = presets['llama-3.2-1b']!;
const on = (sizes: ModelShape) => ({ shape: sizes, contextLength: 4096 });

function equalBudget(
  rest: Partial<Extract<StudyQuestion, { kind: 'equal_budget' }>> = {},
  config: Partial<TrainConfigInput> = {},
): StudyQuestion {
  return {
    kind: 'equal_budget',
    methods: ['lora', 'idlora'],
    seeds: [0, 1],
    budget: { unit: 'parameters', most: 6_000_000 },
    config: trainConfigSchema.parse({ adapter: { method: 'lora', rank: 8, alpha: 16 }, ...config }),
    ...rest,
  };
}

describe('an equal-budget comparison', () => {
  it('gives every method its greatest rank within the budget, and alpha its ratio to it', () => {
    const plan = planStudy(on(shape), 'eq', equalBudget({ methods: [...methods] }));
    expect(plan.impossible.map(({ label }) => label)).toEqual(['full']);
    for (const { config, trainable, remainder, method } of plan.arms) {
      const { adapter } = config;
      expect(trainable).toBe(countParameters(shape, adapter).trainable);
      expect(trainable).toBeLessThanOrEqual(6_000_000);
      expect(remainder).toBe(6_000_000 - trainable);
      expect(adapter.alpha).toBe(2 * adapter.rank);
      const next = countParameters(shape, { ...adapter, rank: adapter.rank + adapter.boost }).trainable;
      expect(next, method).toBeGreaterThan(6_000_000);
    }
    expect(plan.impossible[0]).toMatchObject({
      label: 'full',
      reason: expect.stringMatching(/1,235,814,400/),
    });
  });

  it('keeps the runs of a seed together, with everything equal but the method', () => {
    const { runs } = planStudy(on(shape), 'eq', equalBudget({ seeds: [3, 5] }, { learningRate: 1e-3 }));
    expect(runs.map(({ name }) => name)).toEqual([
      'eq lora r8 s3',
      expect.stringMatching(/^eq idlora r\d+ s3$/),
      'eq lora r8 s5',
      expect.stringMatching(/^eq idlora r\d+ s5$/),
    ]);
    const shared = runs.map(({ config: { adapter: _adapter, seed: _seed, ...rest } }) => rest);
    for (const rest of shared) expect(rest).toEqual(shared[0]);
    expect(runs.map(({ config }) => config.seed)).toEqual([3, 3, 5, 5]);
  });

  it('leaves out of full fine-tuning what only an adapter has', () => {
    const question = equalBudget(
      { methods: ['full'], budget: { unit: 'percentBase', most: 100 } },
      { adapter: { method: 'lora', rank: 8, alpha: 16, dropout: 0.1, rankStabilized: true, layers: [0] } },
    );
    expect(planStudy(on(shape), 'eq', question).arms).toMatchObject([
      { label: 'full', remainder: 0, config: { adapter: { dropout: 0, layers: null } } },
    ]);
  });

  it.each([
    ['loadIn4bit', 4],
    ['loadIn8bit', 8],
  ])('leaves full fine-tuning out where the base is kept by %s, and says why', (name, bits) => {
    const question = equalBudget(
      { methods: ['full', 'lora'], budget: { unit: 'percentBase', most: 100 } },
      { [name]: true },
    );
    const { arms, impossible } = planStudy(on(shape), 'eq', question);
    expect(arms.map(({ method, config }) => [method, config.adapter.method])).toEqual([['lora', 'lora']]);
    expect(impossible).toEqual([
      {
        label: 'full',
        reason: expect.stringContaining(`its weights cannot be kept in ${bits} bits`) as string,
      },
    ]);
  });

  it('refuses what nothing can be trained of, and more runs than a queue should hold', () => {
    const none = equalBudget({ budget: { unit: 'parameters', most: 10 } });
    expect(() => planStudy(on(shape), 'eq', none)).toThrow(/None of the settings.*nearest possible is/);
    const paper: StudyQuestion = {
      kind: 'paper',
      study: 'table7',
      seeds: Array.from({ length: 20 }, (_, i) => i),
    };
    expect(planStudy(on(presets['llama-3-8b']!), 't', paper).runs.length).toBe(160);
    const many = { ...equalBudget(), seeds: Array.from({ length: 150 }, (_, i) => i) };
    expect(() => planStudy(on(shape), 'eq', many)).toThrow(/300 runs; a study has at most 200/);
    for (const seeds of [[], [1, 1], [-1], [0.5]])
      expect(studyQuestionSchema.safeParse(equalBudget({ seeds })).success, String(seeds)).toBe(false);
  });
});

describe('the paper’s studies', () => {
  it('are all there, on the models and data that the paper names', () => {
    expect(paperStudies.map(({ id }) => id)).toEqual([...paperStudyIds]);
    for (const study of paperStudies) expect(presets[study.model.preset]).toBeDefined();
  });

  it.each(paperStudies)('$id trains what the paper counts, to its printed share', ({ id, model }) => {
    const own = presets[model.preset]!;
    const { arms, impossible } = planStudy(on(own), 't', { kind: 'paper', study: id, seeds: [0] });
    expect(impossible).toEqual([]);
    const printed = publishedCounts.filter(
      (count) => count.table === id.split('-')[0] && count.model === model.preset,
    );
    if (id !== 'table8')
      expect(arms.map(({ published }) => published)).toEqual(printed.map((count) => count.printed));
    for (const { config, published, label } of arms) {
      expect(config).toMatchObject({ warmupSteps: 0, optimizer: 'adamw', heldOutFraction: 0 });
      expect(config.batch * config.accumulate).toBe(32);
      const { adapter } = config;
      if (adapter.method !== 'full') {
        expect(adapter.alpha, label).toBe(2 * adapter.rank);
        expect(adapter.dropout, label).toBe(0.05);
        expect(adapter.targets.length, label).toBe(7);
      }
      if (published !== null) {
        const digits = published.split('.')[1]?.length ?? 0;
        expect(countParameters(own, adapter).percentPaper.toFixed(digits), label).toBe(published);
      }
    }
  });

  it('have the rates, epochs and rows of Tables 4, 5 and 8', () => {
    const of = (id: (typeof paperStudyIds)[number]) => {
      const study = paperStudies.find((known) => known.id === id)!;
      return planStudy(on(presets[study.model.preset]!), 't', { kind: 'paper', study: id, seeds: [0] }).arms;
    };
    const rates = (id: (typeof paperStudyIds)[number]) => {
      const { learningRate, epochs } = of(id)[0]!.config;
      return [learningRate, epochs];
    };
    expect(rates('table1-gsm8k-llama')).toEqual([5e-5, 3]);
    expect(rates('table1-gsm8k-mistral')).toEqual([3e-5, 3]);
    expect(rates('table1-codealpaca-mistral')).toEqual([5e-5, 2]);
    expect(rates('table1-saferpaca-llama')).toEqual([1e-4, 2]);
    expect(rates('table2-mistral')).toEqual([5e-5, 2]);
    expect(of('table8').map(({ config }) => [config.adapter.rank, config.adapter.clusters])).toEqual([
      [128, 2],
      [128, 4],
      [128, 6],
      [128, 8],
    ]);
    expect(of('table3').map(({ label }) => label)).toEqual([
      ...['lora r32', 'idlora r128', 'idlora r32 s1', 'idlora r128 serial', 'idlora r128 random'],
    ]);
  });

  it('say where model and data are not the paper’s, and name what a small model rules out', () => {
    const study = paperStudies.find(({ id }) => id === 'table1-gsm8k-llama')!;
    const model = { name: 'mine', family: 'llama', parameters: 8_030_261_248, contextLength: 8192 };
    const dataset = { name: 'train', sourcePath: '/data/gsm8k/train.jsonl', benchmarkRows: [], rows: 7473 };
    expect(isPaperModel(study.model, model)).toBe(true);
    expect(isPaperModel(study.model, { ...model, parameters: 1e9 })).toBe(false);
    expect(isPaperData(study.data, dataset)).toBe(true);
    // Neither by its file's name, nor by its own, nor by its rows.
    const test = { ...dataset, name: 'test', sourcePath: '/data/gsm8k/test.jsonl', rows: 1319 };
    expect(isPaperData(study.data, test)).toBe(false);
    expect(isPaperData(study.data, { ...dataset, name: 'gsm8k eval' })).toBe(false);
    const benchmarkRows = [{ with: 'GSM8K test', rows: 1319, of: 1319 }];
    expect(isPaperData(study.data, { ...dataset, benchmarkRows })).toBe(false);
    expect(() => checkStudyData(study.scoredWith, { ...dataset, benchmarkRows })).toThrow(/scored with them/);
    expect(() => checkStudyData('HumanEval', { ...dataset, benchmarkRows })).not.toThrow();
    const plain = studyNotes(study, { model, data: { name: dataset.name, datasets: [dataset] } });
    const other = studyNotes(study, {
      model: { name: 'small', family: 'llama', parameters: 1e6, contextLength: 96 },
      data: {
        name: 'sums',
        datasets: [{ name: 'sums', sourcePath: '/x/sums.jsonl', benchmarkRows: [], rows: 60 }],
      },
    });
    expect(other.slice(0, 3)).toEqual([
      'The paper trains LLaMA-3-8B; this is small: scores cannot be compared with its own.',
      'The paper trains on GSM8K (train); this is sums.',
      'small has a context of 96 tokens: rows end there, not at 512.',
    ]);
    expect(other.slice(3)).toEqual(plain);
    const small = {
      ...shape,
      hiddenSize: 64,
      intermediateSize: 172,
      layers: 2,
      heads: 4,
      keyValueHeads: 4,
      headDim: 16,
    };
    expect(() => planStudy(on(small), 't', { kind: 'paper', study: 'table8', seeds: [0] })).toThrow(
      /None of the settings.*idlora r128 k8: ID-LoRA needs clusters x rank/,
    );
    const some = planStudy(on(small), 't', { kind: 'paper', study: 'table7', seeds: [0] });
    expect(some.arms.map(({ label }) => label)).toEqual(['lora r4', 'lora r8', 'lora r16', 'lora r32']);
    expect(some.impossible.map(({ label }) => label)).toEqual([
      ...['idlora r32', 'idlora r64', 'idlora r128', 'idlora r256'],
    ]);
  });
});

it('foresees a study as the sum of its runs', () => {
  const plan = planStudy(on(shape), 'eq', equalBudget({ seeds: [0, 1, 2] }, { maxSteps: 10 }));
  const place = { modelId: 'm', shape, contextLength: 2048, rows: 1000, lengths: { longest: 100 } };
  const calibration = { cores: 2, memoryBytes: 24e9, diskFreeBytes: 1e12, gpu: null, records: [] };
  const forecast = forecastStudy(plan, place, calibration);
  const each = forecast.arms.map(({ forecast: own }) => own.time.seconds);
  expect(forecast.seconds).toBeCloseTo(3 * (each[0]! + each[1]!), 6);
  expect(forecast.peakBytes).toBe(
    Math.max(...forecast.arms.map((arm) => arm.forecast.memory.correctedBytes)),
  );
  // Three checkpoints at once of each of three runs: parameters and two moments in f32, and the pivots of ID-LoRA.
  const least = plan.arms.reduce((sum, { trainable }) => sum + 3 * 3 * 12 * trainable, 0);
  expect(forecast.checkpointBytes).toBeGreaterThanOrEqual(least);
  expect(forecast.checkpointBytes).toBeLessThan(1.2 * least);
  expect(forecast.fit).toBe('fits');
  const packed = planStudy(on(shape), 'eq', equalBudget({}, { packing: true }));
  expect(forecastStudy(packed, place, calibration).seconds).toBeNull();
  // Packs and mixes are counted run by run: another seed may take a step more.
  const seeds = planStudy(on(shape), 'eq', equalBudget({ seeds: [0, 1] }, { packing: true }));
  const counted = Object.fromEntries(
    seeds.runs.map(({ config, seed }) => [passKey(config), { steps: 40 + seed }]),
  );
  expect(Object.keys(counted)).toHaveLength(2);
  const known = forecastStudy(seeds, { ...place, counted }, calibration);
  expect(known.arms.map(({ leastSteps, steps }) => [leastSteps, steps])).toEqual([
    [40, 41],
    [40, 41],
  ]);
  expect(known.seconds).toBeGreaterThan(0);
});
