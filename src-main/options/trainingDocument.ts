import { limitText } from './optionText.ts';
import { methods, targetModules, type OptimizerName, type TrainConfig } from '../contract/training.ts';
import { contradictingBase } from './checkOptions.ts';
import {
  baseSwitches,
  flatten,
  mattering,
  optionDeclarations,
  optionDefaults,
  optionNames,
  optionSchema,
  type FlatConfig,
  type OptionName,
} from './trainingOptions.ts';

/**
 * A run's configuration as a document with the keys of PEFT and transformers: what a YAML file holds. An
 * adapter_config.json is such a document, too.
 */
export type TrainingDocument = Record<string, unknown>;

/** What a document says besides the options. */
export interface DocumentNames {
  run?: string;
  model?: string;
  dataset?: string;
}

export interface ReadDocument {
  /** Values of the options that the document names; each is within its own limits. */
  options: Partial<Record<OptionName, unknown>>;
  /** The way to keep the base that it turns off, without saying anything of the other one. */
  switchedOff: unknown;
  names: DocumentNames;
  /** Keys with a value that nothing here reads. */
  ignored: string[];
  /** What is wrong, with key, value and limit: nothing should be taken from the document then. */
  problems: string[];
}

const nameKeys = {
  run: ['run_name'],
  model: ['model_name_or_path', 'base_model_name_or_path', 'model'],
  dataset: ['dataset_name', 'dataset', 'data'],
} as const;

/** transformers' names of the optimizers: the first is written, all are read. */
const optimizerKeys: Readonly<Record<OptimizerName, readonly string[]>> = {
  adamw: ['adamw_torch', 'adamw', 'adamw_torch_fused', 'adamw_hf'],
  adamw8bit: ['adamw_8bit', 'adamw8bit', 'adamw_bnb_8bit'],
  sgd: ['sgd'],
};

/** Other names under which files have an option. */
const aliases: Readonly<Record<string, OptionName>> = {
  max_seq_length: 'context',
  max_seq_len: 'context',
  num_epochs: 'epochs',
};

/** The options of `lr_scheduler_kwargs`, by schedule; `lr_end` and `min_lr` are rates, not shares. */
const schedulerKeys: Readonly<Record<string, OptionName>> = {
  min_lr_rate: 'minLearningRateRatio',
  min_lr_ratio: 'minLearningRateRatio',
  num_decay_steps: 'decaySteps',
  power: 'polynomialPower',
};

/** The document of a configuration: every option that matters, and no other. */
export function writeDocument(config: TrainConfig, names: DocumentNames = {}): TrainingDocument {
  const flat = flatten(config);
  const document: TrainingDocument = {};
  for (const part of ['run', 'model', 'dataset'] as const)
    if (names[part] !== undefined) document[nameKeys[part][0]] = names[part];
  for (const name of mattering(flat)) {
    const [key, value] = written(name, flat);
    if (name === 'baseWeights')
      for (const { key: own, chosen } of baseSwitches) document[own] = flat.baseWeights === chosen;
    else if (!inSchedulerOptions(name)) document[key] = value;
    else if (value !== null)
      document['lr_scheduler_kwargs'] = { ...(document['lr_scheduler_kwargs'] as object), [key]: value };
  }
  return document;
}

function inSchedulerOptions(name: OptionName): boolean {
  return Object.values(schedulerKeys).includes(name);
}

function written(name: OptionName, flat: FlatConfig): [key: string, value: unknown] {
  switch (name) {
    case 'precision':
      return ['bf16', flat.precision === 'bf16'];
    case 'optimizer':
      return ['optim', optimizerKeys[flat.optimizer][0]];
    case 'maxSteps':
      return ['max_steps', flat.maxSteps ?? -1];
    case 'minLearningRateRatio':
      if (flat.schedule === 'cosine_with_min_lr') return ['min_lr_rate', flat.minLearningRateRatio];
      if (flat.schedule !== 'polynomial') return ['min_lr_ratio', flat.minLearningRateRatio];
      return ['lr_end', flat.minLearningRateRatio && tidy(flat.minLearningRateRatio * flat.learningRate)];
    case 'samples': {
      const { samples } = flat;
      const { prompts, every, maxTokens } = samples ?? {};
      return ['samples', samples && { prompts, every, max_tokens: maxTokens }];
    }
    default:
      return [optionDeclarations[name].key, flat[name]];
  }
}

/** How many options a document says something of. */
export function valuesIn({ options, switchedOff }: ReadDocument): number {
  return Object.keys(options).length + (switchedOff === undefined ? 0 : 1);
}

/** The options of a document over others, which hold where it says nothing. */
export function optionsOver(
  below: ReadDocument['options'],
  { options, switchedOff }: ReadDocument,
): ReadDocument['options'] {
  const isOff = switchedOff !== undefined && switchedOff === below.baseWeights;
  return { ...below, ...(isOff && { baseWeights: 'none' }), ...options };
}

/** Reads a document; keys that mean nothing here are listed, values out of range named with their limit. */
export function readDocument(raw: unknown): ReadDocument {
  const read: ReadDocument = { options: {}, switchedOff: undefined, names: {}, ignored: [], problems: [] };
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    read.problems.push('The document is no list of keys with values, such as “r: 16”.');
    return read;
  }
  const document = new Map(Object.entries(raw));
  readNames(document, read);
  readMethod(document, read);
  readScheduler(document, read);
  readBase(document, read);
  // Whoever names passes over the data means them, unless a number of steps stands beside.
  if (document.has('num_train_epochs') || document.has('num_epochs')) read.options.maxSteps = null;
  for (const [key, value] of document) {
    const name = optionOfKey(key);
    if (name === null) {
      if (!saysNothing(value)) read.ignored.push(key);
    } else take(read, name, key, normal(name, key, value));
  }
  return read;
}

function optionOfKey(key: string): OptionName | null {
  if (key === 'bf16') return 'precision';
  if (Object.hasOwn(aliases, key)) return aliases[key]!;
  return optionNames.find((name) => optionDeclarations[name].key === key) ?? null;
}

/** Keys that are there without saying anything, as PEFT writes many. */
function saysNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** A value as the contract has it. */
function normal(name: OptionName, key: string, value: unknown): unknown {
  switch (name) {
    case 'precision':
      return key === 'bf16' && typeof value === 'boolean' ? (value ? 'bf16' : 'f32') : value;
    case 'optimizer': {
      const known = Object.entries(optimizerKeys).find(([, keys]) => keys.includes(String(value)));
      return known?.[0] ?? value;
    }
    case 'maxSteps':
      return value === -1 ? null : value;
    case 'clipNorm':
      return value === 0 ? null : value;
    case 'targets':
      return value === 'all-linear' || value === 'all' ? [...targetModules] : value;
    case 'layers': {
      const layers = typeof value === 'number' ? [value] : value;
      return Array.isArray(layers) && layers.length === 0 ? null : layers;
    }
    case 'rankPattern':
    case 'alphaPattern':
      return value ?? {};
    case 'samples': {
      if (typeof value !== 'object' || value === null || !('max_tokens' in value)) return value;
      const { max_tokens: maxTokens, ...rest } = value;
      return { ...rest, maxTokens };
    }
    default:
      return value;
  }
}

function take(read: ReadDocument, name: OptionName, key: string, value: unknown): void {
  const parsed = optionSchema(name).safeParse(value);
  if (parsed.success) read.options[name] = parsed.data;
  else {
    const issue = parsed.error.issues[0]!;
    const inner = issue.path.reduce<unknown>(
      (at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part],
      value,
    );
    const path = [key, ...issue.path.map(String)].join('.');
    const limit = limitText(issue);
    read.problems.push(`${path}: ${shown(inner)} is not possible. ${limit}`);
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? 'nothing' : text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function readNames(document: Map<string, unknown>, read: ReadDocument): void {
  for (const part of ['run', 'model', 'dataset'] as const)
    for (const key of nameKeys[part]) {
      const value = document.get(key);
      if (typeof value !== 'string') continue;
      document.delete(key);
      if (value !== '') read.names[part] ??= value;
    }
}

/** `method`, or what adapter_config.json says with `peft_type` and `use_dora`. */
function readMethod(document: Map<string, unknown>, read: ReadDocument): void {
  const type = document.get('peft_type');
  const isDora = document.get('use_dora') === true;
  document.delete('use_dora');
  if (typeof type === 'string') {
    document.delete('peft_type');
    const name = type === 'LORA' && isDora ? 'dora' : type.toLowerCase();
    if ((methods as readonly string[]).includes(name) && name !== 'full') read.options.method = name;
    else
      read.problems.push(
        `peft_type: ${shown(type)} is not possible. One of ${methods
          .filter((method) => method !== 'full' && method !== 'dora')
          .map((method) => method.toUpperCase())
          .join(', ')}.`,
      );
  } else if (isDora && document.get('method') === undefined) read.options.method = 'dora';
}

/** How the base's weights are kept, which files say in two switches. */
function readBase(document: Map<string, unknown>, read: ReadDocument): void {
  const off: unknown[] = [];
  for (const { key, chosen } of baseSwitches) {
    const value = document.get(key);
    document.delete(key);
    if (value === undefined || value === null) continue;
    if (typeof value !== 'boolean')
      read.problems.push(`${key}: ${shown(value)} is not possible. true or false.`);
    else if (!value) off.push(chosen);
    else if (read.options.baseWeights !== undefined) read.problems.push(contradictingBase().message);
    else read.options.baseWeights = chosen;
  }
  if (off.length === baseSwitches.length) read.options.baseWeights = 'none';
  else if (read.options.baseWeights === undefined) read.switchedOff = off[0];
}

/** The options of the schedule, and its lowest rate, which transformers has as a rate or as a share of the peak. */
function readScheduler(document: Map<string, unknown>, read: ReadDocument): void {
  // What a schedule does not say about itself is as usual.
  if (document.has('lr_scheduler_type'))
    for (const name of Object.values(schedulerKeys)) read.options[name] = optionDefaults[name];
  const inner = document.get('lr_scheduler_kwargs');
  if (typeof inner !== 'object' || inner === null) return;
  document.delete('lr_scheduler_kwargs');
  for (const [key, value] of Object.entries(inner)) {
    const path = `lr_scheduler_kwargs.${key}`;
    if (Object.hasOwn(schedulerKeys, key)) take(read, schedulerKeys[key]!, path, value);
    else if ((key === 'lr_end' || key === 'min_lr') && typeof value === 'number') {
      const peak = document.get('learning_rate');
      if (typeof peak === 'number' && peak > 0)
        take(read, 'minLearningRateRatio', path, tidy(value / peak, 12));
      else read.problems.push(`${path}: ${shown(value)} says nothing without a learning_rate.`);
    } else if (!saysNothing(value)) read.ignored.push(path);
  }
}

/** Without the last digits, which a multiplication and a division would leave wrong. */
function tidy(value: number, digits = 15): number {
  return Number(value.toPrecision(digits));
}
