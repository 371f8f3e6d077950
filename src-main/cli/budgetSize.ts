import { parseBudget } from '../budget/budgetUnits.ts';
import type { BudgetSize } from '../budget/report.ts';
import { largestRankAllowed, sizeOptions, type Range, type SearchLimits } from '../budget/searchSpace.ts';
import { StudioError } from '../contract/errors.ts';
import { list, text, usageError, type Values } from './arguments.ts';

export const solveOptions = {
  solve: { type: 'string' },
  'solve-over': { type: 'string' },
  'solve-percent': { type: 'string' },
  'solve-dtype': { type: 'string' },
} as const;

/** Sought where no range is given. */
const widest = { rank: { least: 1, most: largestRankAllowed }, option: { least: 1, most: 8 } };

/**
 * What the options of `budget` ask for: a rank to count, or a budget with the settings that may change.
 * @param trainableOf of a run, for `--solve run:NAME`
 * @throws StudioError usage
 */
export function budgetSize(values: Values, rank: number, trainableOf: (run: string) => number): BudgetSize {
  const solve = text(values, 'solve');
  if (solve === undefined) {
    const alone = (['solve-over', 'solve-percent', 'solve-dtype'] as const).find((name) =>
      text(values, name),
    );
    if (alone) throw usageError(`--${alone} needs a budget: --solve is missing.`);
    return { rank };
  }
  const choice = {
    percent: oneOf(values, 'solve-percent', { base: 'percentBase', paper: 'percentPaper' } as const),
    bytes: oneOf(values, 'solve-dtype', { f32: 'bytesF32', bf16: 'bytesBf16' } as const),
  };
  const limits = readLimits(values, rank);
  if (solve.startsWith('run:'))
    return { budget: { unit: 'parameters', most: trainableOf(solve.slice('run:'.length)) }, limits };
  try {
    return { budget: parseBudget(solve, choice), limits };
  } catch (error) {
    if (error instanceof StudioError) throw usageError(`--solve: ${error.message}`, error.remedy);
    throw error;
  }
}

/** The first of the choices is the default. */
function oneOf<T>(values: Values, name: keyof typeof solveOptions, choices: Readonly<Record<string, T>>): T {
  const given = text(values, name) ?? Object.keys(choices)[0]!;
  if (Object.hasOwn(choices, given)) return choices[given]!;
  throw usageError(`--${name} "${given}" is none of ${Object.keys(choices).join(', ')}.`);
}

/** rank=4..64,clusters,boost=1..4,targets; without it the rank alone is sought. */
function readLimits(values: Values, rank: number): SearchLimits {
  const parts = list(values, 'solve-over') ?? ['rank'];
  const limits: SearchLimits = { rank: { least: rank, most: rank } };
  for (const part of parts) {
    const [name = '', range] = part.split('=');
    if (name === 'targets' && range === undefined) limits.targets = true;
    else if (name === 'rank') limits.rank = readRange(part, range, widest.rank, largestRankAllowed);
    else {
      const option = sizeOptions.find((known) => known === name);
      if (!option)
        throw usageError(
          `--solve-over "${part}": there are rank, ${sizeOptions.join(', ')} and targets.`,
          'Name them with commas, each with a range if you like: rank=4..64,clusters=2..8,targets.',
        );
      limits[option] = readRange(part, range, widest.option, 64);
    }
  }
  return limits;
}

function readRange(part: string, range: string | undefined, otherwise: Range, largest: number): Range {
  if (range === undefined) return otherwise;
  const [, low, high] = /^(\d{1,6})(?:\.\.(\d{1,6}))?$/.exec(range) ?? [];
  const [least, most] = [Number(low), Number(high ?? low)];
  if (low === undefined || least < 1 || most < least || most > largest)
    throw usageError(
      `--solve-over "${part}": the range must be whole numbers from 1 to ${largest}.`,
      'Write it as rank=4..64, or rank=8 for one value.',
    );
  return { least, most };
}
