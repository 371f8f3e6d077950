import { afterAll, beforeAll, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2 },
  maxSteps: 2,
  batch: 2,
});

let core: Core;

beforeAll(async () => {
  ({ core } = await openTrainingCore());
});
afterAll(() => core.close());

it('a run that is stopped while pivots are chosen can be resumed: it starts at its beginning', async () => {
  const started = await core.runs.start(
    { name: 'early', model: 'tiny', dataset: 'sums', config },
    (event) => {
      if (event.type === 'progress' && event.label === 'Preparing the adapter')
        void core.runs.stop('early', { save: true });
    },
  );
  const stopped = await started.ended;
  expect(stopped).toMatchObject({ state: 'stopped', step: 0, resumable: true });
  expect(core.runs.checkpoint(stopped)).toBeNull();
  const resumed = await (await core.runs.resume('early')).ended;
  expect(resumed).toMatchObject({ state: 'done', step: 2 });
});
