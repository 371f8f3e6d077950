import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runSchema, type Run } from '../../../src-main/contract/entities.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 8, alpha: 16 },
  learningRate: 5e-2,
  schedule: 'constant',
  maxSteps: 200,
  batch: 4,
  context: 64,
  heldOutFraction: 0.2,
  evalEvery: 2,
  checkpointEvery: 0,
  earlyStoppingPatience: 3,
  keepBest: true,
});

let core: Core;
let home: string;
let run: Run;

beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
  run = await (await core.runs.start({ name: 'best', model: 'tiny', dataset: 'sums', config })).ended;
});
afterAll(() => core.close());

it('records why it ended and which step was best', () => {
  const { evals } = core.runs.curves('best');
  const best = evals.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(run).toMatchObject({
    state: 'done',
    endReason: 'early_stopped',
    best: { step: best.step, loss: best.loss },
    step: best.step + 6,
    skippedSteps: 0,
    lastHeldOutLoss: evals.at(-1)!.loss,
  });
});

it('evaluates and exports the best checkpoint, not the last', async () => {
  expect(Number(core.runs.checkpoint(run)!.slice(-8))).toBe(run.best!.step);
  const perplexity = await core.evaluations.start(
    {
      model: 'tiny',
      adapter: 'best',
      benchmark: 'perplexity',
      data: null,
      limit: null,
      shots: 0,
      maxTokens: 8,
      seed: 0,
      precision: 'f32',
    },
    neverAborted,
  );
  expect(Math.log(perplexity.score)).toBeCloseTo(run.best!.loss, 4);
  const folder = join(home, 'exported');
  const record = await core.exports.create({ run: 'best', folder }, neverAborted);
  expect(record.certificate).toMatchObject({ equal: true });
});

it('falls back to the latest checkpoint only where no evaluated one is left', () => {
  rmSync(core.runs.checkpoint(run)!, { recursive: true });
  expect(Number(core.runs.checkpoint(run)!.slice(-8))).toBe(run.step);
});

it('refuses impossible combinations before anything is recorded', async () => {
  await expect(
    core.runs.start({ name: 'never', model: 'tiny', dataset: 'sums', config: { ...config, evalEvery: 0 } }),
  ).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('only at the end') as string,
  });
  expect(core.runs.list().map(({ name }) => name)).toEqual(['best']);
});

it('reads runs that were stored before these were recorded', () => {
  const { best: _best, skippedSteps: _skippedSteps, endReason: _endReason, ...old } = run;
  expect(runSchema.parse(old)).toMatchObject({ best: null, skippedSteps: 0, endReason: null });
});
