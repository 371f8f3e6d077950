import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';
import { checkpointFiles } from '../../support/trainingRun.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2, dropout: 0.1 },
  learningRate: 1e-2,
  maxSteps: 20,
  batch: 2,
  context: 64,
  heldOutFraction: 0.2,
  evalEvery: 5,
  checkpointEvery: 10,
});

let core: Core;
let home: string;
let parent: Run;
beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
  parent = await (await core.runs.start({ name: 'parent', model: 'tiny', dataset: 'sums', config })).ended;
});
afterAll(() => core.close());

const curves = (name: string) => {
  const { steps, evals } = core.runs.curves(name);
  return { steps: steps.map(({ step, loss, lr }) => ({ step, loss, lr })), evals };
};
const stateOf = (run: Run) => checkpointFiles(core.runs.checkpoint(run)!);

it('lists what is kept, with its size, its held-out loss and which is the best', async () => {
  const listed = await core.runs.checkpoints('parent');
  expect(listed.map(({ step }) => step)).toEqual([10, 20]);
  expect(listed[0]!.bytes).toBeGreaterThan(1000);
  const evals = new Map(core.runs.curves('parent').evals.map(({ step, loss }) => [step, loss]));
  expect(listed.map(({ heldOutLoss }) => heldOutLoss)).toEqual([evals.get(10), evals.get(20)]);
  expect(listed.filter(({ isBest }) => isBest)).toHaveLength(1);
});

it('goes on exactly as its parent did where nothing is changed', async () => {
  const { run, ended } = await core.runs.branch('parent', { step: 10, name: 'same', changes: {} });
  expect(run).toMatchObject({
    parent: { runId: parent.id, step: 10 },
    step: 10,
    totalSteps: 20,
    modelName: 'tiny',
    datasetName: 'sums',
  });
  const losses = curves('parent').steps.map(({ loss }) => loss);
  expect(run.recentLoss).toBeCloseTo(losses.slice(0, 10).reduce((sum, loss) => sum + loss, 0) / 10, 9);
  const same = await ended;
  expect(same).toMatchObject({ state: 'done', step: 20, lastLoss: parent.lastLoss, best: parent.best });
  expect(curves('same')).toEqual(curves('parent'));
  expect(stateOf(same)).toEqual(stateOf(parent));
});

it('trains on with other values; the curves up to the branch are its own, too', async () => {
  const changes = { learningRate: 4e-3, schedule: 'constant', maxSteps: 14, keepBest: true };
  const { ended } = await core.runs.branch('parent', { step: 10, name: 'other', changes });
  const other = await ended;
  expect(other).toMatchObject({ state: 'done', step: 14, totalSteps: 14, config: { ...config, ...changes } });
  const { steps, evals } = curves('other');
  expect(steps.slice(0, 10)).toEqual(curves('parent').steps.slice(0, 10));
  expect(steps.slice(10).map(({ step, lr }) => [step, lr])).toEqual(
    [11, 12, 13, 14].map((step) => [step, 4e-3]),
  );
  expect(steps[10]!.loss).toBe(curves('parent').steps[10]!.loss);
  expect(steps[11]!.loss).not.toBe(curves('parent').steps[11]!.loss);
  expect(evals.map(({ step }) => step)).toEqual([5, 10, 14]);
});

it('does not need its parent any more, once it is queued', async () => {
  core.runs.queue.begin();
  core.runs.queue.hold(true);
  const { run, ended } = await core.runs.branch('same', { step: 10, name: 'orphan', changes: {} });
  expect(run.state).toBe('queued');
  core.runs.remove('same');
  core.runs.queue.hold(false);
  const orphan = await ended;
  expect(orphan.state).toBe('done');
  expect(stateOf(orphan)).toEqual(stateOf(parent));
});

it.each<[string, Record<string, unknown>, RegExp]>([
  ['the rank', { adapter: { rank: 8 } }, /cannot change rank \(4 to 8\)/],
  ['the method', { adapter: { method: 'lora' } }, /cannot change method \("idlora" to "lora"\)/],
  ['the targets', { adapter: { targets: ['q_proj'] } }, /cannot change targets/],
  ['the batch and the seed', { batch: 4, seed: 3 }, /cannot change batch \(2 to 4\), seed \(0 to 3\)/],
  ['the held-out rows', { heldOutFraction: 0.1 }, /cannot change heldOutFraction/],
  ['the model', { model: 'other' }, /cannot change model/],
  ['the optimizer', { optimizer: 'sgd', momentum: 0.9 }, /cannot change optimizer .* momentum \(0 to 0\.9\)/],
  ['a rate out of range', { learningRate: -1 }, /learningRate/],
  ['a length that is behind it', { maxSteps: 10 }, /ends at step 10 has no step left/],
])('refuses to change %s, by name, and leaves nothing', async (_what, changes, message) => {
  const before = readdirSync(join(home, 'runs'));
  await expect(core.runs.branch('parent', { step: 10, name: 'never', changes })).rejects.toThrow(message);
  expect(() => core.runs.get('never')).toThrow('no run');
  expect(readdirSync(join(home, 'runs'))).toEqual(before);
});

it('refuses a step without a checkpoint and a name that is taken', async () => {
  const branch = (step: number, name: string) => core.runs.branch('parent', { step, name, changes: {} });
  await expect(branch(15, 'never')).rejects.toThrow('no checkpoint of step 15');
  await expect(branch(10, 'other')).rejects.toThrow('already a run "other"');
  expect(existsSync(join(home, 'runs', 'never'))).toBe(false);
});

it('makes one of two branches that are asked for under one name at once', async () => {
  core.runs.queue.hold(true);
  const made = await Promise.allSettled(
    [10, 20].map((step) => core.runs.branch('parent', { step, name: 'twin', changes: { maxSteps: 30 } })),
  );
  expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(core.runs.list().filter(({ name }) => name === 'twin')).toHaveLength(1);
  core.runs.remove('twin');
});
