import { expect, it } from 'vitest';
import { trainWithKills } from '../support/killedTraining.ts';

it('resumes at once after all of its processes were killed, at whatever moment, and ends bit for bit the same', async () => {
  const { whole, killed } = await trainWithKills(3, Date.now() % 2 ** 31);
  expect(killed).toEqual(whole);
  expect(killed).toMatchObject({ state: 'done', step: 40 });
}, 300_000);
