import { expect, it } from 'vitest';
import { countParameters } from '../../../../src-main/budget/count.ts';
import { trainConfigSchema } from '../../../../src-main/contract/training.ts';
import { presets } from '../../../../src-main/shape/modelShape.ts';
import { secondRun } from '../../../../src-renderer/features/train/form/secondRun.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

const shape = presets['llama-3-8b']!;
const runOf = (adapter: Record<string, unknown>) => {
  const config = trainConfigSchema.parse({ adapter, seed: 7, maxSteps: 90 });
  return sampleRun({ name: 'first', config, trainable: countParameters(shape, config.adapter).trainable });
};

it.each([
  ['idlora', 'lora'],
  ['lora', 'idlora'],
  ['dora', 'idlora'],
] as const)('sets %s against %s with no more parameters, and hardly fewer', (method, other) => {
  const run = runOf({ method, rank: 32, alpha: 64 });
  const { config, text } = secondRun(run, shape);
  const { trainable } = countParameters(shape, config.adapter);
  expect(config.adapter.method).toBe(other);
  expect(trainable).toBeLessThanOrEqual(run.trainable!);
  expect(trainable).toBeGreaterThan(0.9 * run.trainable!);
  expect(config.adapter.alpha / config.adapter.rank).toBe(2);
  expect(config).toEqual({ ...run.config, adapter: config.adapter });
  expect(text).toContain(String(config.adapter.rank));
});

it('takes the usual rank against full fine-tuning, and the least where the budget is too small', () => {
  expect(secondRun(runOf({ method: 'full', rank: 1, alpha: 1 }), shape).config.adapter.rank).toBe(8);
  const tiny = { ...runOf({ method: 'lora', rank: 1, alpha: 1 }), trainable: 10 };
  const { config, text } = secondRun(tiny, shape);
  expect(config.adapter.rank).toBe(config.adapter.clusters);
  expect(text).toContain('more than its 10');
});
