import { afterAll, expect, it, vi } from 'vitest';
import type * as protocol from '../../../src-main/engine/protocol.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { tinyLlama } from '../../support/paths.ts';

/** What the engine is said to be. */
let version = 1;
vi.mock('../../../src-main/engine/protocol.ts', async (original) => ({
  ...(await original<typeof protocol>()),
  get computationVersion() {
    return version;
  },
}));

const { core, dataFile } = openTestCore();
afterAll(() => core.close());

it('a score that another engine found is not taken for its own: what it computes may have changed', async () => {
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  const score = () =>
    core.evaluations.start(
      {
        model: 'tiny',
        adapter: null,
        data: { path: dataFile },
        limit: 2,
        shots: 0,
        maxTokens: 16,
        seed: 0,
        benchmark: 'perplexity',
        precision: 'f32',
      },
      neverAborted,
    );
  const first = await score();
  expect((await score()).id).toBe(first.id);
  version++;
  const second = await score();
  expect(second.id).not.toBe(first.id);
  expect((await score()).id).toBe(second.id);
  version--;
  expect((await score()).id).toBe(first.id);
});
