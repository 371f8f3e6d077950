import {
  amountText,
  parseBudget,
  type Budget,
  type BudgetChoice,
  type BudgetUnit,
} from '../../../src-main/budget/budgetUnits.ts';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { ModelShape } from '../../../src-main/shape/modelShape.ts';
import { settingsText } from '../../../src-main/budget/report.ts';
import {
  largestRankAllowed,
  sizeOptions,
  type SearchLimits,
  type SizeOption,
} from '../../../src-main/budget/searchSpace.ts';
import { solveBudget, type Solution } from '../../../src-main/budget/solve.ts';
import { rankBounds, type RankBounds } from '../../../src-main/budget/work.ts';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { methods, type Method } from '../../../src-main/contract/training.ts';
import { optionDefaults } from '../../../src-main/options/trainingOptions.ts';
import { numberProblem, type PlanForm } from './planForm.ts';

/** What a number without a unit of its own is counted in. */
export const amountUnits = ['M', 'percentBase', 'percentPaper', 'MBf32', 'MBbf16'] as const;
export type AmountUnit = (typeof amountUnits)[number];

export const amountLabels: Readonly<Record<AmountUnit, string>> = {
  M: 'million parameters',
  percentBase: '% of the base',
  percentPaper: '% as the paper counts',
  MBf32: 'MB of the file, f32',
  MBbf16: 'MB of the file, bf16',
};

const plainUnits: Readonly<Record<AmountUnit, { unit: BudgetUnit; factor: number }>> = {
  M: { unit: 'parameters', factor: 1e6 },
  percentBase: { unit: 'percentBase', factor: 1 },
  percentPaper: { unit: 'percentPaper', factor: 1 },
  MBf32: { unit: 'bytesF32', factor: 1e6 },
  MBbf16: { unit: 'bytesBf16', factor: 1e6 },
};

/** From and to; equal where an option stays as it is. */
export interface RangeForm {
  least: number | null;
  most: number | null;
}

export type SoughtOption = 'rank' | SizeOption;

/** A budget as a form has it. */
export interface BudgetForm {
  /** As people type it: 50M, 0.5 %, 8 MB, like RUN. */
  budget: string;
  unit: AmountUnit;
}

export interface SolverForm extends BudgetForm {
  ranges: Record<SoughtOption, RangeForm>;
  seeksTargets: boolean;
}

export const soughtOptions: readonly SoughtOption[] = ['rank', ...sizeOptions];
export const mostOfOption: Readonly<Record<SoughtOption, number>> = {
  rank: largestRankAllowed,
  clusters: 64,
  boost: 64,
  heads: 64,
  experts: 64,
};

const firstRanges: SolverForm['ranges'] = {
  rank: { least: 1, most: 4096 },
  clusters: { least: 4, most: 4 },
  boost: { least: 2, most: 2 },
  heads: { least: 3, most: 3 },
  experts: { least: 4, most: 4 },
};

export const solverKey = 'studio.planSolver';

/** What was stored, as far as it is of the right kind. */
export function restoreSolver(
  saved: Partial<Record<keyof SolverForm | 'amount' | 'runId', unknown>>,
): SolverForm {
  const ranges = (typeof saved.ranges === 'object' && saved.ranges) || {};
  const range = (name: SoughtOption): RangeForm => {
    const { least, most } = ((ranges as Record<string, unknown>)[name] ?? {}) as Record<string, unknown>;
    const isKept = typeof least === 'number' && typeof most === 'number';
    return isKept ? { least, most } : { ...firstRanges[name] };
  };
  return {
    ...restoreBudget(saved, { budget: '20', unit: 'M' }),
    ranges: Object.fromEntries(soughtOptions.map((name) => [name, range(name)])) as SolverForm['ranges'],
    seeksTargets: saved.seeksTargets === true,
  };
}

/** A stored budget; older forms kept a number and the run that it was taken from apart. */
export function restoreBudget(
  saved: Partial<Record<'budget' | 'amount' | 'unit' | 'runId', unknown>>,
  first: BudgetForm,
): BudgetForm {
  const isRun = saved.unit === 'run' && typeof saved.runId === 'string';
  const older = isRun
    ? `like ${saved.runId}`
    : typeof saved.amount === 'number'
      ? `${saved.amount}`
      : first.budget;
  return {
    budget: typeof saved.budget === 'string' ? saved.budget : older,
    unit: amountUnits.find((unit) => unit === saved.unit) ?? first.unit,
  };
}

export type ReadBudget = { budget: Budget } | { problem: string };

/** The budget that the form names. @param runs from which one can be taken */
export function readBudget(
  { budget, unit }: Readonly<BudgetForm>,
  runs: readonly Pick<Run, 'id' | 'name' | 'trainable'>[],
): ReadBudget {
  const choice: BudgetChoice = {
    plain: plainUnits[unit],
    percent: unit === 'percentPaper' ? 'percentPaper' : 'percentBase',
    bytes: unit === 'MBbf16' ? 'bytesBf16' : 'bytesF32',
    trainableOf(name) {
      const run = runs.find((known) => known.name === name || known.id === name);
      if (run && run.trainable !== null) return run.trainable;
      const known = runs.slice(0, 3).map((one) => one.name);
      throw new StudioError(
        'not_found',
        `No run "${name}" has counted its parameters.`,
        known.length > 0 ? `There is, for example, ${known.join(', ')}.` : 'Train one first.',
      );
    },
  };
  try {
    return { budget: parseBudget(budget, choice) };
  } catch (error) {
    if (error instanceof StudioError) return { problem: `${error.message} ${error.remedy}` };
    throw error;
  }
}

/** What is wrong with each range. */
export function rangeProblems(form: SolverForm): Partial<Record<SoughtOption, string>> {
  const found: Partial<Record<SoughtOption, string>> = {};
  for (const name of soughtOptions) {
    const { least, most } = form.ranges[name];
    const problem = numberProblem(least, mostOfOption[name]) ?? numberProblem(most, mostOfOption[name]);
    if (problem) found[name] = problem;
    else if (most! < least!) found[name] = 'The end lies before the beginning.';
  }
  return found;
}

/** Settings besides the rank that one method may have at most: more would make the page wait. */
const mostSettings = 10_000;

/** Why the search would take too long; undefined where it does not. */
export function tooWide(form: SolverForm, targets: number): string | undefined {
  const width = (name: SizeOption) => form.ranges[name].most! - form.ranges[name].least! + 1;
  const options = Math.max(width('clusters') * width('boost'), width('heads'), width('experts'));
  const settings = options * (form.seeksTargets ? 2 ** targets - 1 : 1);
  return settings > mostSettings
    ? `These limits allow ${settings.toLocaleString('en-US')} settings besides the rank; at most ${mostSettings.toLocaleString('en-US')} are searched here. Narrow the clusters or the boost, or fix the targets.`
    : undefined;
}

export interface SolverRow {
  method: Method;
  solution: Solution | null;
  bounds: RankBounds | null;
  /** Without a solution: what is the nearest possible, in words. */
  reason: string;
}

/** Each method's settings closest to the budget. Ranges must be without problems. */
export function solverRows(plan: PlanForm, form: SolverForm, shape: ModelShape, budget: Budget): SolverRow[] {
  const limits: SearchLimits = { targets: form.seeksTargets };
  for (const name of soughtOptions) {
    const { least, most } = form.ranges[name];
    limits[name] = { least: least!, most: most! };
  }
  const { router, gate, targets } = plan;
  const tasks = gate === 'task' ? (plan.tasks ?? 1) : 1;
  return methods.map((method): SolverRow => {
    const failed = (reason: string) => ({ method, solution: null, bounds: null, reason });
    try {
      const adapter = { ...optionDefaults, method, router, gate, targets, tasks };
      const { solution, ...rest } = solveBudget(shape, adapter, budget, limits);
      if (solution) return { method, solution, bounds: rankBounds(shape, solution.adapter), reason: '' };
      const nearest = 'nearest' in rest ? rest.nearest : null;
      if (!nearest) return failed('No settings within these limits can be built on this model.');
      const settings = method === 'full' ? '' : ` (${settingsText(nearest.adapter)})`;
      return failed(`The nearest possible is ${amountText(nearest.used, budget.unit)}${settings}.`);
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      return failed(`${error.message} ${error.remedy}`);
    }
  });
}
