import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { procedures } from '../../../../src-main/contract/procedures.ts';
import { scoringInput } from '../../../../src-main/contract/inputs.ts';
import { settlingBatch } from '../../../../src-main/contract/evaluation/scoring.ts';
import { sidesOf, withFurtherSeeds } from '../../../../src-main/contract/evaluation/settling.ts';
import { trainConfigSchema } from '../../../../src-main/contract/training.ts';
import type { Core } from '../../../../src-main/core/createCore.ts';
import { openWritable } from '../../../../src-main/store/database.ts';
import { insertEvaluation } from '../../../../src-main/store/results.ts';
import { insertRun } from '../../../../src-main/store/runs.ts';
import { neverAborted, openTrainingCore } from '../../../support/core.ts';
import { sampleEvaluation, sampleItem } from '../../../support/sampleEvaluation.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

const context = { signal: neverAborted };
const measured = {
  peakMemoryBytes: 1,
  cardPeak: null,
  seconds: 30,
  steps: 10,
  secondsPerStep: 3,
  startSeconds: 1,
};
let core: Core;
beforeAll(async () => {
  const opened = await openTrainingCore();
  core = opened.core;
  const dataset = core.datasets.get('sums');
  const model = core.models.get('tiny');
  const database = openWritable(join(opened.home, 'studio.db'));
  for (const name of ['plain', 'routed'])
    insertRun(
      database,
      sampleRun({
        id: name,
        name,
        modelId: model.id,
        datasetId: dataset.id,
        measured,
        config: trainConfigSchema.parse({
          adapter: { method: 'lora', rank: name === 'plain' ? 4 : 8, alpha: 8 },
          context: model.contextLength,
        }),
      }),
    );
  const start = { runId: 'plain', runName: 'plain', step: 10 };
  const parent = { runId: 'plain', step: 5 };
  const ids = { modelId: model.id, datasetId: dataset.id, measured };
  insertRun(database, sampleRun({ ...ids, id: 'begun', name: 'begun', start }));
  insertRun(database, sampleRun({ ...ids, id: 'branched', name: 'branched', parent }));
  /** 20 (or all 60) of the items of `sums`, of which each subject has some right that the other has not. */
  const add = (
    id: string,
    runId: string | null,
    n: number,
    right: (i: number) => boolean,
    dataHash = dataset.contentHash,
  ) => {
    const limit = n === dataset.rows ? null : n;
    insertEvaluation(
      database,
      sampleEvaluation({
        id,
        benchmark: 'exact_match',
        modelId: model.id,
        runId,
        subject: runId ?? 'base',
        dataHash,
        precision: runId === 'begun' ? 'bf16' : 'f32',
        n,
        asked: scoringInput.parse({ benchmark: 'exact_match', data: { dataset: 'sums' }, limit }),
        measured: { peakMemoryBytes: 1, seconds: 2 * n },
      }),
      { key: id, itemsKey: id.replace(/ .*/, '') },
      Array.from({ length: n }, (_, i) => sampleItem(i, { correct: right(i) })),
    );
  };
  for (const n of [20, 60]) {
    add(`plain ${n}`, 'plain', n, (i) => i % 10 === 0);
    add(`routed ${n}`, 'routed', n, (i) => i % 10 > 8 || i % 5 === 1);
    add(`base ${n}`, null, n, (i) => i % 10 === 3);
  }
  add('begun 60', 'begun', 60, (i) => i % 10 === 3);
  add('branched 60', 'branched', 60, (i) => i % 10 === 4);
  // Scored before the dataset was changed.
  add('plain before', 'plain', 20, (i) => i % 10 === 0, 'other rows');
  add('routed before', 'routed', 20, (i) => i % 5 === 1, 'other rows');
  database.writable.close();
});
afterAll(() => core.close());

async function planFor(...ids: string[]) {
  const outcome = await core.handlers['evaluations.judge']({ evaluations: ids }, context);
  const comparison = outcome.comparisons[0]!;
  expect(comparison.verdict).toBe('cannot_tell');
  const input = { comparison, ...sidesOf(outcome, comparison, outcome.evaluations) };
  return core.handlers['evaluations.settle'](procedures['evaluations.settle'].input.parse(input), context);
}

it('counts the items that the data hold, and asks the same of more of them, with the time it takes', async () => {
  const plan = await planFor('plain 20', 'routed 20');
  expect(plan).toMatchObject({ step: 'items', availableItems: 60 });
  expect(plan.evaluations.map(({ adapter, benchmark, data }) => [adapter, benchmark, data])).toEqual([
    ['plain', 'exact_match', { dataset: 'sums' }],
    ['routed', 'exact_match', { dataset: 'sums' }],
  ]);
  const size = plan.evaluations[0]!.limit ?? 60;
  // Two seconds an item for each of the two.
  expect(plan.seconds).toBeCloseTo((size - 20) * 4, 9);
  // What the button sends is what the procedure takes.
  for (const input of plan.evaluations)
    expect(procedures['evaluations.start'].input.parse(input)).toEqual(input);
});

it('makes runs of further seeds where all items are scored, the same seeds for both', async () => {
  const plan = await planFor('base 60', 'plain 60');
  // The base model has no seeds.
  expect(plan).toMatchObject({ step: 'none', runs: [] });
  expect(plan.sentence).toContain('One of the two was not trained here');
  const outcome = await core.handlers['evaluations.judge'](
    { evaluations: ['plain 60', 'routed 60'] },
    context,
  );
  const comparison = { ...outcome.comparisons[0]!, verdict: 'cannot_tell' as const };
  const sides = sidesOf(outcome, comparison, outcome.evaluations);
  const more = await core.handlers['evaluations.settle']({ comparison, ...sides }, context);
  expect(more.step).toBe('seeds');
  const seeds = more.runs.map(({ config }) => config.seed);
  expect(seeds.slice(0, seeds.length / 2)).toEqual(seeds.slice(seeds.length / 2));
  expect(new Set(more.runs.map(({ name }) => name)).size).toBe(more.runs.length);
  const each = more.runs.length / 2;
  expect(more.seconds).toBeCloseTo(each * (2 * 30 + 60 * 4), 9);
  for (const run of more.runs) procedures['runs.start'].input.parse(run);
});

it('puts seeds into the queue of the runs and their scores behind them, once', async () => {
  // Nothing is trained here.
  core.runs.queue.hold(true);
  core.runs.queue.begin();
  const outcome = await core.handlers['evaluations.judge'](
    { evaluations: ['plain 60', 'routed 60'] },
    context,
  );
  const comparison = { ...outcome.comparisons[0]!, verdict: 'cannot_tell' as const };
  const input = { comparison, ...sidesOf(outcome, comparison, outcome.evaluations) };
  const { plan, entries } = await core.scoring.settle(input);
  const { waiting } = core.runs.queue.state();
  expect(waiting.map(({ name }) => name)).toEqual(plan.runs.map(({ name }) => name));
  expect(core.scoring.state().waiting.map(({ after }) => after)).toEqual(waiting.map(({ id }) => [id]));
  for (const { task, batch } of entries) {
    expect(task).toMatchObject({ kind: 'score', input: { benchmark: 'exact_match', limit: null } });
    expect(batch).toBe(settlingBatch(input.a, input.b));
  }
  // A second click, or another window, adds nothing.
  const again = await core.scoring.settle(input);
  expect(again.entries.map(({ id }) => id)).toEqual(entries.map(({ id }) => id));
  expect(core.runs.queue.state().waiting.length).toBe(waiting.length);
});

it('trains no seed a second time where its scores were taken out of the queue', async () => {
  const outcome = await core.handlers['evaluations.judge'](
    { evaluations: ['plain 60', 'routed 60'] },
    context,
  );
  const comparison = { ...outcome.comparisons[0]!, verdict: 'cannot_tell' as const };
  const input = { comparison, ...sidesOf(outcome, comparison, outcome.evaluations) };
  const before = core.runs.queue.state().waiting.map(({ id }) => id);
  expect(before.length).toBeGreaterThan(0);
  core.scoring.cancel(core.scoring.state().waiting.map(({ id }) => id));
  const { plan, entries } = await core.scoring.settle(input);
  expect(plan.runs).toEqual([]);
  expect(entries.map(({ after }) => after)).toEqual(before.map((id) => [id]));
  expect(core.runs.queue.state().waiting.map(({ id }) => id)).toEqual(before);
  // One that was taken out of the queue of the runs is not begun again, and its seed has no other.
  const seedOf = (name: string) => core.runs.get(name).config.seed;
  const lost = seedOf(before[0]!);
  await core.runs.stop(before[0]!, { save: false });
  core.scoring.cancel(core.scoring.state().waiting.map(({ id }) => id));
  const anew = await core.scoring.settle(input);
  const most = Math.max(...before.map(seedOf));
  expect(anew.plan.runs.map(({ config }) => config.seed)).toEqual([most + 1, most + 1]);
  expect(anew.entries).toHaveLength(before.length);
  expect(anew.plan.scores.map(({ run }) => seedOf(run))).not.toContain(lost);
});

it('keeps the adapter with which the runs began and the precision of their scores, and queues all or nothing', async () => {
  const settle = async (...ids: string[]) => {
    const outcome = await core.handlers['evaluations.judge']({ evaluations: ids }, context);
    const comparison = { ...outcome.comparisons[0]!, verdict: 'cannot_tell' as const };
    return { comparison, ...sidesOf(outcome, comparison, outcome.evaluations) };
  };
  const input = await settle('begun 60', 'branched 60');
  const { runs, sentence } = await core.handlers['evaluations.settle'](input, context);
  expect([runs, sentence]).toEqual([
    [],
    expect.stringContaining('"branched" was branched from a checkpoint'),
  ]);
  const other = await settle('begun 60', 'routed 60');
  const plan = await core.handlers['evaluations.settle'](other, context);
  // Of the other there are further seeds already.
  const each = plan.runs.length;
  expect(each).toBeGreaterThan(0);
  expect(plan.runs.map(({ from }) => from)).toEqual(
    Array.from({ length: each }, () => ({ run: 'plain', step: 10 })),
  );
  expect(plan.scores.map(({ precision }) => precision)).toEqual([
    ...Array.from({ length: each }, () => 'bf16'),
    ...Array.from({ length: each }, () => 'f32'),
  ]);
  // The adapter has kept no checkpoint here: the first run is refused, and with it all of them.
  const waiting = core.runs.queue.state().waiting.length;
  await expect(core.scoring.settle(other)).rejects.toMatchObject({ code: 'no_checkpoint' });
  const reversed = { ...other, a: other.b, b: other.a };
  await expect(core.scoring.settle(reversed)).rejects.toMatchObject({ code: 'no_checkpoint' });
  expect(core.runs.queue.state().waiting).toHaveLength(waiting);
});

it('compares whole seeds together, as many as fit', () => {
  const made = Array.from({ length: 30 }, (_, i) => ({ id: String(i), seed: 15 - (i % 15) }));
  const together = withFurtherSeeds(['a', 'b', 'c'], made);
  // Twenty of the thirty beside the three: one place stays empty.
  expect(together).toHaveLength(23);
  const seeds = together.slice(3).map((id) => made[Number(id)]!.seed);
  expect(seeds).toEqual(Array.from({ length: 20 }, (_, i) => 1 + Math.floor(i / 2)));
  expect(withFurtherSeeds(['a', 'b'], made.slice(0, 4))).toHaveLength(6);
});

it('names data that are gone or other ones', async () => {
  const plan = await planFor('plain before', 'routed before');
  expect(plan).toMatchObject({ availableItems: null, evaluations: [] });
  expect(plan.sentence).toContain('The data cannot be read any more.');
});
