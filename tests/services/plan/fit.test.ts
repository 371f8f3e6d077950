import { afterEach, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTestCore } from '../../support/core.ts';
import { tinyLlama } from '../../support/trainingRun.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

const config = (rest = {}) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 1,
    context: 64,
    ...rest,
  });
const enormous = { batch: 10_000_000 };

async function openCore() {
  const { core, dataFile } = openTestCore();
  open.push(core);
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  // Nothing is to train here: what is started waits.
  core.runs.queue.begin();
  core.runs.queue.hold(true);
  return core;
}

it('asks before a run that does not fit, says what would make it fit, and starts it when told to', async () => {
  const core = await openCore();
  const run = { name: 'huge', model: 'tiny', dataset: 'sums', config: config(enormous) };
  const refused = await core.runs.start(run).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'does_not_fit' });
  const { message, remedy } = refused as { message: string; remedy: string };
  expect(message).toMatch(/^"huge" needs about [\d,.]+ GB of memory, and .* has [\d,.]+ GB/);
  expect(remedy).toMatch(/^It fits with: .*batch \d+ with \d+ passes a step .*\(--force\)\.$/i);
  expect(core.runs.list()).toEqual([]);
  const { run: started } = await core.runs.start({ ...run, force: true });
  expect(started.state).toBe('queued');
  // Rows are shorter than the context: what only the longest possible rows exceed is no reason.
  await core.runs.start({ ...run, name: 'small', config: config() });
});

it('asks before a study of which a run does not fit', async () => {
  const core = await openCore();
  const study = {
    name: 'pair',
    model: 'tiny',
    dataset: 'sums',
    question: {
      kind: 'equal_budget' as const,
      methods: ['lora' as const],
      seeds: [0],
      budget: { unit: 'parameters' as const, most: 6000 },
      config: config(enormous),
    },
  };
  await expect(core.studies.start(study)).rejects.toMatchObject({ code: 'does_not_fit' });
  expect(core.studies.list()).toEqual([]);
  expect(core.runs.list()).toEqual([]);
  expect((await core.studies.start({ ...study, force: true })).started).toHaveLength(1);
});
