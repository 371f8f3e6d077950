import { expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import {
  estimatedMs,
  similarRun,
  type PlannedRun,
} from '../../../src-renderer/features/train/timeEstimate.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { llama3, sums } from './samples.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 8, alpha: 16 },
  batch: 4,
  accumulate: 2,
});
const planned: PlannedRun = { config, model: llama3, dataset: sums, steps: 100 };
const dataContract = {
  datasetHash: 'h',
  rows: 10,
  trainRows: 10,
  heldOutRows: 0,
  truncatedRows: 0,
  droppedRows: 0,
  tokens: 500,
  trainedTokens: 100,
  packing: null,
};
const done = sampleRun({ name: 'done', modelId: 'm1', datasetId: 'd1', config, dataContract });
const metrics = [100, 400, 900].map((tokensPerSecond) => ({ tokensPerSecond }));

it('takes a finished run of the same model and method, on the same data if there is one', () => {
  const elsewhere = sampleRun({ ...done, id: 'e', datasetId: 'd2', createdAt: '2026-12-01T00:00:00.000Z' });
  const others = [
    sampleRun({ ...done, id: 'a', modelId: 'm2' }),
    sampleRun({ ...done, id: 'b', state: 'failed' }),
    sampleRun({ ...done, id: 'c', config: { ...config, adapter: { ...config.adapter, method: 'dora' } } }),
    sampleRun({ ...done, id: 'd', dataContract: null }),
  ];
  expect(similarRun(others, planned)).toBeNull();
  expect(similarRun([...others, elsewhere], planned)?.id).toBe('e');
  expect(similarRun([...others, elsewhere, done], planned)?.id).toBe(done.id);
});

it('multiplies steps, rows and their tokens by the median speed', () => {
  // 100 steps of 8 rows with 50 tokens at 400 tokens a second
  expect(estimatedMs(planned, done, metrics)).toBeCloseTo(100_000, 6);
  // packed rows fill the context
  const packed = { ...planned, config: { ...config, packing: true, context: 200 } };
  expect(estimatedMs(packed, done, metrics)).toBeCloseTo(400_000, 6);
  // rows of another dataset: 80 characters are about 20 tokens
  expect(estimatedMs(planned, { ...done, datasetId: 'd2' }, metrics)).toBeCloseTo(40_000, 6);
  expect(estimatedMs(planned, done, [])).toBeNull();
});
