import { afterEach, describe, expect, it } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { StudyQuestion } from '../../../src-main/contract/studies.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openCoreOn, openTestCore, openTrainingCore } from '../../support/core.ts';
import { hasSharedData, sharedData, sharedNote } from '../../support/paths.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

const question = (config: Partial<TrainConfigInput> = {}, seeds = [0, 1]): StudyQuestion => ({
  kind: 'equal_budget',
  methods: ['lora', 'idlora'],
  seeds,
  budget: { unit: 'parameters', most: 6000 },
  config: trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4, clusters: 2 },
    maxSteps: 3,
    batch: 2,
    context: 64,
    heldOutFraction: 0.1,
    ...config,
  }),
});

async function openCore() {
  const { core, home } = await openTrainingCore();
  open.push(core);
  const events: StudioEvent[] = [];
  core.events.subscribe(null, ({ event }) => events.push(event));
  return { core, home, events };
}
const request = (name: string, asked = question()) => ({
  name,
  model: 'tiny',
  dataset: 'sums',
  question: asked,
});

it('trains an equal-budget comparison through the queue, and compares it seed by seed', async () => {
  const { core, events } = await openCore();
  const { study, started } = await core.studies.start(request('pair'));
  expect(started.map(({ run }) => run.name)).toEqual(
    core.studies.get('pair').runs.map((_, i) => started[i]!.run.name),
  );
  const ended = await Promise.all(started.map((run) => run.ended));
  expect(ended.map(({ state }) => state)).toEqual(['done', 'done', 'done', 'done']);
  for (const [i, run] of ended.entries()) {
    const { arm, seed, runId } = study.runs[i]!;
    expect(run.id).toBe(runId);
    expect(run.config.seed).toBe(seed);
    expect(run.trainable).toBe(study.arms[arm]!.trainable);
    expect(run.trainable).toBeLessThanOrEqual(6000);
  }
  const outcome = core.studies.outcome('pair');
  const losses = ended.map(({ lastHeldOutLoss }) => lastHeldOutLoss!);
  expect(outcome.arms.map(({ n }) => n)).toEqual([2, 2]);
  const { first, second, n, difference, interval } = outcome.pairs[0]!;
  expect([first, second, n]).toEqual([0, 1, 2]);
  expect(difference).toBeCloseTo((losses[0]! - losses[1]! + losses[2]! - losses[3]!) / 2, 9);
  expect(interval![0]).toBeLessThan(difference);
  expect(events.filter(({ type }) => type === 'studies.changed').length).toBe(1);
});

it('shows methods of one seed the same rows in the same order, and holds out the same', async () => {
  const { core } = await openCore();
  // An update too small to be seen: what is left of the loss is the data.
  const { started } = await core.studies.start(
    request('still', question({ learningRate: 1e-30, maxSteps: 5 })),
  );
  const ended = await Promise.all(started.map((run) => run.ended));
  const losses = ended.map(({ id }) => core.runs.curves(id).steps.map(({ loss }) => loss));
  for (const [lora, idLora] of [
    [0, 1],
    [2, 3],
  ] as const) {
    expect(losses[lora]!.length).toBe(5);
    for (const [step, loss] of losses[lora]!.entries()) expect(losses[idLora]![step]).toBeCloseTo(loss, 5);
    expect(ended[idLora]!.lastHeldOutLoss).toBeCloseTo(ended[lora]!.lastHeldOutLoss!, 5);
  }
  expect(losses[0]![0]).not.toBeCloseTo(losses[2]![0]!, 4);
});

it('makes all runs or none', async () => {
  const { core } = await openCore();
  await expect(
    core.studies.start(
      request('tight', { ...question(), budget: { unit: 'parameters', most: 5 } } as StudyQuestion),
    ),
  ).rejects.toMatchObject({ code: 'config_invalid' });
  const config = trainConfigSchema.parse({ adapter: { method: 'lora', rank: 2, alpha: 4 }, maxSteps: 1 });
  const { name } = (await core.studies.plan(request('taken'))).plan.runs.at(-1)!;
  await (
    await core.runs.start({ name, model: 'tiny', dataset: 'sums', config })
  ).ended;
  await expect(core.studies.start(request('taken'))).rejects.toMatchObject({ code: 'name_taken' });
  expect(core.runs.list().length).toBe(1);
  expect(core.studies.list()).toEqual([]);
  expect(core.runs.queue.state().waiting).toEqual([]);
});

it('goes on after the studio ended in the middle: first with the queue, or when somebody resumes what is left', async () => {
  const { core, home } = await openCore();
  const { started } = await core.studies.start(request('long', question({ maxSteps: 2000 })));
  await core.runs.suspend();
  expect((await started[0]!.ended).state).toBe('paused');
  core.close();
  const again = openCoreOn(home);
  open.push(again);
  const study = again.studies.get('long');
  expect(again.runs.queue.state().waiting.map(({ id }) => id)).toEqual(
    study.runs.slice(1).map(({ runId }) => runId),
  );
  const { started: resumed } = await again.studies.resume('long');
  expect(resumed.map(({ run }) => run.id)).toEqual(study.runs.map(({ runId }) => runId));
  const { running, waiting } = again.runs.queue.state();
  expect(running.map(({ id }) => id)).toEqual([study.runs[0]!.runId]);
  expect(waiting.map(({ id }) => id)).toEqual(study.runs.slice(1).map(({ runId }) => runId));
  await again.runs.suspend();
});

it('is removed without its runs, and brought back', async () => {
  const { core, home } = await openCore();
  const { study, started } = await core.studies.start(request('gone'));
  await Promise.all(started.map((run) => run.ended));
  core.studies.remove('gone');
  expect(core.studies.list()).toEqual([]);
  expect(core.runs.list().length).toBe(4);
  expect(core.studies.restore(study.id).name).toBe('gone');
  core.studies.remove('gone');
  core.close();
  const again = openCoreOn(home);
  open.push(again);
  expect(again.studies.list()).toEqual([]);
  expect(() => again.studies.restore(study.id)).toThrow();
  expect(again.runs.list().length).toBe(4);
});

describe.skipIf(!hasSharedData)(`a real model on real data${sharedNote}`, () => {
  it('LoRA against ID-LoRA at one budget over two seeds, stories260K on GSM8K, runs to the end', async () => {
    const { core } = openTestCore();
    open.push(core);
    const { study, started } = await core.studies.start({
      name: 'gsm8k at 20 k',
      model: sharedData('stories260K-hf'),
      dataset: sharedData('gsm8k', 'train.jsonl'),
      question: {
        kind: 'equal_budget',
        methods: ['lora', 'idlora'],
        seeds: [0, 1],
        budget: { unit: 'parameters', most: 20_000 },
        config: trainConfigSchema.parse({
          adapter: { method: 'lora', rank: 8, alpha: 16 },
          maxSteps: 30,
          batch: 4,
          context: 256,
          heldOutFraction: 0.01,
          learningRate: 1e-3,
        }),
      },
    });
    const ended = await Promise.all(started.map((run) => run.ended));
    expect(ended.map(({ state, step, error }) => [state, step, error?.message])).toEqual(
      Array(4).fill(['done', 30, undefined]),
    );
    expect(study.arms.map(({ trainable }) => trainable)).toEqual([17_340, 17_120]);
    for (const run of ended) expect(run.lastLoss).toBeLessThan(core.runs.curves(run.id).steps[0]!.loss);
    expect(core.studies.outcome(study.id).pairs).toMatchObject([{ n: 2 }]);
    // Four trainings of 30 steps of 1,024 tokens: on busy processors they take more than the usual two minutes.
  }, 360_000);
});
