import { StudioError } from '../contract/errors.ts';
import type { MixRecipe } from '../contract/mixing/mixes.ts';

/** A source as its amount in a pass is found: what it has, and what is asked of it. */
export interface AmountSource {
  /** For messages. */
  name: string;
  /** Units (of the recipe) in one pass over it. */
  units: number;
  amount: MixRecipe['sources'][number]['amount'];
  maxEpochs: number | null;
}

export interface Amounts {
  /** Units that each source gives to one pass over the mix. */
  units: number[];
  /** The share that each was to have, 0 to 1; null where a number of its own was asked for. */
  askedShares: (number | null)[];
  /** Caps that bind and the like, in sentences. */
  warnings: string[];
}

const one = 1 + 1e-9;

/**
 * How much of each source one pass over a mix takes.
 *
 * Fixed amounts (epochs, counts) are taken as they are. Of the rest, shares are fractions of the whole mix; weights,
 * and temperature p ~ n^(1/T) where no amount is given, divide what the shares leave. The stop rule decides the size,
 * caps lower it (all sources alike, so that the shares hold), and it is said where one did.
 *
 * @throws StudioError config_invalid: no source gives anything, shares beyond 100 %, or a size that nothing decides
 */
export function mixAmounts(
  recipe: Pick<MixRecipe, 'unit' | 'stop' | 'size' | 'temperature' | 'maxEpochs'>,
  sources: readonly AmountSource[],
): Amounts {
  const warnings: string[] = [];
  for (const { name, units, amount } of sources)
    if (units === 0 && amount?.value !== 0)
      throw new StudioError(
        'dataset_empty',
        `The source "${name}" of the mix has no row left to train on.`,
        'Take it out of the mix, or see on the Data page why its rows are set aside, held out or dropped.',
      );
  const fixed = sources.map(({ amount, units }) =>
    amount?.by === 'epochs' ? amount.value * units : amount?.by === 'count' ? amount.value : null,
  );
  const shares = relativeShares(recipe.temperature, sources, fixed);
  const fixedUnits = fixed.reduce<number>((total, units) => total + (units ?? 0), 0);
  const relative = shares.reduce<number>((total, share) => total + (share ?? 0), 0);
  const cap = (i: number) => (sources[i]!.maxEpochs ?? recipe.maxEpochs ?? Infinity) * sources[i]!.units;

  if (recipe.stop === 'once') {
    const units = sources.map((source, i) =>
      source.amount?.value === 0 ? 0 : Math.min(source.units, cap(i)),
    );
    return { units, askedShares: shares, warnings };
  }
  let total = totalUnits(recipe, sources, { shares, relative, fixedUnits });
  if (relative > 0) {
    const binding = shares
      .map((share, i) => ({ name: sources[i]!.name, total: share ? cap(i) / share : Infinity }))
      .reduce((least, next) => (next.total < least.total ? next : least));
    if (binding.total * one < total) {
      warnings.push(
        `The pass ends after ${said(binding.total, recipe.unit)} instead of ${said(total, recipe.unit)}: "${binding.name}" would be repeated beyond its cap, and the shares are kept.`,
      );
      total = binding.total;
    }
  }
  const units = sources.map((source, i) => {
    const wanted = fixed[i] ?? shares[i]! * total;
    if (wanted <= cap(i) * one) return wanted;
    warnings.push(
      `"${source.name}" gives ${said(cap(i), recipe.unit)} instead of ${said(wanted, recipe.unit)}: more would repeat it beyond its cap.`,
    );
    return cap(i);
  });
  if (units.every((amount) => amount === 0))
    throw invalid('No source of the mix gives anything.', 'Give at least one source more than 0.');
  return { units, askedShares: shares, warnings };
}

/** Fractions of the whole mix; null for sources with a fixed amount. */
function relativeShares(
  temperature: number,
  sources: readonly AmountSource[],
  fixed: readonly (number | null)[],
): (number | null)[] {
  const percent = sources.map(({ amount }) => (amount?.by === 'share' ? amount.value / 100 : null));
  const given = percent.reduce<number>((total, share) => total + (share ?? 0), 0);
  const hasWeights = sources.some(({ amount }) => amount?.by === 'weight');
  // What is not given is filled: by weights, and by size beside them only where nobody weighs.
  const weights = sources.map(({ amount, units }, i) => {
    if (fixed[i] !== null || percent[i] !== null) return null;
    if (amount?.by === 'weight') return amount.value;
    if (hasWeights)
      throw invalid(
        `"${sources[i]!.name}" has no weight, and other sources have.`,
        'Give each source without a share a weight.',
      );
    return units ** (1 / temperature);
  });
  const weight = weights.reduce<number>((total, value) => total + (value ?? 0), 0);
  const hasFixed = fixed.some((units) => units !== null);
  const isFilled = weights.some((value) => value !== null);
  if (given > one || (isFilled && given > 1 - 1e-9 && given > 0))
    throw invalid(
      `The shares add up to ${rounded(100 * given)} %${isFilled ? ', and other sources are to share the rest' : ''}.`,
      'Lower a share, or give relative weights instead of shares.',
    );
  if (!isFilled && !hasFixed && given > 0 && Math.abs(given - 1) > 5e-4)
    throw invalid(
      `The shares add up to ${rounded(100 * given)} %, not to 100 %.`,
      'Change a share, or give relative weights instead of shares.',
    );
  if (isFilled && weight === 0 && given === 0 && !hasFixed)
    throw invalid('All weights are 0.', 'Give at least one source a weight above 0.');
  const scale = !isFilled && !hasFixed && given > 0 ? 1 / given : 1;
  return sources.map((_, i) => {
    if (fixed[i] !== null) return null;
    if (percent[i] !== null) return percent[i]! * scale;
    return weight === 0 ? 0 : ((1 - given) * weights[i]!) / weight;
  });
}

/** Units of one pass over the mix, before caps. */
function totalUnits(
  { stop, size, unit }: Pick<MixRecipe, 'stop' | 'size' | 'unit'>,
  sources: readonly AmountSource[],
  {
    shares,
    relative,
    fixedUnits,
  }: { shares: readonly (number | null)[]; relative: number; fixedUnits: number },
): number {
  if (relative === 0) return fixedUnits;
  if (stop === 'size') {
    if (size === null)
      throw invalid('The mix has no size.', 'Give the number of units after which a pass ends.');
    if (fixedUnits === 0) return size;
    if (relative > 1 - 1e-9 && fixedUnits < size) return size - fixedUnits;
    // Shares are of the whole, so that shares and fixed amounts decide a size together.
    const decided = relative < 1 - 1e-9 ? fixedUnits / (1 - relative) : fixedUnits;
    if (relative < 1 - 1e-9 && Math.abs(decided - size) <= 0.005 * size) return decided;
    throw invalid(
      `The fixed amounts are ${said(fixedUnits, unit)} and make a pass of ${said(decided, unit)}, which is to have ${said(size, unit)}.`,
      'Give up the size, or change an amount.',
    );
  }
  // Fixed amounts fill what the shares leave.
  if (fixedUnits > 0 && relative < 1 - 1e-9) return fixedUnits / (1 - relative);
  const ends = sources.flatMap(({ units }, i) => (shares[i] ? [units / shares[i]] : []));
  return ends.reduce((a, b) => (stop === 'first' ? Math.min(a, b) : Math.max(a, b)));
}

const unitWords = { rows: 'rows', tokens: 'tokens', trained_tokens: 'trained tokens' } as const;

function said(units: number, unit: MixRecipe['unit']): string {
  return `${Math.round(units).toLocaleString('en-US')} ${unitWords[unit]}`;
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function invalid(message: string, remedy: string): StudioError {
  return new StudioError('config_invalid', message, remedy);
}
