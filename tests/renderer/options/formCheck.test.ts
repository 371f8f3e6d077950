import { describe, expect, it } from 'vitest';
import { mixSchema } from '../../../src-main/contract/mixing/mixes.ts';
import { checkForm } from '../../../src-renderer/options/formCheck.ts';
import { shownTargets } from '../../../src-renderer/options/targets.ts';
import { copyForm, defaultForm, type TrainForm } from '../../../src-renderer/options/trainForm.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { fused, library, llama3 } from './samples.ts';

function check(changes: Partial<TrainForm>) {
  const form = { ...copyForm(defaultForm), modelId: 'm1', datasetId: 'd1', ...changes };
  return checkForm(form, { ...library, runs: [sampleRun({ name: 'lora-r8' })] });
}

describe('what is wrong with a value stands at its field at once', () => {
  it.each<[Partial<TrainForm>, keyof TrainForm, RegExp]>([
    [{ rank: 0 }, 'rank', /^At least 1/],
    [{ rank: null }, 'rank', /Enter a number/],
    [{ rank: 3 }, 'rank', /no multiple of 2/],
    [{ method: 'idlora', rank: 512 }, 'rank', /which has 1024/],
    [{ alpha: 0 }, 'alpha', /^More than 0/],
    [{ dropout: 1 }, 'dropout', /^Below 1/],
    [{ boost: 3, rank: 6 }, 'boost', /does not divide/],
    [{ targets: [] }, 'targets', /Choose at least one/],
    [{ targets: ['qkv_proj'] }, 'targets', /no module qkv_proj/],
    [{ layers: '3-1' }, 'layers', /"3-1"/],
    [{ layers: '0-40' }, 'layers', /Layer 32 does not exist/],
    [{ rankPattern: 'q_proj' }, 'rankPattern', /MODULE=NUMBER/],
    [{ rankPattern: 'q_proj=0' }, 'rankPattern', /q_proj: At least 1/],
    [{ rankPattern: 'lm_head=4' }, 'rankPattern', /fits no adapted module/],
    [{ alphaPattern: 'lm_head=4' }, 'alphaPattern', /fits no adapted module/],
    [{ learningRate: 11 }, 'learningRate', /^At most 10/],
    [{ warmupSteps: 1.5 }, 'warmupSteps', /A whole number/],
    [{ maxSteps: null }, 'maxSteps', /Enter a number/],
    [{ length: 'epochs', epochs: 0 }, 'epochs', /More than 0/],
    [{ context: 9000 }, 'context', /context of 8192/],
    [{ seed: -1 }, 'seed', /At least 0/],
    [{ heldOutFraction: 0.6 }, 'heldOutFraction', /At most/],
    [
      { schedule: 'warmup_stable_decay', warmupSteps: 190, decaySteps: 30 },
      'decaySteps',
      /decay steps to 10/,
    ],
    [{ schedule: 'constant', warmupSteps: 200 }, 'warmupSteps', /warm-up steps to 199 or less/],
    [{ schedule: 'polynomial', learningRate: 1e-8 }, 'minLearningRateRatio', /above the learning rate/],
    [{ earlyStoppingPatience: 2, evalEvery: 0 }, 'earlyStoppingPatience', /only at the end \(eval steps 0\)/],
    [{ keepBest: true, evalEvery: 0 }, 'keepBest', /only at the end \(eval steps 0\)/],
    [{ heldOutFraction: 0.7 }, 'heldOutFraction', /At most 50 %/],
    [{ samples: { prompts: ['a'], every: 0, maxTokens: 0 } }, 'samples', /maxTokens: At least 1/],
    [
      { method: 'full', baseWeights: 'nf4' },
      'baseWeights',
      /trains the base: its weights cannot be kept in 4 bits/,
    ],
    [{ method: 'full', baseWeights: 'int8' }, 'baseWeights', /cannot be kept in 8 bits/],
    [{ method: 'lora', rankPattern: 'q_proj=4097' }, 'rankPattern', /Rank 4097 is larger/],
    [{ alphaPattern: '*q=2' }, 'alphaPattern', /which is not understood/],
    [{ method: 'moelora', tasks: 1, experts: 3, gate: 'task' }, 'rank', /no multiple of 3/],
    [{ name: 'lora-r8' }, 'name', /already a run/],
  ])('%j', (changes, field, text) => {
    const { problems, config, missing } = check(changes);
    expect(problems[field]).toMatch(text);
    expect(Object.keys(problems)).toEqual([field]);
    expect(config).toBeNull();
    expect(missing).toEqual(['Correct the marked value']);
  });

  it('two at a time, of the adapter and of the run', () => {
    expect(Object.keys(check({ rank: 3, epsilon: 0 }).problems).sort()).toEqual(['epsilon', 'rank']);
  });
});

it('knows steps and rows of a mix once a pass over it was counted, packed or not', () => {
  const form: TrainForm = {
    ...copyForm(defaultForm),
    modelId: 'm1',
    datasetId: 'x1',
    length: 'epochs',
    epochs: 1.5,
    batch: 4,
    accumulate: 1,
  };
  const mix = mixSchema.parse({
    id: 'x1',
    project: 'default',
    name: 'both',
    createdAt: '',
    sources: library.datasets.map(({ id }) => ({ kind: 'dataset', id })),
  });
  const all = { ...library, mixes: [mix], runs: [] };
  expect(checkForm(form, all)).toMatchObject({ steps: null, trainRows: null, heldOutRows: null });
  const pass = { rows: 801, heldOutRows: 20, steps: 301, layout: null };
  expect(checkForm(form, all, pass)).toMatchObject({ steps: 301, trainRows: 801, heldOutRows: 20 });
  const packed = checkForm({ ...form, packing: true }, all, { ...pass, steps: 90 });
  expect(packed).toMatchObject({ steps: 90, trainRows: 801 });
  // A dataset whose rows are packed is counted as well.
  const alone = { ...form, datasetId: library.datasets[0]!.id, packing: true };
  expect(checkForm(alone, all)).toMatchObject({ steps: null });
  expect(checkForm(alone, all, pass)).toMatchObject({ steps: 301, trainRows: 801, heldOutRows: 20 });
});

describe('what is not shown is not checked', () => {
  it.each<Partial<TrainForm>>([
    { method: 'lora', clusters: 0, boost: null },
    { method: 'full', rank: 0, dropout: 2, layers: 'x' },
    { optimizer: 'sgd', beta1: 4 },
    { method: 'idlora', heads: 0, experts: -1 },
    { heldOutFraction: 0, earlyStoppingPatience: 3, evalEvery: 0 },
    // One that is about to be written.
    { samples: { prompts: ['a', ''], every: 0, maxTokens: 8 } },
  ])('%j', (changes) => {
    const { problems, config } = check(changes);
    expect(problems).toEqual({});
    expect(config).not.toBeNull();
  });
});

it('says what is missing, in the order of the form', () => {
  const { missing, count, runName } = check({ modelId: null, datasetId: 'gone', method: 'lora' });
  expect(missing).toEqual(['Choose a model', 'Choose a dataset']);
  expect(count).toBeNull();
  expect(runName).toBe('lora-r8-2');
});

it('counts parameters, steps and rows as the core will', () => {
  const { count, steps, trainRows } = check({ rank: 128, alpha: 256, length: 'epochs', epochs: 3, batch: 8 });
  expect(count?.trainable).toBe(49_020_928);
  expect(trainRows).toBe(980);
  expect(steps).toBe(Math.ceil(3 * Math.ceil(980 / 8)));
  expect(check({ length: 'epochs', packing: true }).steps).toBeNull();
});

it('knows the modules of a model that keeps them together', () => {
  const whole = ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'];
  expect(shownTargets(defaultForm.targets, fused)).toEqual(whole);
  expect(shownTargets(defaultForm.targets, llama3)).toEqual(defaultForm.targets);
  expect(shownTargets(['qkv_proj'], fused)).toEqual(['qkv_proj']);
  expect(check({ modelId: 'm2', targets: ['q_proj'] }).problems.targets).toMatch(/one matrix, qkv_proj/);
  expect(check({ modelId: 'm2' }).config).not.toBeNull();
});
