import { presets, type ModelShape } from '../../../src-main/budget/modelShape.ts';
import { countParameters, type ParameterCount } from '../../../src-main/budget/count.ts';
import type { Model } from '../../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import {
  methods,
  routerKindSchema,
  targetModules,
  type Method,
  type RouterKind,
  type TargetModule,
} from '../../../src-main/contract/training.ts';
import { optionDefaults } from '../../../src-main/contract/trainingOptions.ts';
import { modelShape } from '../train/modelShape.ts';

/** What the calculator is set to; an empty number box is null. */
export interface PlanForm {
  /** A preset's name, or `model ID` for one of the library. */
  model: string;
  method: Method;
  rank: number | null;
  targets: TargetModule[];
  clusters: number | null;
  boost: number | null;
  router: RouterKind;
  heads: number | null;
  experts: number | null;
}

const first: Readonly<PlanForm> = {
  model: 'llama-3-8b',
  method: 'idlora',
  rank: 8,
  targets: [...targetModules],
  clusters: 4,
  boost: 2,
  router: 'input',
  heads: 3,
  experts: 4,
};

/** What was stored, as far as it is of the right kind. */
export function restorePlan(saved: Partial<Record<keyof PlanForm, unknown>>): PlanForm {
  const number = (key: 'rank' | 'clusters' | 'boost' | 'heads' | 'experts') =>
    typeof saved[key] === 'number' ? saved[key] : first[key];
  const targets = Array.isArray(saved.targets) ? saved.targets : first.targets;
  return {
    model: typeof saved.model === 'string' ? saved.model : first.model,
    method: methods.find((method) => method === saved.method) ?? first.method,
    rank: number('rank'),
    targets: targetModules.filter((module) => targets.includes(module)),
    clusters: number('clusters'),
    boost: number('boost'),
    router: routerKindSchema.safeParse(saved.router).data ?? first.router,
    heads: number('heads'),
    experts: number('experts'),
  };
}

/** The shape of the chosen model; null where it is no longer in the library. */
export function planShape(form: PlanForm, models: readonly Model[]): ModelShape | null {
  const model = models.find(({ id }) => form.model === `model ${id}`);
  if (model) return modelShape(model);
  return presets[form.model] ?? null;
}

export interface PlanColumn {
  method: Method;
  /** Null where the method is impossible with these values. */
  count: ParameterCount | null;
  problem: PlainError | null;
}

/** All methods side by side at the same rank; without counts where a number of the form is wrong, which is said at its field. */
export function planColumns(form: PlanForm, shape: ModelShape): PlanColumn[] {
  const { rank, clusters, boost, heads, experts } = form;
  if ([rank, clusters, boost, heads, experts].some((value) => numberProblem(value) !== undefined))
    return methods.map((method) => ({ method, count: null, problem: null }));
  return methods.map((method) => {
    try {
      const count = countParameters(shape, {
        ...optionDefaults,
        method,
        rank: form.rank ?? 0,
        targets: form.targets,
        clusters: form.clusters ?? 0,
        boost: form.boost ?? 0,
        router: form.router,
        heads: form.heads ?? 0,
        experts: form.experts ?? 0,
      });
      return { method, count, problem: null };
    } catch (error) {
      return { method, count: null, problem: toPlainError(error) };
    }
  });
}

/** What is wrong with a number of the form, before any method is asked. */
export function numberProblem(value: number | null): string | undefined {
  if (value === null) return 'Enter a number.';
  return Number.isInteger(value) && value >= 1 ? undefined : 'A whole number, at least 1.';
}
