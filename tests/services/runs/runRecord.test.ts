import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { LogLine, Sample } from '../../../src-main/contract/runRecords.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';

let core: Core;
let run: Run;
const events: StudioEvent[] = [];

beforeAll(async () => {
  ({ core } = await openTrainingCore());
  core.events.subscribe(null, ({ event }) => events.push(event));
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 4, alpha: 8 },
    maxSteps: 6,
    batch: 2,
    context: 64,
    checkpointEvery: 4,
    samples: { prompts: ['12 + 30 =', 'Tom has'], every: 3, maxTokens: 5 },
  });
  const { ended } = await core.runs.start({ name: 'a', model: 'tiny', dataset: 'sums', config });
  run = await ended;
});
afterAll(() => core.close());

it('keeps the memory of the engine after every step', () => {
  const { steps } = core.runs.curves('a');
  expect(steps).toHaveLength(6);
  for (const { memoryBytes } of steps) {
    expect(memoryBytes).toBeGreaterThan(50e6);
    expect(memoryBytes).toBeLessThan(run.environment!.memoryBytes);
  }
});

it('keeps the mean loss of its last steps: that of one batch is mostly noise', () => {
  const { steps } = core.runs.curves('a');
  const mean = steps.reduce((sum, { loss }) => sum + loss, 0) / steps.length;
  expect(core.runs.get('a').recentLoss).toBeCloseTo(mean, 9);
  expect(core.runs.get('a').lastLoss).toBe(steps.at(-1)!.loss);
});

it('keeps the answers to its prompts, and tells them as events', () => {
  const kept = [0, 1].map((prompt) => core.runs.samples('a', { prompt, limit: 10 }));
  for (const answers of kept) {
    expect(answers.map(({ step }) => step)).toEqual([0, 3, 6]);
    for (const { tokens } of answers) expect(tokens).toBeLessThanOrEqual(5);
  }
  const told = events.flatMap((event) => (event.type === 'run.samples' ? event.samples : []));
  const order = (a: Sample, b: Sample) => a.prompt - b.prompt || a.step - b.step;
  expect(told.toSorted(order)).toEqual(kept.flat());
});

it('keeps the log with times, and tells the same lines as events', () => {
  const { lines, total } = core.runs.logs('a', { limit: 500 });
  expect(total).toBe(lines.length);
  const told = events.flatMap((event): LogLine[] => (event.type === 'run.log' ? event.lines : []));
  expect(told).toEqual(lines);
  for (const { time } of lines) {
    expect(Date.parse(time!)).toBeGreaterThanOrEqual(Date.parse(run.startedAt!));
    expect(Date.parse(time!)).toBeLessThanOrEqual(Date.parse(run.endedAt!));
  }
  const texts = lines.map(({ line }) => line);
  for (const line of [
    'training from step 1 of 6',
    'checkpoint at step 4',
    'checkpoint at step 6',
    'ended at step 6: all steps',
  ])
    expect(texts).toContain(line);
  // What TensorFlow says at every start is no news of this run.
  expect(texts.filter((line) => /absl|oneDNN/.test(line))).toEqual([]);
});
