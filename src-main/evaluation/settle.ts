import type { Comparison } from '../contract/evaluation/comparison.ts';
import type { Settling } from '../contract/evaluation/settling.ts';

/** What is known of the data and of what scoring and training take here. */
export interface SettlingGround {
  /** Items that the data hold; null: they are not there any more, or others than were scored. */
  available: number | null;
  /** Why the same cannot be asked again; null: it can. */
  problem: string | null;
  /** To score one more item of each subject of both sides; null: not measured. */
  secondsPerItem: number | null;
  /** Why further seeds cannot be trained; null: both sides are runs of this studio. */
  seedProblem: string | null;
  /** To train one more seed of both sides; null: not measured. */
  secondsPerSeed: number | null;
}

/** The next step with its size: the items that each is scored on then, or the further seeds of each. */
export type SettlingStep = Pick<
  Settling,
  'step' | 'sentence' | 'neededItems' | 'availableItems' | 'neededSeeds' | 'seconds'
> & { size: number };

/** Fewer seeds say nothing of how seeds scatter. */
const fewestSeeds = 3;

/**
 * The next step towards a verdict on an open pair: more items where the data have some; with all of them scored further
 * seeds; or nothing, with the reason.
 */
export function settle(c: Comparison, ground: SettlingGround): SettlingStep {
  const base = {
    neededItems: c.needed.items,
    availableItems: ground.available,
    neededSeeds: c.needed.seeds,
    seconds: null,
    size: 0,
  };
  const none = (sentence: string): SettlingStep => ({ ...base, step: 'none', sentence });
  if (c.verdict !== 'cannot_tell') return none('There is a verdict: nothing is left to settle.');
  if (c.overSeeds) return moreSeeds(c, ground, base);
  if (ground.problem !== null) return none(ground.problem);
  const has = c.n + c.ungraded.items;
  const { available } = ground;
  if (available === null || available <= has) return seedsInstead(c, ground, base, has);
  const { size, why } = moreItems(c, has, available);
  const seconds = ground.secondsPerItem === null ? null : ground.secondsPerItem * (size - has);
  return { ...base, step: 'items', size, seconds, sentence: `${why} ${takes(seconds)}` };
}

type Base = Pick<SettlingStep, 'neededItems' | 'availableItems' | 'neededSeeds' | 'seconds' | 'size'>;

function moreItems(c: Comparison, has: number, available: number): { size: number; why: string } {
  const needed = c.needed.items;
  const scored = `${count(has)} of the ${count(available)} items that the data hold are scored.`;
  if (needed === null)
    return {
      size: available,
      why: `${scored} How many would settle it is not known, since no difference was seen: all of them show the smallest one.`,
    };
  if (needed <= has) {
    const size = Math.min(available, 2 * has);
    return {
      size,
      why: `${scored} As many show a difference of this size in 4 of 5 cases, and this may be the fifth: ${count(size)} items of each would tell more.`,
    };
  }
  if (needed <= available)
    return {
      size: needed,
      why: `${scored} About ${count(needed)} of each show a difference of this size in 4 of 5 cases.`,
    };
  return {
    size: available,
    why: `${scored} About ${count(needed)} would be needed for a difference of this size: no number of items in these data suffices, and all of them would only narrow the interval.`,
  };
}

/** All items are scored, or the data are gone. */
function seedsInstead(c: Comparison, ground: SettlingGround, base: Base, has: number): SettlingStep {
  const { available } = ground;
  const needed = c.needed.items;
  const scored =
    available === null
      ? 'The data cannot be read any more.'
      : needed === null || needed <= has
        ? `All ${count(has)} items of the data are scored.`
        : `All ${count(has)} items of the data are scored, and about ${count(needed)} would be needed: no number of items in these data suffices.`;
  if (ground.seedProblem !== null)
    return { ...base, step: 'none', sentence: `${scored} ${ground.seedProblem}` };
  const runs = Math.min(c.seeds.a.length, c.seeds.b.length);
  // Each further run answers all items anew: at best so many runs are worth the items that are missing.
  const atBest = needed === null ? fewestSeeds : Math.ceil(needed / has);
  const wanted = Math.max(fewestSeeds, atBest);
  if (wanted > mostSeedsAtOnce)
    return {
      ...base,
      step: 'none',
      sentence: `${scored} Even where seeds scattered not at all, ${count(wanted)} runs of each would be needed: a difference of this size is beyond these data.`,
    };
  const size = Math.max(0, wanted - runs);
  const seconds = secondsOfSeeds(ground, size, has);
  return {
    ...base,
    step: 'seeds',
    neededSeeds: wanted,
    size,
    seconds,
    sentence: `${scored} ${seedWords(size)} would say whether the setting is better, and not only whether one training of it was: at least ${wanted} runs of each, more where seeds scatter much. ${takes(seconds)}`,
  };
}

/** More would be a study of its own. */
const mostSeedsAtOnce = 20;

function moreSeeds(c: Comparison, ground: SettlingGround, base: Base): SettlingStep {
  const none = (sentence: string): SettlingStep => ({ ...base, step: 'none', sentence });
  const has = Math.min(c.seeds.a.length, c.seeds.b.length);
  const needed = c.needed.seeds;
  if (needed === null)
    return none(
      c.difference === 0
        ? 'No difference was seen between the settings: how many seeds would settle it is not known.'
        : 'A difference of this size is too small beside the scatter of seeds: no number of them that could be trained suffices.',
    );
  if (ground.seedProblem !== null) return none(ground.seedProblem);
  const size = needed > has ? needed - has : has;
  if (size > mostSeedsAtOnce)
    return none(
      `About ${count(needed)} seeds of each would be needed, and there are ${has}: ${count(size)} further trainings of each are a study of their own.`,
    );
  const seconds = secondsOfSeeds(ground, size, c.n + c.ungraded.items);
  const why =
    needed > has
      ? `About ${count(needed)} seeds of each show a difference of this size in 4 of 5 cases, and there are ${has}: ${seedWords(size).toLowerCase()}.`
      : `As many seeds show a difference of this size in 4 of 5 cases, and this may be the fifth: ${seedWords(size).toLowerCase()} would tell more.`;
  return { ...base, step: 'seeds', size, seconds, sentence: `${why} ${takes(seconds)}` };
}

function secondsOfSeeds(
  { secondsPerSeed, secondsPerItem }: SettlingGround,
  size: number,
  items: number,
): number | null {
  if (secondsPerSeed === null || secondsPerItem === null) return null;
  return size * (secondsPerSeed + secondsPerItem * items);
}

function seedWords(size: number): string {
  return `${size} further ${size === 1 ? 'seed' : 'seeds'} of each`;
}

function takes(seconds: number | null): string {
  if (seconds === null) return 'How long that takes here is not known: nothing like it was measured.';
  if (seconds < 90) return `That takes about ${Math.max(1, Math.ceil(seconds))} s here.`;
  if (seconds < 90 * 60) return `That takes about ${Math.ceil(seconds / 60)} min here.`;
  return `That takes about ${(seconds / 3600).toFixed(1)} h here.`;
}

function count(value: number): string {
  return new Intl.NumberFormat('en-US').format(value);
}
