import { checkBudget, type Budget, type BudgetUnit } from '../../../src-main/budget/budgetUnits.ts';
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
import { amountText } from '../../../src-main/budget/budgetUnits.ts';
import { numberProblem, type PlanForm } from './planForm.ts';

/** What a budget is given in. */
export const amountUnits = ['M', 'percentBase', 'percentPaper', 'MBf32', 'MBbf16', 'run'] as const;
export type AmountUnit = (typeof amountUnits)[number];

export const amountLabels: Readonly<Record<AmountUnit, string>> = {
  M: 'million parameters',
  percentBase: '% of the base',
  percentPaper: '% as the paper counts',
  MBf32: 'MB of the file, f32',
  MBbf16: 'MB of the file, bf16',
  run: 'as many as a run',
};

/** From and to; equal where an option stays as it is. */
export interface RangeForm {
  least: number | null;
  most: number | null;
}

export type SoughtOption = 'rank' | SizeOption;

/** A budget as a form has it. */
export interface BudgetForm {
  amount: number | null;
  unit: AmountUnit;
  /** The run whose count is the budget, in that unit. */
  runId: string | null;
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
export function restoreSolver(saved: Partial<Record<keyof SolverForm, unknown>>): SolverForm {
  const ranges = (typeof saved.ranges === 'object' && saved.ranges) || {};
  const range = (name: SoughtOption): RangeForm => {
    const { least, most } = ((ranges as Record<string, unknown>)[name] ?? {}) as Record<string, unknown>;
    const isKept = typeof least === 'number' && typeof most === 'number';
    return isKept ? { least, most } : { ...firstRanges[name] };
  };
  return {
    amount: typeof saved.amount === 'number' ? saved.amount : 20,
    unit: amountUnits.find((unit) => unit === saved.unit) ?? 'M',
    runId: typeof saved.runId === 'string' ? saved.runId : null,
    ranges: Object.fromEntries(soughtOptions.map((name) => [name, range(name)])) as SolverForm['ranges'],
    seeksTargets: saved.seeksTargets === true,
  };
}

export type ReadBudget = { budget: Budget } | { problem: string };

/** The budget that the form names. @param runTrainable of the chosen run; null: not known */
export function readBudget(form: Readonly<BudgetForm>, runTrainable: number | null): ReadBudget {
  if (form.unit === 'run')
    return runTrainable === null
      ? { problem: 'Choose a run that has counted its parameters.' }
      : { budget: { unit: 'parameters', most: runTrainable } };
  const { amount } = form;
  if (amount === null) return { problem: 'Enter a number.' };
  const units: Readonly<Record<Exclude<AmountUnit, 'run'>, [BudgetUnit, number]>> = {
    M: ['parameters', 1e6],
    percentBase: ['percentBase', 1],
    percentPaper: ['percentPaper', 1],
    MBf32: ['bytesF32', 1e6],
    MBbf16: ['bytesBf16', 1e6],
  };
  const [unit, factor] = units[form.unit];
  const most = factor === 1 ? amount : Math.round(amount * factor);
  // A millionth of a parameter is a typing error, not a budget.
  if (factor > 1 && Math.abs(amount * factor - most) > 1e-3)
    return { problem: 'At most six digits after the point: parameters and bytes are whole.' };
  try {
    return { budget: checkBudget({ unit, most }) };
  } catch (error) {
    if (error instanceof StudioError) return { problem: error.message };
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
