import { linearModules, presets, type ModelShape, modelShape } from '../../../src-main/shape/modelShape.ts';
import {
  readShape,
  sizeNames,
  type ReadShape,
  type SizeKey,
} from '../../../src-main/formats/families/readShape.ts';
import { modelTargets } from '../../../src-main/shape/targets.ts';
import type { Model } from '../../../src-main/contract/entities.ts';
import { StudioError } from '../../../src-main/contract/errors.ts';
import {
  gateSchema,
  methods,
  precisionSchema,
  quantizationSchema,
  routerKindSchema,
  targetModuleSchema,
  targetModules,
  type Gate,
  type Method,
  type Precision,
  type Quantization,
  type RouterKind,
  type TargetModule,
} from '../../../src-main/contract/training.ts';
import { fillStored } from '../../state/stored.svelte.ts';

/** What the calculator is set to; an empty number box is null. */
export interface PlanForm {
  /** A preset's name, `model ID` for one of the library, or `config` for a pasted config.json. */
  model: string;
  /** The text of a config.json. */
  config: string;
  /** Sizes that it lacks. */
  given: Record<SizeKey, number | null>;
  method: Method;
  rank: number | null;
  targets: TargetModule[];
  /** As people type it: 0-7,12; empty: all. */
  layers: string;
  rankPattern: string;
  clusters: number | null;
  boost: number | null;
  router: RouterKind;
  heads: number | null;
  experts: number | null;
  gate: Gate;
  tasks: number | null;
  /** The training whose memory and time are foreseen. */
  batch: number | null;
  context: number | null;
  precision: Precision;
  baseWeights: Quantization;
  gradientCheckpointing: boolean;
}

type NumberKey = 'rank' | 'clusters' | 'boost' | 'heads' | 'experts' | 'tasks' | 'batch' | 'context';

/** The settings of the paper (sections 4.1 and 4.2) at a small rank. */
const first: Readonly<Omit<PlanForm, 'given'>> = {
  model: 'llama-3-8b',
  config: '',
  method: 'idlora',
  rank: 8,
  targets: [...targetModules],
  layers: '',
  rankPattern: '',
  clusters: 4,
  boost: 2,
  router: 'input',
  heads: 3,
  experts: 4,
  gate: 'token',
  tasks: 1,
  batch: 4,
  context: 512,
  precision: 'bf16',
  baseWeights: 'none',
  gradientCheckpointing: false,
};

/** What was stored, as far as it is of the right kind. */
export function restorePlan(saved: Partial<Record<keyof PlanForm, unknown>>): PlanForm {
  const number = (key: NumberKey) => (typeof saved[key] === 'number' ? saved[key] : first[key]);
  const text = (key: 'model' | 'config' | 'layers' | 'rankPattern') =>
    typeof saved[key] === 'string' ? saved[key] : first[key];
  const targets: unknown[] = Array.isArray(saved.targets) ? saved.targets : first.targets;
  const given = (typeof saved.given === 'object' && saved.given) || {};
  const sizes = Object.keys(sizeNames).map((key) => {
    const value = (given as Record<string, unknown>)[key];
    return [key, typeof value === 'number' ? value : null] as const;
  });
  return {
    model: text('model'),
    config: text('config'),
    given: Object.fromEntries(sizes) as PlanForm['given'],
    method: methods.find((method) => method === saved.method) ?? first.method,
    rank: number('rank'),
    targets: targetModuleSchema.options.filter((module) => targets.includes(module)),
    layers: text('layers'),
    rankPattern: text('rankPattern'),
    clusters: number('clusters'),
    boost: number('boost'),
    router: routerKindSchema.safeParse(saved.router).data ?? first.router,
    heads: number('heads'),
    experts: number('experts'),
    gate: gateSchema.safeParse(saved.gate).data ?? first.gate,
    tasks: number('tasks'),
    batch: number('batch'),
    context: number('context'),
    precision: precisionSchema.safeParse(saved.precision).data ?? first.precision,
    baseWeights: quantizationSchema.safeParse(saved.baseWeights).data ?? first.baseWeights,
    gradientCheckpointing: saved.gradientCheckpointing === true,
  };
}

export const planKey = 'studio.plan';

/** Puts values into the calculator's form before it is opened; what is not given stays as it was. */
export function fillPlanForm(values: Partial<PlanForm>): void {
  fillStored<PlanForm>(planKey, restorePlan, values);
}

/** The model that is planned for. */
export interface PlanModel {
  /** Null where it is unknown so far. */
  shape: ModelShape | null;
  /** What was read of a pasted config.json; null for other models. */
  read: ReadShape | null;
  /** Why the pasted text is no config.json. */
  problem: string | undefined;
}

/** What a person calls the model that is planned for, where the library has none of it. */
export function planName({ model }: PlanForm): string {
  return model === 'config'
    ? 'the model of the config.json'
    : model.replace(/^model .*/, 'a model that is gone');
}

/** The chosen model's shape; null where it is no longer in the library, or its config.json does not tell all sizes. */
export function planModel(form: PlanForm, models: readonly Model[]): PlanModel {
  const known = (shape: ModelShape | null): PlanModel => ({ shape, read: null, problem: undefined });
  if (form.model !== 'config') {
    const model = models.find(({ id }) => form.model === `model ${id}`);
    return known(model ? modelShape(model) : (presets[form.model] ?? null));
  }
  if (form.config.trim() === '') return known(null);
  let parsed: unknown;
  try {
    parsed = JSON.parse(form.config);
  } catch (error) {
    return { ...known(null), problem: `This is not JSON: ${error instanceof Error ? error.message : ''}` };
  }
  const given = Object.fromEntries(
    Object.entries(form.given).filter(([, value]) => numberProblem(value) === undefined),
  );
  const read = readShape(parsed, given);
  return { shape: read.shape, read, problem: read.problems.join(' ') || undefined };
}

/** The chosen modules in the model's own names: q, k and v together are qkv_proj where they lie in one matrix. */
export function chosenModules(targets: readonly TargetModule[], shape: ModelShape | null): TargetModule[] {
  const has = shape ? linearModules(shape) : targetModules;
  let own = targets;
  try {
    if (shape) own = modelTargets(shape, targets);
  } catch (error) {
    if (!(error instanceof StudioError)) throw error;
  }
  return has.filter((module) => own.includes(module));
}

const largestNumber = 10_000_000;

/** What is wrong with a number of a form, before any method is asked. */
export function numberProblem(value: number | null, most = largestNumber): string | undefined {
  if (value === null) return 'Enter a number.';
  if (!Number.isInteger(value) || value < 1) return 'A whole number, at least 1.';
  return value > most ? `At most ${most.toLocaleString('en-US')}.` : undefined;
}
