import { toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import {
  mixRecipeSchema,
  mixSourceSchema,
  type Mix,
  type MixAmount,
  type MixRecipe,
  type MixSource,
} from '../../../src-main/contract/mixing/mixes.ts';
import { mixAmounts } from '../../../src-main/options/mixAmounts.ts';

/** What of a training decides how a mix is counted, as the page asks it. */
export interface CountSettings {
  context: number;
  packing: boolean;
  batch: number;
  accumulate: number;
  heldOutFraction: number;
  /** Passes of the run. */
  epochs: number;
}

/** A mix as it is edited: all that is saved, and what it is counted for. Never changed in place. */
export interface MixDraft {
  name: string;
  recipe: MixRecipe;
  modelId: string | null;
  settings: CountSettings;
}

/** Units of one pass over each source, as far as they were counted: by `unitKey`. */
export type KnownUnits = ReadonlyMap<string, number>;

/** A mix may be edited down to no source, which is no mix yet. */
export const draftRecipeSchema = mixRecipeSchema.extend({ sources: mixSourceSchema.array().max(100) });

export function emptyDraft(settings: CountSettings, modelId: string | null): MixDraft {
  return { name: '', recipe: draftRecipeSchema.parse({ sources: [] }), modelId, settings };
}

export function draftOfMix(mix: Mix, settings: CountSettings, modelId: string | null): MixDraft {
  return {
    name: mix.name,
    recipe: draftRecipeSchema.parse(mix),
    modelId: mix.modelId ?? modelId,
    settings,
  };
}

export function unitKey({ kind, id, split }: MixSource, { unit }: Pick<MixRecipe, 'unit'>): string {
  return [kind, id, split, unit].join(' ');
}

/** What a pass over the mix takes, before whole rows are counted. */
export interface Solved {
  /** Of the whole pass, 0 to 1, by source. */
  shares: number[];
  /** In the mix's unit. */
  taken: number[];
  /** In one pass over the source; null: not counted yet. */
  units: (number | null)[];
}

/**
 * Solves the amounts of a recipe as the core will, so that a drag answers at once.
 * @returns null where that needs sizes of sources that nobody has counted yet
 */
export function solve(recipe: MixRecipe, known: KnownUnits): Solved | PlainError | null {
  const units = recipe.sources.map((source) => known.get(unitKey(source, recipe)) ?? null);
  const isRelative = recipe.sources.every(({ amount }) => amount?.by === 'share' || amount?.by === 'weight');
  if (recipe.sources.length === 0) return null;
  if (units.includes(null) && (!isRelative || recipe.stop === 'once')) return null;
  try {
    const { units: taken } = mixAmounts(
      recipe,
      recipe.sources.map(({ amount, maxEpochs }, i) => ({
        name: `source ${i + 1}`,
        units: units[i] ?? 1,
        amount,
        maxEpochs,
      })),
    );
    const total = taken.reduce((sum, part) => sum + part, 0);
    return { shares: taken.map((part) => (total === 0 ? 0 : part / total)), taken, units };
  } catch (error) {
    return toPlainError(error);
  }
}

export function isSolved(solved: Solved | PlainError | null): solved is Solved {
  return solved !== null && 'shares' in solved;
}

/** Percent that add up to `total`, each with one digit after the point: the greatest remainders are rounded up. */
export function wholeShares(parts: readonly number[], total = 100): number[] {
  const sum = parts.reduce((all, part) => all + part, 0);
  const exact = parts.map((part) => 10 * total * (sum === 0 ? 1 / parts.length : part / sum));
  const rounded = exact.map(Math.floor);
  let left = Math.round(10 * total) - rounded.reduce((all, part) => all + part, 0);
  const byRemainder = exact
    .map((part, i) => ({ i, rest: part - Math.floor(part) }))
    .sort((a, b) => b.rest - a.rest || a.i - b.i);
  for (const { i } of byRemainder) if (left-- > 0) rounded[i]!++;
  return rounded.map((part) => part / 10);
}

function withAmounts(recipe: MixRecipe, amounts: readonly (MixAmount | null)[]): MixRecipe {
  return { ...recipe, sources: recipe.sources.map((source, i) => ({ ...source, amount: amounts[i]! })) };
}

/** Places of the sources that are given by share. */
function sharePlaces({ sources }: MixRecipe): number[] {
  return sources.flatMap(({ amount }, i) => (amount?.by === 'share' ? [i] : []));
}

/** All percent that are given; null where no source is given by share. */
export function shareSum(recipe: MixRecipe): number | null {
  const places = sharePlaces(recipe);
  if (places.length === 0) return null;
  return places.reduce((sum, i) => sum + recipe.sources[i]!.amount!.value, 0);
}

/** Whether the shares must add up to 100 %: nothing else fills what they leave. */
export function isFilledByShares({ sources }: MixRecipe): boolean {
  return sources.length > 0 && sources.every(({ amount }) => amount?.by === 'share');
}

/** Whether nothing but the sum of the shares is wrong: it is told where they are typed. */
export function isSumWrong(recipe: MixRecipe): boolean {
  return isFilledByShares(recipe) && Math.abs(shareSum(recipe)! - 100) > 0.05;
}

/** Scales the shares so that they are all of the mix. */
export function filledUp(recipe: MixRecipe): MixRecipe {
  const values = wholeShares(recipe.sources.map(({ amount }) => amount?.value ?? 0));
  return withAmounts(
    recipe,
    values.map((value) => ({ by: 'share', value })),
  );
}

/**
 * Gives a source another number.
 * @param others `follow`: the other shares keep their sum with it, in proportion; `stay`: nothing else changes
 */
export function withValue(
  recipe: MixRecipe,
  at: number,
  value: number,
  others: 'follow' | 'stay',
): MixRecipe {
  const amount = recipe.sources[at]!.amount;
  if (!amount) return recipe;
  const amounts = recipe.sources.map((source) => source.amount);
  const rest = sharePlaces(recipe).filter((i) => i !== at);
  if (amount.by !== 'share' || others === 'stay' || rest.length === 0) {
    amounts[at] = { ...amount, value };
    return withAmounts(recipe, amounts);
  }
  const most = isFilledByShares(recipe) ? 100 : Math.min(100, shareSum(recipe)!);
  const own = Math.min(value, most);
  const followed = wholeShares(
    rest.map((i) => recipe.sources[i]!.amount!.value),
    most - own,
  );
  amounts[at] = { by: 'share', value: own };
  rest.forEach((i, place) => (amounts[i] = { by: 'share', value: followed[place]! }));
  return withAmounts(recipe, amounts);
}

/** Digits that a person would give such a number. */
function roundedAmount(by: MixAmount['by'], value: number): number {
  const digits = { share: 1, weight: 3, epochs: 3, count: 0 }[by];
  return Math.max(0, Number(value.toFixed(digits)));
}

/** Says the same amount of a source in another way; null: by its size. */
export function withKind(
  recipe: MixRecipe,
  at: number,
  by: MixAmount['by'] | null,
  solved: Solved | null,
): MixRecipe {
  const amounts = recipe.sources.map(({ amount }) => amount);
  const share = solved?.shares[at] ?? 1 / recipe.sources.length;
  const units = solved?.units[at] ?? null;
  const value =
    by === null
      ? null
      : by === 'share'
        ? 100 * share
        : by === 'weight'
          ? weightOf(recipe, at, solved)
          : by === 'epochs'
            ? units === null || units === 0
              ? 1
              : (solved?.taken[at] ?? units) / units
            : units === null
              ? 1000
              : (solved?.taken[at] ?? units);
  amounts[at] = by === null ? null : { by, value: roundedAmount(by, value!) };
  const said = withAmounts(recipe, amounts);
  // Rounded, they may miss 100 % by a digit.
  return by === 'share' && isSumWrong(said) && Math.abs(shareSum(said)! - 100) < 1 ? filledUp(said) : said;
}

/** The weight that gives a source the share it has beside the other weights; 1 where there are none. */
function weightOf({ sources }: MixRecipe, at: number, solved: Solved | null): number {
  const other = sources.findIndex(
    ({ amount }, i) =>
      i !== at && amount?.by === 'weight' && amount.value > 0 && (solved?.shares[i] ?? 0) > 0,
  );
  if (other < 0 || !solved) return 1;
  return (sources[other]!.amount!.value * solved.shares[at]!) / solved.shares[other]!;
}

/** Every source by its share of the mix, as it stands now. */
export function allByShare(recipe: MixRecipe, shares: readonly number[]): MixRecipe {
  return withAmounts(
    recipe,
    wholeShares(shares).map((value) => ({ by: 'share', value })),
  );
}

/** Adds a source with as much as the others have on average, said as they say it. */
export function withSource(recipe: MixRecipe, source: Pick<MixSource, 'kind' | 'id'>): MixRecipe {
  const { sources } = recipe;
  const added = (amount: MixAmount | null): MixRecipe => ({
    ...recipe,
    sources: [...sources, { ...source, amount, split: 'train', maxEpochs: null }],
  });
  const kinds = new Set(sources.map(({ amount }) => amount?.by ?? null));
  const [kind] = kinds;
  if (sources.length === 0) return added({ by: 'share', value: 100 });
  if (kinds.size > 1 || kind === 'epochs' || kind === 'count') return added({ by: 'epochs', value: 1 });
  if (kind === null) return added(null);
  const values = sources.map(({ amount }) => amount!.value);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (kind === 'weight') return added({ by: 'weight', value: mean });
  return filledUp(added({ by: 'share', value: mean }));
}

/** Says of a source alone which part of it is trained on, and how often it comes at most. */
export function withLimits(
  recipe: MixRecipe,
  at: number,
  limits: Partial<Pick<MixSource, 'split' | 'maxEpochs'>>,
): MixRecipe {
  return {
    ...recipe,
    sources: recipe.sources.map((source, i) => (i === at ? { ...source, ...limits } : source)),
  };
}

/** Takes a source out; where shares are all that is left they are all of the mix, unless they were wrong before. */
export function withoutSource(recipe: MixRecipe, at: number): MixRecipe {
  const rest = { ...recipe, sources: recipe.sources.filter((_, i) => i !== at) };
  return !isSumWrong(recipe) && isFilledByShares(rest) ? filledUp(rest) : rest;
}

/**
 * Moves the border between a source and the next one: what one gives up the other gets, each in the words of its own
 * amount. Where one of them has no number of its own, all sources have shares from then on.
 * @param by share of the whole mix, above 0: the first one grows
 */
export function movedBorder(recipe: MixRecipe, at: number, by: number, solved: Solved): MixRecipe {
  const { shares, taken, units } = solved;
  const [first, second] = [recipe.sources[at]?.amount, recipe.sources[at + 1]?.amount];
  const delta = Math.max(-shares[at]!, Math.min(shares[at + 1]!, by));
  if (!first || !second) {
    const next = [...shares];
    next[at]! += delta;
    next[at + 1]! -= delta;
    return allByShare(recipe, next);
  }
  const amounts = recipe.sources.map(({ amount }) => amount);
  if (first.by === 'share' && second.by === 'share') {
    // Their sum stays to the digit.
    const sum = Math.round(10 * (first.value + second.value));
    const value = Math.min(sum, Math.max(0, Math.round(10 * (first.value + 100 * delta))));
    amounts[at] = { by: 'share', value: value / 10 };
    amounts[at + 1] = { by: 'share', value: (sum - value) / 10 };
    return withAmounts(recipe, amounts);
  }
  const total = taken.reduce((sum, part) => sum + part, 0);
  const moved = (place: number, amount: MixAmount, change: number): MixAmount => {
    const next = { share: 100 * change, weight: 0, epochs: 0, count: change * total };
    const one = units[place] ?? 0;
    next.epochs = one === 0 ? 0 : (change * total) / one;
    next.weight = change * weightPerShare(recipe, shares);
    return { by: amount.by, value: roundedAmount(amount.by, amount.value + next[amount.by]) };
  };
  amounts[at] = moved(at, first, delta);
  amounts[at + 1] = moved(at + 1, second, -delta);
  return withAmounts(recipe, amounts);
}

/** Weight that one whole mix has: the weights over the shares that they give. */
function weightPerShare({ sources }: MixRecipe, shares: readonly number[]): number {
  let [weight, share] = [0, 0];
  sources.forEach(({ amount }, i) => {
    if (amount?.by !== 'weight') return;
    weight += amount.value;
    share += shares[i]!;
  });
  return share === 0 ? 0 : weight / share;
}
