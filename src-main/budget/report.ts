import { StudioError } from '../contract/errors.ts';
import { methods, type AdapterConfig, type Method, type TargetModule } from '../contract/training.ts';
import type { RankBound, RanklessConfig } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { amountText, type Budget } from './budgetUnits.ts';
import { countParameters, type ParameterCount } from './count.ts';
import { baseParameters, type ModelShape } from '../shape/modelShape.ts';
import { sizeOptions, type SearchLimits, type SizeOption } from './searchSpace.ts';
import { solveBudget } from './solve.ts';
import { extraWork, rankBounds } from './work.ts';

/** One method's line of the `budget` command. */
export interface BudgetLine
  extends Omit<ParameterCount, 'adapterBytes'>, Partial<Record<SizeOption, number>> {
  method: Method;
  rank: number;
  targets: TargetModule[];
  /** f32, as the studio writes it. */
  adapterBytes: number;
  adapterBytesBf16: number;
  /** Of matrix products beyond the frozen base, for a token. */
  extraFlops: { inference: number; training: number };
  /** Greatest ranks that the update of a module can have; null: full fine-tuning. */
  rankBound: RankBound | null;
  /** Only with a budget: what is used and what stays unused, in its unit. */
  used?: number;
  remainder?: number;
}

export interface BudgetReport {
  model: string;
  /** Parameters of the base model. */
  base: number;
  /** Only where settings were sought. */
  budget?: Budget;
  methods: BudgetLine[];
  /** Methods that the budget or the options rule out, with the reason. */
  impossible: { method: Method; reason: string }[];
}

/** A rank to count, or a budget to solve for. */
export type BudgetSize = { rank: number } | { budget: Budget; limits: SearchLimits };

/**
 * Counts each method at a rank, or finds each method's settings within a budget.
 * @throws StudioError config_invalid where one method is asked for and is impossible
 */
export function budgetReport(
  model: string,
  shape: ModelShape,
  wanted: readonly Method[],
  options: Omit<AdapterConfig, 'method' | 'rank'>,
  size: BudgetSize,
): BudgetReport {
  const report: BudgetReport = {
    model,
    base: baseParameters(shape),
    ...('budget' in size && { budget: size.budget }),
    methods: [],
    impossible: [],
  };
  for (const method of methods.filter((name) => wanted.includes(name)))
    try {
      report.methods.push(line(shape, { ...options, method }, size));
    } catch (error) {
      if (!(error instanceof StudioError) || wanted.length === 1) throw error;
      report.impossible.push({ method, reason: `${error.message} ${error.remedy}` });
    }
  return report;
}

function line(shape: ModelShape, adapter: RanklessConfig, size: BudgetSize): BudgetLine {
  if ('rank' in size) {
    const settings = { ...adapter, rank: size.rank };
    return described(shape, settings, countParameters(shape, settings));
  }
  const { budget, limits } = size;
  const found = solveBudget(shape, adapter, budget, limits);
  if (!found.solution) throw beyond(adapter.method, found.nearest, budget);
  const { adapter: settings, count, used, remainder } = found.solution;
  return { ...described(shape, settings, count), used, remainder };
}

function described(shape: ModelShape, settings: AdapterConfig, count: ParameterCount): BudgetLine {
  const { method, rank, targets } = settings;
  const { adapterBytes, ...numbers } = count;
  const { inference, training } = extraWork(shape, settings);
  return {
    method,
    rank: method === 'full' ? 0 : rank,
    ...ownOptions(settings),
    targets,
    ...numbers,
    adapterBytes: adapterBytes.f32,
    adapterBytesBf16: adapterBytes.bf16,
    extraFlops: { inference: inference.perToken, training: training.perToken },
    rankBound: rankBounds(shape, settings)?.greatest ?? null,
  };
}

/** The options that decide the size of this method. */
export function ownOptions(settings: AdapterConfig): Partial<Record<SizeOption, number>> {
  const keys: readonly unknown[] = Object.values(methodOf(settings)?.fileKeys ?? {});
  return Object.fromEntries(
    sizeOptions.filter((name) => keys.includes(name)).map((name) => [name, settings[name]]),
  );
}

/** Says the least that the method needs, and with which settings. */
function beyond(
  method: Method,
  nearest: { adapter: AdapterConfig; used: number } | null,
  { unit, most }: Budget,
): StudioError {
  if (!nearest)
    return new StudioError(
      'config_invalid',
      `${method} cannot be built on this model within the limits given.`,
      'Allow smaller ranks, fewer clusters or other target modules.',
    );
  const { adapter, used } = nearest;
  return new StudioError(
    'config_invalid',
    `${method} needs at least ${amountText(used, unit)}; the budget is ${amountText(most, unit)}.`,
    method === 'full'
      ? 'Raise the budget, or choose a method with an adapter.'
      : `The nearest possible is ${settingsText(adapter)}: raise the budget, or adapt fewer modules.`,
  );
}

/** rank 4, clusters 4, boost 2 on q_proj, v_proj */
export function settingsText(settings: AdapterConfig): string {
  const options = Object.entries(ownOptions(settings)).map(([name, value]) => `${name} ${value}`);
  return `${[`rank ${settings.rank}`, ...options].join(', ')} on ${settings.targets.join(', ')}`;
}
