import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ProgressEvent, StudioEvent } from '../../src-main/contract/events.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { withProgress } from '../../src-main/services/progress.ts';
import { neverAborted, openTrainingCore } from '../support/core.ts';

let core: Core;
let home: string;
const events: StudioEvent[] = [];
const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  maxSteps: 2,
  batch: 2,
  context: 64,
  heldOutFraction: 0.2,
});

beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
  core.events.subscribe(null, ({ event }) => events.push(event));
  await (
    await core.runs.start({ name: 'first', model: 'tiny', dataset: 'sums', config })
  ).ended;
});
afterAll(() => core.close());

/** The parts that a task told of, each once, where it was told that the task is over, and nothing after. */
function partsOf(task: string): string[] {
  const of = events.filter((event) => 'task' in event && event.task === task);
  expect(of.at(-1)).toEqual({ type: 'progress.ended', task });
  const parts = of.filter((event) => event.type === 'progress').map(({ label }) => label);
  return parts.filter((part, i) => part !== parts[i - 1]);
}

it('a run tells of its preparation, and that it is over before its first step', () => {
  const run = core.runs.get('first');
  expect(partsOf(`run ${run.id}`)).toEqual([
    'Tokenizing the data',
    'Starting the engine',
    'Loading weights',
    'Preparing the adapter',
  ]);
  const place = (type: StudioEvent['type']) => events.findIndex((event) => event.type === type);
  expect(place('progress.ended')).toBeLessThan(place('run.steps'));
});

it('an export tells of its parts, with how much of each is done', async () => {
  await core.exports.create({ run: 'first' }, neverAborted);
  expect(partsOf('export first')).toEqual([
    'Writing the files, part 1 of 3',
    'Computing with the run, part 2 of 3',
    'Computing with the files, part 3 of 3',
  ]);
  const told = events.filter((event) => event.type === 'progress' && event.task === 'export first');
  for (const part of [1, 2, 3]) {
    const { done, total } = told.findLast(
      (event) => event.type === 'progress' && event.label.includes(`part ${part}`),
    ) as ProgressEvent;
    expect(total).toBeGreaterThan(1);
    expect(done).toBe(total);
  }
});

it('a score, a study that is begun and a dataset that is read tell of theirs', async () => {
  const evaluation = {
    model: 'tiny',
    adapter: 'first',
    benchmark: 'perplexity',
    data: { dataset: core.datasets.get('sums').id },
    limit: 4,
    shots: 0,
    maxTokens: 1,
    seed: 0,
    precision: 'f32',
  } as const;
  await core.evaluations.start(evaluation, neverAborted);
  expect(partsOf('evaluation first perplexity')).toEqual([
    'Tokenizing the items',
    'Starting the engine',
    'Loading weights',
    'Scoring',
  ]);
  // What is known already is no work.
  const before = events.length;
  await core.evaluations.start(evaluation, neverAborted);
  expect(events.slice(before)).toEqual([]);

  core.runs.queue.hold(true);
  const methods = ['lora' as const];
  const budget = { unit: 'percentBase' as const, most: 20 };
  await core.studies.start({
    name: 'pair',
    model: 'tiny',
    dataset: 'sums',
    question: { kind: 'equal_budget', methods, seeds: [0], budget, config },
  });
  expect(partsOf('study pair')).toEqual(['Planning the runs', 'Checking that the runs fit into memory']);

  const file = join(home, 'more.jsonl');
  writeFileSync(file, '{"prompt":"a","answer":"b"}\n'.repeat(2500));
  await core.datasets.add({ path: file, format: 'auto' });
  const [task] = events
    .flatMap((event) => ('task' in event && event.task.startsWith('dataset ') ? [event.task] : []))
    .slice(-1);
  expect(partsOf(task!)).toEqual(['Importing more.jsonl']);
});

it('is told to those who come while work goes on, and ended where the work fails', async () => {
  expect(core.events.unfinished()).toEqual([]);
  const failing = withProgress({ emit: core.events.emit }, 'export x', 'Writing', async (report) => {
    report('Computing', 3, 4);
    await Promise.resolve();
    expect(core.events.unfinished()).toMatchObject([{ task: 'export x', label: 'Computing', done: 3 }]);
    throw new Error('no room');
  });
  await expect(failing).rejects.toThrow('no room');
  expect(core.events.unfinished()).toEqual([]);
});
