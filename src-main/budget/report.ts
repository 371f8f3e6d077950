import { StudioError } from '../contract/errors.ts';
import { methods, type AdapterConfig, type Method } from '../contract/training.ts';
import { countParameters, type ParameterCount } from './count.ts';
import type { ModelShape } from './modelShape.ts';
import { solveRank } from './solve.ts';

/** One method's line of the `budget` command. */
export interface BudgetLine extends Omit<ParameterCount, 'adapterBytes'> {
  method: Method;
  rank: number;
  /** f32, as the studio writes it. */
  adapterBytes: number;
  /** Only with a budget: what stays unused. */
  remainder?: number;
}

export interface BudgetReport {
  model: string;
  methods: BudgetLine[];
  /** Methods that the budget or the options rule out, with the reason. */
  impossible: { method: Method; reason: string }[];
}

/**
 * Counts each method at a rank, or finds each method's greatest rank within a budget.
 * @throws StudioError config_invalid where one method is asked for and is impossible
 */
export function budgetReport(
  model: string,
  shape: ModelShape,
  wanted: readonly Method[],
  options: Omit<AdapterConfig, 'method' | 'rank'>,
  size: { rank: number } | { maxTrainable: number },
): BudgetReport {
  const report: BudgetReport = { model, methods: [], impossible: [] };
  for (const method of methods.filter((name) => wanted.includes(name)))
    try {
      report.methods.push(line(shape, { ...options, method }, size));
    } catch (error) {
      if (!(error instanceof StudioError) || wanted.length === 1) throw error;
      report.impossible.push({ method, reason: `${error.message} ${error.remedy}` });
    }
  return report;
}

function line(
  shape: ModelShape,
  adapter: Parameters<typeof solveRank>[1],
  size: { rank: number } | { maxTrainable: number },
): BudgetLine {
  const { method } = adapter;
  if ('rank' in size) {
    const { adapterBytes, ...count } = countParameters(shape, { ...adapter, rank: size.rank });
    return { method, rank: method === 'full' ? 0 : size.rank, ...count, adapterBytes: adapterBytes.f32 };
  }
  const found = solveRank(shape, adapter, size.maxTrainable);
  if (!found.solution)
    throw new StudioError(
      'config_invalid',
      `${method} needs at least ${found.least} trainable parameters; the budget is ${size.maxTrainable}.`,
      'Raise the budget, or adapt fewer modules.',
    );
  const { adapterBytes, ...count } = found.solution.count;
  return {
    method,
    rank: found.solution.rank,
    ...count,
    adapterBytes: adapterBytes.f32,
    remainder: found.solution.remainder,
  };
}
