import { expect, it } from 'vitest';
import { trainWithKills } from '../support/killedTraining.ts';

/* Twenty runs, each of which is killed up to ten times at random moments: 200 in all, an hour on two cores. */
it.each(Array.from({ length: 20 }, (_, i) => i + 1))(
  'run %i',
  async (seed) => {
    const { whole, killed } = await trainWithKills(10, seed);
    expect(killed).toEqual(whole);
  },
  1_200_000,
);
