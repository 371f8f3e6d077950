import {
  forecastTraining,
  trainingFit,
  type FitVerdict,
  type Forecast,
} from '../../../src-main/budget/forecast/calibrate.ts';
import { countParameters, type ParameterCount } from '../../../src-main/budget/count.ts';
import type { ModelShape } from '../../../src-main/shape/modelShape.ts';
import { rankCurve, type RankPoint } from '../../../src-main/budget/searchSpace.ts';
import { largestRankAllowed } from '../../../src-main/budget/searchSpace.ts';
import { extraWork, rankBounds, type RankBounds, type Work } from '../../../src-main/budget/work.ts';
import { StudioError, toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import type { Calibration } from '../../../src-main/contract/forecast.ts';
import { readLayers, readPattern } from '../../../src-main/options/optionText.ts';
import {
  methods,
  quantizationOptions,
  trainConfigSchema,
  type AdapterConfig,
  type Method,
} from '../../../src-main/contract/training.ts';
import { optionDefaults } from '../../../src-main/options/trainingOptions.ts';
import { numberProblem, type PlanForm } from './planForm.ts';

export interface PlanColumn {
  method: Method;
  /** Null where the method is impossible with these values. */
  found: {
    count: ParameterCount;
    work: Work;
    bounds: RankBounds | null;
    training: TrainingCost | null;
  } | null;
  problem: PlainError | null;
}

/** What a step of the form's training takes. */
export interface TrainingCost {
  forecast: Forecast;
  fit: FitVerdict;
  tokensPerSecond: number;
}

/** Largest value of each number of the form. */
export const mostOf = {
  rank: largestRankAllowed,
  clusters: 64,
  boost: 64,
  heads: 64,
  experts: 64,
  tasks: 1000,
  batch: 4096,
  context: 131_072,
};

/** What is wrong with each field of the form, before any method is asked. */
export function fieldProblems(form: PlanForm): Partial<Record<keyof PlanForm, string>> {
  const found: Partial<Record<keyof PlanForm, string>> = {};
  for (const [key, most] of Object.entries(mostOf) as [keyof typeof mostOf, number][]) {
    const problem = numberProblem(form[key], most);
    if (problem) found[key] = problem;
  }
  const layers = readLayers(form.layers);
  if ('problem' in layers) found.layers = layers.problem;
  const pattern = readPattern(form.rankPattern);
  if ('problem' in pattern) found.rankPattern = pattern.problem;
  else if (Object.values(pattern.value).some((rank) => numberProblem(rank, largestRankAllowed)))
    found.rankPattern = 'Ranks are whole numbers, at least 1.';
  return found;
}

/** The form as an adapter of a method; null where a field is wrong. */
export function planAdapter(form: PlanForm, method: Method): AdapterConfig | null {
  if (Object.keys(fieldProblems(form)).length > 0 || form.targets.length === 0) return null;
  const [layers, pattern] = [readLayers(form.layers), readPattern(form.rankPattern)];
  if ('problem' in layers || 'problem' in pattern) return null;
  const { rank, clusters, boost, heads, experts, tasks, router, gate, targets } = form;
  return {
    ...optionDefaults,
    method,
    router,
    gate,
    targets,
    rank: rank!,
    clusters: clusters!,
    boost: boost!,
    heads: heads!,
    experts: experts!,
    tasks: gate === 'task' ? tasks! : 1,
    layers: layers.value.length > 0 ? layers.value : null,
    rankPattern: pattern.value,
  };
}

/**
 * The form's training with one adapter, each row as long as the context. @param modelId of the library; null: a preset
 */
function trainingCost(
  form: PlanForm,
  { shape, adapter, modelId }: { shape: ModelShape; adapter: AdapterConfig; modelId: string | null },
  calibration: Calibration,
): TrainingCost {
  const { precision, baseWeights, gradientCheckpointing } = form;
  const [batch, context] = [form.batch!, form.context!];
  const config = trainConfigSchema.parse({
    adapter,
    batch,
    context,
    precision,
    gradientCheckpointing,
    // Full fine-tuning trains the base, which then is as it is stored.
    ...(adapter.method !== 'full' && quantizationOptions(baseWeights)),
  });
  const forecast = forecastTraining(
    { modelId: modelId ?? '', shape, config, rowTokens: context, line: null, steps: 1, heldOutRows: 0 },
    calibration,
  );
  return {
    forecast,
    fit: trainingFit(forecast, calibration),
    tokensPerSecond: (batch * context) / forecast.time.secondsPerStep,
  };
}

/**
 * All methods side by side at the same rank; without numbers where a field is wrong, which is said at the field.
 * @param machine what was measured on it, for memory and time; null: not known yet
 */
export function planColumns(
  form: PlanForm,
  shape: ModelShape,
  machine: { calibration: Calibration; modelId: string | null } | null = null,
): PlanColumn[] {
  return methods.map((method) => {
    const adapter = planAdapter(form, method);
    if (!adapter) return { method, found: null, problem: null };
    try {
      const count = countParameters(shape, adapter);
      const training =
        machine && trainingCost(form, { shape, adapter, modelId: machine.modelId }, machine.calibration);
      const [work, bounds] = [extraWork(shape, adapter), rankBounds(shape, adapter)];
      return { method, found: { count, work, bounds, training }, problem: null };
    } catch (error) {
      return { method, found: null, problem: toPlainError(error) };
    }
  });
}

/** Each method along the rank; those that are impossible with these options, and full fine-tuning, have none. */
export function rankCurves(form: PlanForm, shape: ModelShape): { method: Method; points: RankPoint[] }[] {
  return methods.flatMap((method) => {
    const adapter = planAdapter({ ...form, rank: 1 }, method);
    if (!adapter) return [];
    try {
      const points = rankCurve(shape, adapter);
      return points.length > 0 ? [{ method, points }] : [];
    } catch (error) {
      if (error instanceof StudioError) return [];
      throw error;
    }
  });
}
