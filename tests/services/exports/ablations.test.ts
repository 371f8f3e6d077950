import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** ID-LoRA with bases that are no rows of W, and without a router. */
const adapter = {
  method: 'idlora',
  rank: 4,
  alpha: 8,
  clusters: 2,
  pivots: 'gaussian',
  router: 'fixed',
} as const;
const config = trainConfigSchema.parse({ adapter, learningRate: 1e-2, maxSteps: 3, batch: 2, context: 64 });

let core: Core;
beforeAll(async () => {
  ({ core } = await openTrainingCore());
  const { ended } = await core.runs.start({ name: 'frozen', model: 'tiny', dataset: 'sums', config });
  expect((await ended).error).toBeNull();
});
afterAll(() => core.close());

const { signal } = new AbortController();

it('has a file of its own that is read back, and is exactly the LoRA that it is exported as', async () => {
  const folder = temporaryFolder();
  const own = await core.exports.create({ run: 'frozen', folder: join(folder, 'peft') }, signal);
  expect(own.certificate).toMatchObject({ equal: true });
  const lora = await core.exports.create(
    { run: 'frozen', folder: join(folder, 'lora'), format: 'lora' },
    signal,
  );
  // Under a fixed route nothing is approximated.
  expect(lora.certificate).toMatchObject({ equal: true });
  expect(lora.certificate.maxLogitDifference).toBeLessThan(1e-4);
});

it('is trained on with its own bases alone', async () => {
  const request = (pivots: 'gaussian' | 'serial') => ({
    name: `further ${pivots}`,
    model: 'tiny',
    dataset: 'sums',
    from: { run: 'frozen' },
    config: { ...config, adapter: { ...config.adapter, pivots } },
  });
  await expect(core.runs.start(request('serial'))).rejects.toThrow(/pivots \("gaussian" to "serial"\)/);
  const { ended } = await core.runs.start(request('gaussian'));
  expect(await ended).toMatchObject({ state: 'done', error: null });
});
