import { parseBudget, type Budget } from '../../budget/budgetUnits.ts';
import type { BudgetSize } from '../../budget/report.ts';
import { largestRankAllowed, sizeOptions, type Range, type SearchLimits } from '../../budget/searchSpace.ts';
import type { Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { list, requiredText, text, usageError, type Values } from '../arguments.ts';

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
  const limits = readLimits(values, rank);
  return { budget: readBudget(values, 'solve', trainableOf), limits };
}

/**
 * The budget that an option names: 4000000, 4M, 50e6, 0.5 %, 8 MB, like RUN; `<option>-percent` and `<option>-dtype`
 * say what is meant.
 * @throws StudioError usage
 */
export function readBudget(values: Values, option: string, trainableOf: (run: string) => number): Budget {
  const given = requiredText(values, option);
  const choice = {
    percent: oneOf(values, `${option}-percent`, { base: 'percentBase', paper: 'percentPaper' } as const),
    bytes: oneOf(values, `${option}-dtype`, { f32: 'bytesF32', bf16: 'bytesBf16' } as const),
  };
  try {
    return parseBudget(given, { ...choice, trainableOf });
  } catch (error) {
    if (error instanceof StudioError && error.code === 'config_invalid')
      throw usageError(`--${option}: ${error.message}`, error.remedy);
    throw error;
  }
}

/** The first of the choices is the default. */
function oneOf<T>(values: Values, name: string, choices: Readonly<Record<string, T>>): T {
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

/** Trainable parameters of a run that a budget is taken from. @throws StudioError busy while they are not counted */
export function countedTrainable({ name, trainable }: Pick<Run, 'name' | 'trainable'>): number {
  if (trainable !== null) return trainable;
  throw new StudioError(
    'busy',
    `The run "${name}" has not counted its trainable parameters yet.`,
    'Wait until it has begun, or give a number.',
  );
}
