import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 4, alpha: 8 },
  maxSteps: 100_000,
  batch: 2,
  context: 64,
  checkpointEvery: 10,
});

let core: Core;

beforeAll(async () => {
  ({ core } = await openTrainingCore());
});
afterAll(() => core.close());

/** Halts the one engine of this process, as a step of many minutes or a native hang does. */
function haltEngine(): void {
  const pid = execFileSync('pgrep', ['-n', '-P', String(process.pid), '-f', 'engine/process/child.ts'], {
    encoding: 'utf8',
  });
  process.kill(Number(pid), 'SIGSTOP');
}

it('a run whose engine does not answer is ended all the same, and can go on from its last checkpoint', async () => {
  let halted = () => {};
  const hangs = new Promise<void>((resolve) => (halted = resolve));
  let isHalted = false;
  const { run, ended } = await core.runs.start(
    { name: 'hangs', model: 'tiny', dataset: 'sums', config },
    (event) => {
      if (isHalted || event.type !== 'step' || event.step !== 25) return;
      isHalted = true;
      haltEngine();
      halted();
    },
  );
  await hangs;
  const paused = core.runs.pause(run.id);
  const answered = await Promise.race([paused, new Promise((resolve) => setTimeout(resolve, 500, 'waits'))]);
  expect(answered).toBe('waits');

  const begin = Date.now();
  const stopped = await core.runs.stop(run.id, { save: false });
  expect(Date.now() - begin).toBeLessThan(6000);
  expect(stopped).toMatchObject({
    state: 'stopped',
    endReason: 'stop_requested',
    error: null,
    resumable: true,
  });
  expect(stopped.step).toBeGreaterThanOrEqual(25);
  expect(await paused).toEqual(stopped);
  expect(await ended).toEqual(stopped);

  expect(core.runs.checkpoint(stopped)).toMatch(/20$/);
  const steps: number[] = [];
  const resumed = await core.runs.resume('hangs', (event) => {
    if (event.type === 'step') steps.push(event.step);
    if (steps.length === 3) void core.runs.stop('hangs', { save: false });
  });
  expect(await resumed.ended).toMatchObject({ state: 'stopped', error: null });
  expect(steps[0]).toBe(21);
});
