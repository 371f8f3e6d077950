import { checkTraining } from '../../../src-main/budget/check.ts';
import { countParameters, type ParameterCount } from '../../../src-main/budget/count.ts';
import type { Dataset, Model, Run } from '../../../src-main/contract/entities.ts';
import { StudioError } from '../../../src-main/contract/errors.ts';
import {
  methods,
  targetModules,
  trainConfigSchema,
  type Method,
  type Optimizer,
  type PivotStrategy,
  type Precision,
  type RouterKind,
  type Schedule,
  type TargetModule,
  type TrainConfig,
} from '../../../src-main/contract/training.ts';
import { modelShape } from './modelShape.ts';

/** What stands in the form; an empty number box is null. */
export interface TrainForm {
  name: string;
  modelId: string | null;
  datasetId: string | null;
  method: Method;
  rank: number | null;
  alpha: number | null;
  dropout: number | null;
  targets: TargetModule[];
  clusters: number | null;
  boost: number | null;
  heads: number | null;
  experts: number | null;
  pivots: PivotStrategy;
  router: RouterKind;
  length: 'epochs' | 'steps';
  epochs: number | null;
  maxSteps: number | null;
  learningRate: number | null;
  schedule: Schedule;
  warmupSteps: number | null;
  batch: number | null;
  accumulate: number | null;
  context: number | null;
  seed: number | null;
  precision: Precision;
  weightDecay: number | null;
  rankStabilized: boolean;
  gradientCheckpointing: boolean;
  packing: boolean;
  optimizer: Optimizer;
  heldOutPercent: number | null;
  evalEvery: number | null;
  checkpointEvery: number | null;
}

export const defaultForm: Readonly<TrainForm> = {
  name: '',
  modelId: null,
  datasetId: null,
  method: 'idlora',
  rank: 8,
  alpha: 16,
  dropout: 0,
  targets: [...targetModules],
  clusters: 4,
  boost: 2,
  heads: 3,
  experts: 4,
  pivots: 'pmrc',
  router: 'input',
  length: 'steps',
  epochs: 1,
  maxSteps: 200,
  learningRate: 2e-4,
  schedule: 'linear',
  warmupSteps: 0,
  batch: 4,
  accumulate: 1,
  context: 256,
  seed: 0,
  precision: 'f32',
  weightDecay: 0,
  rankStabilized: false,
  gradientCheckpointing: false,
  packing: false,
  optimizer: 'adamw',
  heldOutPercent: 2,
  evalEvery: 50,
  checkpointEvery: 50,
};

/** What was stored, as far as it is of the right kind: a form of an older version must not break the page. */
export function restoreForm(saved: Partial<Record<string, unknown>>): TrainForm {
  const form: Record<string, unknown> = { ...defaultForm, targets: [...defaultForm.targets] };
  for (const [key, fallback] of Object.entries(defaultForm)) {
    const value = saved[key];
    if (value === undefined) continue;
    const isNumber = typeof fallback === 'number' && (value === null || typeof value === 'number');
    if (isNumber || typeof value === typeof fallback || (fallback === null && typeof value === 'string'))
      form[key] = value;
  }
  const restored = form as unknown as TrainForm;
  const known = Array.isArray(restored.targets) ? restored.targets : [...targetModules];
  restored.targets = targetModules.filter((module) => known.includes(module));
  if (!methods.includes(restored.method)) restored.method = defaultForm.method;
  return restored;
}

/** Fields of the advanced part. */
const advancedFields = [
  'schedule',
  'warmupSteps',
  'accumulate',
  'precision',
  'weightDecay',
  'optimizer',
  'rankStabilized',
  'gradientCheckpointing',
  'packing',
  'dropout',
  'heldOutPercent',
  'evalEvery',
  'checkpointEvery',
  'pivots',
  'router',
] as const satisfies readonly (keyof TrainForm)[];

/** How many advanced values differ from their defaults. */
export function changedAdvanced(form: TrainForm): number {
  return advancedFields.filter((field) => form[field] !== defaultForm[field]).length;
}

export type FormField = keyof TrainForm | 'form';

export interface FormCheck {
  /** Null while something is wrong or missing. */
  config: TrainConfig | null;
  /** Per field, what is wrong with its value. */
  problems: Partial<Record<FormField, string>>;
  /** What keeps it from starting, in the order of the form. */
  missing: string[];
  count: ParameterCount | null;
  /** Optimiser steps, where they can be known. */
  steps: number | null;
  /** Rows that are trained on, after those held out. */
  trainRows: number | null;
  runName: string;
}

const configFields: Readonly<Record<string, FormField>> = {
  heldOutFraction: 'heldOutPercent',
  adapter: 'form',
};

/** Checks the form against the contract, the model and the library, as the core will. */
export function checkForm(
  form: TrainForm,
  library: { models: readonly Model[]; datasets: readonly Dataset[]; runs: readonly Run[] },
): FormCheck {
  const model = library.models.find(({ id }) => id === form.modelId) ?? null;
  const dataset = library.datasets.find(({ id }) => id === form.datasetId) ?? null;
  const runName = form.name.trim() || suggestName(form, library.runs);
  const problems: FormCheck['problems'] = {};
  const missing: string[] = [];
  if (!model) missing.push('Choose a model');
  else if (model.unusable) missing.push(`Choose another model: ${model.unusable.message}`);
  if (!dataset) missing.push('Choose a dataset');
  if (library.runs.some(({ name }) => name === runName))
    problems.name = `There is already a run “${runName}”.`;
  if (form.method !== 'full' && form.targets.length === 0) problems.targets = 'Choose at least one module.';

  const parsed = trainConfigSchema.safeParse(toConfig(form));
  if (!parsed.success)
    for (const { path, message } of parsed.error.issues) {
      const key = String((path[0] === 'adapter' ? path[1] : path[0]) ?? 'form');
      const field = (configFields[key] ?? key) as FormField;
      problems[field] ??= form[field as keyof TrainForm] === null ? 'Enter a number.' : message;
    }
  if (form.length === 'steps' && form.maxSteps === null) problems.maxSteps = 'Enter a number.';
  if (model && form.context !== null && form.context > model.contextLength)
    problems.context = `${model.name} has a context of ${model.contextLength} tokens.`;

  let count: ParameterCount | null = null;
  if (model && parsed.success && problems.targets === undefined)
    try {
      checkTraining(modelShape(model), parsed.data);
      count = countParameters(modelShape(model), parsed.data.adapter);
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      problems.rank = `${error.message} ${error.remedy}`;
    }

  const trainRows = dataset && dataset.rows - heldOutRows(dataset.rows, (form.heldOutPercent ?? 0) / 100);
  const steps = parsed.success ? stepCount(parsed.data, trainRows) : null;
  const wrong = Object.keys(problems).length;
  if (wrong > 0)
    missing.push(wrong === 1 ? 'Correct the marked value' : `Correct the ${wrong} marked values`);
  return {
    config: missing.length === 0 && parsed.success ? parsed.data : null,
    problems,
    missing,
    count,
    steps,
    trainRows,
    runName,
  };
}

/** Optimiser steps; null where rows are packed, as their tokens decide how many packs there are, or where there are none. */
function stepCount(config: TrainConfig, trainRows: number | null): number | null {
  const { maxSteps, epochs, batch, accumulate, packing } = config;
  if (maxSteps !== null) return maxSteps;
  if (packing || trainRows === null) return null;
  return Math.max(1, Math.ceil(epochs * Math.ceil(trainRows / (batch * accumulate))));
}

/** As the core splits: at least one row stays for training. */
function heldOutRows(rows: number, fraction: number): number {
  return Math.min(rows - 1, Math.round(rows * fraction));
}

/** The contract's form of the values; null where a box is empty, which the schema then names. */
function toConfig(form: TrainForm): unknown {
  const { method, rank, alpha, dropout, clusters, boost, pivots, router, heads, experts } = form;
  return {
    // Full fine-tuning has no adapter: what its options say belongs to the other methods.
    adapter:
      method === 'full'
        ? { method, rank: 1, alpha: 1 }
        : {
            ...{ method, rank, alpha, dropout, clusters, boost, pivots, router, heads, experts },
            targets: form.targets,
            rankStabilized: form.rankStabilized,
          },
    learningRate: form.learningRate,
    schedule: form.schedule,
    warmupSteps: form.warmupSteps,
    epochs: form.length === 'epochs' ? form.epochs : 1,
    maxSteps: form.length === 'steps' ? form.maxSteps : null,
    batch: form.batch,
    accumulate: form.accumulate,
    context: form.context,
    seed: form.seed,
    precision: form.precision,
    weightDecay: form.weightDecay,
    optimizer: form.optimizer,
    gradientCheckpointing: form.gradientCheckpointing,
    packing: form.packing,
    heldOutFraction: form.heldOutPercent === null ? null : form.heldOutPercent / 100,
    evalEvery: form.evalEvery,
    checkpointEvery: form.checkpointEvery,
  };
}

/** A free name that says what the run is. */
export function suggestName(form: Pick<TrainForm, 'method' | 'rank'>, runs: readonly Run[]): string {
  const wish = form.method === 'full' ? 'full' : `${form.method}-r${form.rank ?? 0}`;
  if (!runs.some(({ name }) => name === wish)) return wish;
  for (let n = 2; ; n++) if (!runs.some(({ name }) => name === `${wish}-${n}`)) return `${wish}-${n}`;
}

/** The command line that does what the form will do. */
export function commandLine(
  config: TrainConfig,
  names: { run: string; model: string; dataset: string },
): string {
  const { adapter } = config;
  const options: [string, string | number][] = [
    ['model', names.model],
    ['data', names.dataset],
    ['method', adapter.method],
    ...(adapter.method === 'full'
      ? []
      : ([
          ['rank', adapter.rank],
          ['alpha', adapter.alpha],
          ['dropout', adapter.dropout],
          ['targets', adapter.targets.join(',')],
        ] satisfies [string, string | number][])),
    ...(adapter.rankStabilized ? ([['rslora', 'true']] satisfies [string, string][]) : []),
    ...(adapter.method === 'hydralora' ? ([['heads', adapter.heads]] satisfies [string, number][]) : []),
    ...(adapter.method === 'moelora' ? ([['experts', adapter.experts]] satisfies [string, number][]) : []),
    ...(adapter.method === 'idlora'
      ? ([
          ['clusters', adapter.clusters],
          ['boost', adapter.boost],
          ['pivots', adapter.pivots],
          ['router', adapter.router],
        ] satisfies [string, string | number][])
      : []),
    ['lr', config.learningRate],
    ['schedule', config.schedule],
    ['warmup', config.warmupSteps],
    config.maxSteps === null ? ['epochs', config.epochs] : ['max-steps', config.maxSteps],
    ['batch', config.batch],
    ['accumulate', config.accumulate],
    ['context', config.context],
    ['seed', config.seed],
    ['precision', config.precision],
    ['weight-decay', config.weightDecay],
    ...(config.optimizer === 'adamw' ? [] : ([['optimizer', config.optimizer]] satisfies [string, string][])),
    ...(config.gradientCheckpointing
      ? ([['gradient-checkpointing', 'true']] satisfies [string, string][])
      : []),
    ...(config.packing ? ([['packing', 'true']] satisfies [string, string][]) : []),
    ['held-out', config.heldOutFraction],
    ['eval-every', config.evalEvery],
    ['checkpoint-every', config.checkpointEvery],
    ['name', names.run],
  ];
  const quoted = (value: string | number) =>
    /^[\w.,/+-]+$/.test(String(value)) ? String(value) : `'${String(value).replaceAll("'", `'\\''`)}'`;
  return `npm run -s studio -- train ${options.map(([name, value]) => `--${name} ${quoted(value)}`).join(' ')}`;
}
