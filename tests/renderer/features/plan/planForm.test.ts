import { expect, it } from 'vitest';
import { layerCounts } from '../../../../src-main/budget/count.ts';
import { presets } from '../../../../src-main/shape/modelShape.ts';
import { planAdapter, planColumns, rankCurves } from '../../../../src-renderer/features/plan/planColumns.ts';
import { planModel, restorePlan } from '../../../../src-renderer/features/plan/planForm.ts';
import {
  rangeProblems,
  readBudget,
  restoreSolver,
  solverRows,
  tooWide,
} from '../../../../src-renderer/features/plan/solverForm.ts';
import { counted } from '../../../support/counted.ts';

it('restores what fits and takes the first values for the rest', () => {
  const restored = restorePlan({
    model: 'qwen3-8b',
    rank: 16,
    targets: ['v_proj', 'nonsense'],
    method: 'gone',
  });
  expect(restored).toMatchObject({
    model: 'qwen3-8b',
    rank: 16,
    targets: ['v_proj'],
    method: 'idlora',
    boost: 2,
  });
  expect(planModel(restored, []).shape).toBe(presets['qwen3-8b']);
  expect(planModel({ ...restored, model: 'model gone' }, []).shape).toBeNull();
});

it('counts every method, and says why one is impossible without losing the others', () => {
  const form = restorePlan({ rank: 3, boost: 2 });
  const columns = planColumns(form, presets['llama-3-8b']!);
  const of = (method: string) => columns.find((column) => column.method === method)!;
  expect(of('idlora').found).toBeNull();
  expect(of('idlora').problem?.remedy).toMatch(/2|4/);
  // Rank 3 on all seven modules: 3 * sum of (in + out) over 32 layers.
  expect(of('lora').found?.count.trainable).toBe((20_971_520 * 3) / 4 / 2);
  for (const rank of [null, 0, 2.5])
    expect(
      planColumns({ ...form, rank }, presets['llama-3-8b']!).filter(({ found, problem }) => found ?? problem),
    ).toEqual([]);
});

it('reads a pasted config.json, asks for the sizes that it lacks and takes them', () => {
  const config = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 100 };
  const form = restorePlan({ model: 'config', config: JSON.stringify(config) });
  expect(planModel(form, []).read?.missing).toEqual(['intermediateSize']);
  form.given.intermediateSize = 128;
  expect(planModel(form, []).shape?.intermediateSize).toBe(128);
  expect(planModel({ ...form, config: '{' }, []).problem).toMatch(/not JSON/);
});

it('curves pass through the counts, and the heat map adds up to them', () => {
  const shape = presets['llama-3.2-1b']!;
  const form = restorePlan({ rank: 16, layers: '0-3,9', rankPattern: 'q_proj=32' });
  for (const { method, points } of rankCurves(form, shape)) {
    const adapter = planAdapter(form, method)!;
    const count = planColumns(form, shape).find((column) => column.method === method)!.found!.count;
    expect(points.find(({ rank }) => rank === 16)?.trainable, method).toBe(count.trainable);
    const cells = layerCounts(shape, adapter).cells;
    expect(cells.length).toBe(5 * 7);
    expect(cells.reduce((sum, [, , value]) => sum + value, 0)).toBe(count.trainable);
  }
});

const machine = { cores: 2, memoryBytes: 24e9, diskFreeBytes: 1e12, gpu: null, records: [] };

it('foresees memory and time of every method, larger for a longer context', () => {
  const shape = presets['llama-3.2-1b']!;
  const form = restorePlan({ rank: 16, batch: 2, context: 256, precision: 'f32' });
  const columns = (context: number) =>
    planColumns({ ...form, context }, shape, { calibration: machine, modelId: null });
  const [short, long] = [columns(256), columns(1024)];
  for (const [i, { method, found }] of short.entries()) {
    const training = found!.training!;
    // The weights alone take 4 bytes a parameter.
    expect(training.forecast.memory.correctedBytes, method).toBeGreaterThan(4 * 1.2e9);
    expect(training.tokensPerSecond, method).toBeCloseTo((2 * 256) / training.forecast.time.secondsPerStep);
    const later = long[i]!.found!.training!.forecast;
    expect(later.memory.correctedBytes).toBeGreaterThan(training.forecast.memory.correctedBytes);
    expect(later.time.secondsPerStep).toBeGreaterThan(training.forecast.time.secondsPerStep);
  }
  // Full fine-tuning: weights, gradients and two moments in f32 are about 20 GB of 24.
  expect(short.find(({ method }) => method === 'full')!.found!.training!.fit).not.toBe('fits');
  expect(planColumns({ ...form, context: 0 }, shape)[0]!.found).toBeNull();
});

it('a change costs no more on 80 layers than on 16: alike layers are counted once', () => {
  const work = (layers: number) => {
    const { object, reads } = counted({ ...presets['llama-3-70b']!, layers });
    const form = restorePlan({ rank: 16 });
    planColumns(form, object, { calibration: machine, modelId: null });
    rankCurves(form, object);
    return reads();
  };
  expect(work(80)).toBe(work(16));
});

it('the solver form reads budgets, refuses what cannot be, and solves each method', () => {
  const form = restoreSolver({ amount: 4, unit: 'M', ranges: { rank: { least: 1, most: 'x' } } });
  const runs = [{ id: 'id', name: 'eq-lora', trainable: 77 }];
  expect(form).toMatchObject({ budget: '4', unit: 'M' });
  expect(readBudget(form, [])).toEqual({ budget: { unit: 'parameters', most: 4_000_000 } });
  expect(readBudget({ budget: '0.3', unit: 'MBbf16' }, [])).toEqual({
    budget: { unit: 'bytesBf16', most: 300_000 },
  });
  expect(readBudget({ budget: '8 MB', unit: 'M' }, [])).toEqual({ budget: { unit: 'bytesF32', most: 8e6 } });
  expect(readBudget({ budget: 'like eq-lora', unit: 'M' }, runs)).toEqual({
    budget: { unit: 'parameters', most: 77 },
  });
  // What an older form stored: a number and a run apart.
  const taken = restoreSolver({ amount: 4, unit: 'run', runId: 'id' });
  expect(readBudget(taken, runs)).toEqual({ budget: { unit: 'parameters', most: 77 } });
  for (const budget of ['', '0', '-1', '0.0000001', '1e300', 'like nobody'])
    expect(readBudget({ ...form, budget }, runs)).toHaveProperty('problem');
  const turned = { ...form, ranges: { ...form.ranges, boost: { least: 4, most: 2 } } };
  expect(rangeProblems(turned)).toEqual({ boost: 'The end lies before the beginning.' });
  const wide = { ...form, seeksTargets: true, ranges: { ...form.ranges, clusters: { least: 1, most: 64 } } };
  expect(tooWide(wide, 7)).toBeUndefined();
  expect(tooWide({ ...wide, ranges: { ...wide.ranges, boost: { least: 1, most: 64 } } }, 7)).toMatch(
    /Narrow/,
  );

  const rows = solverRows(restorePlan({}), form, presets['llama-3-8b']!, {
    unit: 'parameters',
    most: 5_668_863,
  });
  const of = (method: string) => rows.find((row) => row.method === method)!;
  expect(of('lora').solution).toMatchObject({ adapter: { rank: 2 }, remainder: 5_668_863 - 5_242_880 });
  expect(of('idlora').reason).toMatch(
    /nearest possible is 5,668,864 trainable parameters \(rank 2, clusters 4/,
  );
  expect(of('full').solution).toBeNull();
});
