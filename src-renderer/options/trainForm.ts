import {
  readLayers,
  readPaths,
  readPattern,
  layersText,
  patternText,
  type Read,
} from '../../src-main/options/optionText.ts';
import {
  quantizationOf,
  type AdapterConfig,
  type SamplesConfig,
  type TrainConfig,
} from '../../src-main/contract/training.ts';
import {
  baseSwitches,
  flatten,
  matters,
  nest,
  optionDeclarations,
  optionDefaults,
  optionNames,
  optionSchema,
  type DecidingOptions,
  type FlatConfig,
  type OptionName,
} from '../../src-main/options/trainingOptions.ts';

/** Prompts of the form; none: nothing is asked during training. */
export interface SamplesForm {
  prompts: string[];
  every: number | null;
  maxTokens: number | null;
}

/** Options that people type as text. */
type TextOption = 'rankPattern' | 'alphaPattern' | 'layers' | 'paths' | 'templateSource' | 'system';

/** An option as the form has it; an empty number box is null. */
type FormValue<K extends OptionName> = K extends TextOption
  ? string
  : K extends 'samples'
    ? SamplesForm
    : number extends FlatConfig[K]
      ? number | null
      : FlatConfig[K];

export type FormOptions = { [K in OptionName]: FormValue<K> };

/** What stands in the form: what is trained on what, and every option of the contract by its name there. */
export interface TrainForm extends FormOptions {
  name: string;
  modelId: string | null;
  datasetId: string | null;
  /** Which of epochs and maxSteps counts. */
  length: 'epochs' | 'steps';
}

/**
 * How long a run of the form is until somebody says otherwise: long enough to see the loss fall, short enough to wait
 * for.
 */
const firstSteps = 200;
const firstEvalEvery = 50;

export const defaultForm: Readonly<TrainForm> = {
  ...formOptions(optionDefaults),
  name: '',
  modelId: null,
  datasetId: null,
  method: 'idlora',
  length: 'steps',
  maxSteps: firstSteps,
  evalEvery: firstEvalEvery,
};

/** A fresh copy of a form: its lists are its own. */
export function copyForm(form: Readonly<TrainForm>): TrainForm {
  return JSON.parse(JSON.stringify(form)) as TrainForm;
}

/** A value of the contract as the form has it. */
export function formValue(name: OptionName, value: unknown): unknown {
  switch (name) {
    case 'layers':
      return value === null ? '' : layersText(value as readonly number[]);
    case 'paths':
      return value === null ? '' : (value as readonly string[]).join('\n');
    case 'rankPattern':
    case 'alphaPattern':
      return patternText(value as Record<string, number>, '\n');
    case 'templateSource':
    case 'system':
      return value ?? '';
    case 'samples': {
      const { prompts = [], every = 0, maxTokens = 64 } = (value ?? {}) as Partial<SamplesConfig>;
      return { prompts: [...prompts], every, maxTokens };
    }
    default:
      return Array.isArray(value) ? [...(value as unknown[])] : value;
  }
}

/** The options of a configuration as the form has them. */
function formOptions(flat: Readonly<FlatConfig>): FormOptions {
  return Object.fromEntries(optionNames.map((name) => [name, formValue(name, flat[name])])) as FormOptions;
}

/** Puts a configuration into the form, in place of every option that it has; model, data and name stay. */
export function takeConfig(form: TrainForm, config: TrainConfig): void {
  const { maxSteps, epochs, ...rest } = formOptions(flatten(config));
  Object.assign(form, rest);
  form.length = maxSteps === null ? 'epochs' : 'steps';
  if (maxSteps === null) form.epochs = epochs;
  else form.maxSteps = maxSteps;
}

/** Puts some options of a configuration into the form, none of which people type as text. */
export function takeChanges(
  form: TrainForm,
  {
    adapter,
    loadIn8bit,
    loadIn4bit,
    ...run
  }: Partial<Omit<TrainConfig, 'adapter'>> & {
    adapter?: Partial<AdapterConfig>;
  },
): void {
  Object.assign(form, run, adapter);
  if (loadIn8bit !== undefined && loadIn4bit !== undefined)
    form.baseWeights = quantizationOf({ loadIn8bit, loadIn4bit });
}

/** The same of the adapter's options and of how its base is kept. */
export function takeAdapter(form: TrainForm, { adapter, loadIn8bit, loadIn4bit }: TrainConfig): void {
  form.baseWeights = quantizationOf({ loadIn8bit, loadIn4bit });
  const entries = Object.entries(adapter) as [keyof AdapterConfig, unknown][];
  Object.assign(form, Object.fromEntries(entries.map(([name, value]) => [name, formValue(name, value)])));
}

/** What was stored, as far as it is of the right kind: a form of an older version must not break the page. */
export function restoreForm(saved: Partial<Record<string, unknown>>): TrainForm {
  const form = copyForm(defaultForm);
  if (typeof saved['name'] === 'string') form.name = saved['name'];
  if (saved['length'] === 'epochs' || saved['length'] === 'steps') form.length = saved['length'];
  for (const key of ['modelId', 'datasetId'] as const) {
    const id = saved[key];
    if (typeof id === 'string') form[key] = id;
  }
  // Earlier versions had two switches.
  const switched = baseSwitches.find((one) => saved[one.name] === true);
  if (switched) form.baseWeights = switched.chosen;
  for (const name of optionNames)
    if (isRestorable(name, saved[name])) Object.assign(form, { [name]: saved[name] });
  return form;
}

function isRestorable(name: OptionName, value: unknown): boolean {
  switch (optionDeclarations[name].kind) {
    case 'number':
      return value === null || typeof value === 'number';
    case 'layers':
    case 'paths':
    case 'pattern':
    case 'text':
      return typeof value === 'string';
    case 'samples':
      return isSamplesForm(value);
    case 'modules':
      // No module at all is a state of the form, too.
      return Array.isArray(value) && (value.length === 0 || optionSchema(name).safeParse(value).success);
    default:
      return value !== undefined && optionSchema(name).safeParse(value).success;
  }
}

function isSamplesForm(value: unknown): value is SamplesForm {
  if (typeof value !== 'object' || value === null) return false;
  const { prompts, every, maxTokens } = value as Partial<Record<keyof SamplesForm, unknown>>;
  return (
    Array.isArray(prompts) &&
    prompts.every((prompt) => typeof prompt === 'string') &&
    [every, maxTokens].every((number) => number === null || typeof number === 'number')
  );
}

/** The options that decide whether others matter. */
function deciding(form: Readonly<TrainForm>): DecidingOptions {
  const { method, router, gate, optimizer, schedule, template, precision, heldOutFraction, heldOutRows } =
    form;
  return {
    method,
    router,
    gate,
    optimizer,
    schedule,
    template,
    precision,
    heldOutFraction,
    heldOutRows,
    maxSteps: form.length === 'steps' ? (form.maxSteps ?? firstSteps) : null,
  };
}

/** Whether an option is shown: it matters beside the others. */
export function isShown(name: OptionName, form: Readonly<TrainForm>): boolean {
  // Where it was chosen and the method cannot have it, its refusal needs a place.
  if (name === 'baseWeights' && form.baseWeights !== 'none') return true;
  if (name === 'maxSteps') return form.length === 'steps';
  return matters(name, deciding(form));
}

/** The options that are shown, in the order of the contract. */
export function shownOptions(form: Readonly<TrainForm>): OptionName[] {
  return optionNames.filter((name) => isShown(name, form));
}

/** The options that matter as the contract has them, and which of the texts cannot be read. */
export function readForm(form: Readonly<TrainForm>): {
  options: Partial<Record<OptionName, unknown>>;
  problems: Partial<Record<OptionName, string>>;
} {
  const options: Partial<Record<OptionName, unknown>> = {};
  const problems: Partial<Record<OptionName, string>> = {};
  const take = (name: OptionName, read: Read<unknown>) => {
    if ('problem' in read) problems[name] = read.problem;
    else options[name] = read.value;
  };
  const prompts = form.samples.prompts.filter((prompt) => prompt !== '');
  for (const name of shownOptions(form))
    switch (name) {
      case 'layers':
        take(name, form.layers.trim() === '' ? { value: null } : readLayers(form.layers));
        break;
      case 'paths':
        options.paths = form.paths.trim() === '' ? null : readPaths(form.paths);
        break;
      case 'rankPattern':
      case 'alphaPattern':
        take(name, readPattern(form[name]));
        break;
      case 'templateSource':
      case 'system':
        options[name] = form[name].trim() === '' ? null : form[name];
        break;
      case 'samples':
        // A prompt that is not written yet is not asked.
        options.samples = prompts.length === 0 ? null : { ...form.samples, prompts };
        break;
      default:
        options[name] = form[name];
    }
  return { options, problems };
}

/** The contract's form of the values; values out of range are left to the schema. */
export function configInput(options: Partial<Record<OptionName, unknown>>): {
  adapter: Record<string, unknown>;
} {
  const { adapter, ...run } = nest(options);
  // Full fine-tuning has no adapter: rank and alpha stand as 1.
  return { adapter: { rank: 1, alpha: 1, ...adapter }, ...run };
}
