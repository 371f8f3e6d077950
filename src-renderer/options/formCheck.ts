import { checkAdapter } from '../../src-main/options/checkAdapter.ts';
import { checkOptions } from '../../src-main/options/checkOptions.ts';
import { countParameters, type ParameterCount } from '../../src-main/budget/count.ts';
import { checkSchedule } from '../../src-main/options/schedule.ts';
import { heldOutCount, stepCount } from '../../src-main/options/lengths.ts';
import type { Model, Run } from '../../src-main/contract/entities.ts';
import { StudioError } from '../../src-main/contract/errors.ts';
import type { RowLayout } from '../../src-main/contract/forecast.ts';
import { isOptional, limitText, optionPath } from '../../src-main/options/optionText.ts';
import {
  adapterConfigSchema,
  trainConfigSchema,
  type AdapterConfig,
  type TrainConfig,
} from '../../src-main/contract/training.ts';
import { isAdapterOption, optionAt } from '../../src-main/options/trainingOptions.ts';
import { modelShape } from '../../src-main/shape/modelShape.ts';
import { valueText } from './fields.ts';
import { trainedData, type DataLibrary } from './trainedData.ts';
import { ownTargets } from './targets.ts';
import { configInput, readForm, type TrainForm } from './trainForm.ts';

export type FormField = keyof TrainForm;
export type Problems = Partial<Record<FormField, string>>;

export interface Library extends DataLibrary {
  models: readonly Model[];
  runs: readonly Run[];
}

/** One pass over a mix or over packed rows, as it was counted for a run. */
export interface PassCount {
  rows: number;
  heldOutRows: number;
  /** Of the whole run, exactly. */
  steps: number;
  /** How its rows are laid out; null: their tokens were not counted. */
  layout: RowLayout | null;
}

export interface FormCheck {
  /** Null while something is wrong or missing. */
  config: TrainConfig | null;
  /** The configuration as far as the form alone decides it, where every value is possible for itself. */
  draft: TrainConfig | null;
  /** Per field, what is wrong with its value. */
  problems: Problems;
  /** What keeps it from starting, in the order of the form. */
  missing: string[];
  count: ParameterCount | null;
  /** Optimizer steps, where they can be known. */
  steps: number | null;
  /** Rows that one pass trains on, after those held out; null: not chosen, or a mix that is not counted yet. */
  trainRows: number | null;
  /** Rows that are held out; likewise. */
  heldOutRows: number | null;
  runName: string;
}

/**
 * Checks the form against the contract, the model and the library, as the core will.
 * @param pass over the data that are chosen, where it was counted
 */
export function checkForm(
  form: Readonly<TrainForm>,
  library: Library,
  pass: PassCount | null = null,
): FormCheck {
  const model = library.models.find(({ id }) => id === form.modelId) ?? null;
  const data = trainedData(form.datasetId, library);
  const runName = form.name.trim() || suggestName(form, library.runs);
  const missing: string[] = [];
  if (!model) missing.push('Choose a model');
  else if (model.unusable) missing.push(`Choose another model: ${model.unusable.message}`);
  if (!data) missing.push('Choose a dataset');

  const { draft, adapter, problems } = readDraft(form, model);
  if (library.runs.some(({ name }) => name === runName))
    problems.name = `There is already a run “${runName}”.`;
  if (model && form.context !== null && form.context > model.contextLength)
    problems.context = `${model.name} has a context of ${model.contextLength} tokens.`;

  const rows = data?.rows ?? null;
  const ofDataset = rows === null ? null : heldOutCount(rows, form.heldOutFraction ?? 0);
  const heldOutRows = pass?.heldOutRows ?? ofDataset;
  const trainRows = pass?.rows ?? (rows === null ? null : rows - ofDataset!);
  const steps = draft && (pass?.steps ?? stepCount(draft, trainRows));
  const count = adapter && model ? checkOnModel(adapter, model, problems) : null;
  if (draft) checkTogether(draft, steps, problems);

  const wrong = Object.keys(problems).length;
  if (wrong > 0)
    missing.push(wrong === 1 ? 'Correct the marked value' : `Correct the ${wrong} marked values`);
  return {
    config: missing.length === 0 ? draft : null,
    draft,
    problems,
    missing,
    count,
    steps,
    trainRows,
    heldOutRows,
    runName,
  };
}

/** Each value for itself: what the schema says of it stands at its field. Null where one is impossible. */
function readDraft(
  form: Readonly<TrainForm>,
  model: Model | null,
): {
  draft: TrainConfig | null;
  adapter: AdapterConfig | null;
  problems: Problems;
} {
  // The model's own names of modules, so that command and file say what PEFT will find.
  const read = readForm({ ...form, targets: [...ownTargets(form.targets, model)] });
  const problems: Problems = { ...read.problems };
  if (form.length === 'steps' && form.maxSteps === null) problems.maxSteps = 'Enter a number.';
  const parsed = trainConfigSchema.safeParse(configInput(read.options));
  for (const issue of parsed.error?.issues ?? []) {
    const path = optionPath(issue.path);
    const field = optionAt(path);
    if (!field) continue;
    // Of a list only the place would follow, of a map the key that is meant.
    const inner = path.slice(isAdapterOption(field) ? 2 : 1).filter((part) => Number.isNaN(Number(part)));
    problems[field] ??=
      form[field] === null && !isOptional(field)
        ? 'Enter a number.'
        : [...inner, limitText(issue, (limit) => valueText(field, Number(limit)))].join(': ');
  }
  const wrong = Object.keys(problems);
  const adapter = adapterConfigSchema.safeParse(configInput(read.options).adapter);
  return {
    draft: parsed.success && wrong.length === 0 ? parsed.data : null,
    adapter: adapter.success && !wrong.some(isAdapterOption) ? adapter.data : null,
    problems,
  };
}

/** Parameters of an adapter that the model admits; otherwise what is wrong stands at its field. */
function checkOnModel(adapter: AdapterConfig, model: Model, problems: Problems): ParameterCount | null {
  const shape = modelShape(model);
  let count: ParameterCount | null = null;
  place(problems, 'rank', () => {
    checkAdapter(shape, adapter);
    count = countParameters(shape, adapter);
  });
  return count;
}

/** Options of the run against each other. */
function checkTogether(config: TrainConfig, steps: number | null, problems: Problems): void {
  place(problems, 'method', () => checkOptions(config));
  if (steps !== null) place(problems, 'schedule', () => checkSchedule(config, steps));
}

/**
 * Puts a refusal at the field of the option that it concerns.
 * @param otherwise where it concerns none
 */
function place(problems: Problems, otherwise: FormField, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof StudioError)) throw error;
    problems[(error.option && optionAt(error.option)) ?? otherwise] ??= `${error.message} ${error.remedy}`;
  }
}

/** A free name that says what the run is. */
function suggestName(
  form: Readonly<Pick<TrainForm, 'method' | 'rank'>>,
  runs: readonly Pick<Run, 'name'>[],
): string {
  const wish = form.method === 'full' ? 'full' : `${form.method}-r${form.rank ?? 0}`;
  const taken = new Set(runs.map(({ name }) => name));
  if (!taken.has(wish)) return wish;
  for (let n = 2; ; n++) if (!taken.has(`${wish}-${n}`)) return `${wish}-${n}`;
}
