import { afterEach, expect, it } from 'vitest';
import type { ProcedureParsedInput } from '../../../src-main/contract/procedures.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { createEngineHost } from '../../../src-main/engine/process/supervisor.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { tinyLlama } from '../../support/paths.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

it('foresees an evaluation, records what it took, and learns from it', async () => {
  const { core, dataFile } = openTestCore(createEngineHost());
  open.push(core);
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  const input: ProcedureParsedInput<'evaluations.start'> = {
    model: 'tiny',
    adapter: null,
    data: { path: dataFile },
    limit: 20,
    shots: 0,
    maxTokens: 16,
    seed: 0,
    benchmark: 'perplexity',
    precision: 'f32',
  };
  const before = await core.evaluations.forecast(input, neverAborted);
  expect(before).toMatchObject({ isKnown: false, fit: 'fits', errors: null });
  expect(before.forecast).toMatchObject({
    items: 20,
    maxTokens: 0,
    memoryBasis: 'model',
    timeBasis: 'model',
  });
  const { forecast, measured } = await core.evaluations.start(input, neverAborted);
  expect(forecast).toEqual(before.forecast);
  expect(Math.abs(forecast!.memoryBytes / measured!.peakMemoryBytes - 1)).toBeLessThan(0.3);
  expect(measured!.seconds).toBeGreaterThan(0.1);
  expect((await core.evaluations.forecast(input, neverAborted)).isKnown).toBe(true);

  // The same on other items now rests on what the first one took.
  const after = await core.evaluations.forecast({ ...input, limit: 30 }, neverAborted);
  expect(after).toMatchObject({ isKnown: false, errors: { n: 1 } });
  expect(after.forecast).toMatchObject({ items: 30, memoryBasis: 'measured', timeBasis: 'measured' });
  const second = await core.evaluations.start({ ...input, limit: 30 }, neverAborted);
  expect(Math.abs(second.forecast!.memoryBytes / second.measured!.peakMemoryBytes - 1)).toBeLessThan(0.15);
  // Another benchmark has only the machine's correction.
  const other = await core.evaluations.forecast({ ...input, benchmark: 'gsm8k' }, neverAborted);
  expect(other.forecast).toMatchObject({ maxTokens: 16, memoryBasis: 'machine', timeBasis: 'machine' });
});
