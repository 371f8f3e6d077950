import { z } from 'zod';
import type { OptionPath } from '../contract/errors.ts';
import {
  adapterConfigSchema,
  quantizationOf,
  quantizationOptions,
  quantizationSchema,
  trainConfigSchema,
  type AdapterConfig,
  type ConfigPath,
  type Quantization,
  type TrainConfig,
} from '../contract/training.ts';

/**
 * Every option of a training run with its names: on the command line, in files (PEFT's LoraConfig and
 * adapter_config.json, transformers' TrainingArguments), and whether it matters beside the others. Form, command line,
 * files and comparisons of runs all read this table.
 */

/** The two switches that say how the base's weights are kept: one option here, which cannot contradict itself. */
export type BaseSwitch = 'loadIn8bit' | 'loadIn4bit';
type RunOptions = Omit<TrainConfig, 'adapter' | BaseSwitch> & { baseWeights: Quantization };

/** An adapter's options and a run's, side by side: no two have the same name. */
export type FlatConfig = AdapterConfig & RunOptions;
export type OptionName = keyof FlatConfig;
/** Those of the run. */
export type RunOptionName = keyof RunOptions;

/** How an option is written as text. */
export type OptionKind =
  'number' | 'choice' | 'switch' | 'text' | 'modules' | 'layers' | 'paths' | 'pattern' | 'samples';

/** The options that decide whether others matter; null: not known yet. */
export interface DecidingOptions extends Pick<
  FlatConfig,
  'method' | 'router' | 'gate' | 'optimizer' | 'schedule' | 'maxSteps' | 'template' | 'precision'
> {
  heldOutFraction: number | null;
  heldOutRows: number | null;
}

export interface OptionDeclaration {
  kind: OptionKind;
  /** On the command line, behind `--`. */
  flag: string;
  /** In files. */
  key: string;
  /** Whether its value changes what a run computes; absent: always. */
  matters?: (config: DecidingOptions) => boolean;
}

const isAdapter = ({ method }: DecidingOptions) => method !== 'full';
const isIdLora = ({ method }: DecidingOptions) => method === 'idlora';
const isMoeLora = ({ method }: DecidingOptions) => method === 'moelora';
const isAdam = ({ optimizer }: DecidingOptions) => optimizer !== 'sgd';
const holdsOut = ({ heldOutFraction, heldOutRows }: DecidingOptions) =>
  heldOutFraction !== 0 && heldOutRows !== 0;

function option(
  kind: OptionKind,
  flag: string,
  key: string,
  matters?: (config: DecidingOptions) => boolean,
): OptionDeclaration {
  return { kind, flag, key, ...(matters && { matters }) };
}

/** In the order in which people read a configuration. */
export const optionDeclarations: Readonly<Record<OptionName, OptionDeclaration>> = {
  method: option('choice', 'method', 'method'),
  rank: option('number', 'rank', 'r', isAdapter),
  alpha: option('number', 'alpha', 'lora_alpha', isAdapter),
  dropout: option('number', 'dropout', 'lora_dropout', isAdapter),
  targets: option('modules', 'targets', 'target_modules', isAdapter),
  rankStabilized: option('switch', 'rslora', 'use_rslora', isAdapter),
  clusters: option('number', 'clusters', 'num_clusters', isIdLora),
  boost: option('number', 'boost', 'boost', isIdLora),
  pivots: option('choice', 'pivots', 'pivots', isIdLora),
  router: option('choice', 'router', 'router', isIdLora),
  routerSoftmax: option(
    'switch',
    'router-softmax',
    'router_softmax',
    (config) => isIdLora(config) && config.router === 'input',
  ),
  heads: option('number', 'heads', 'num_heads', ({ method }) => method === 'hydralora'),
  experts: option('number', 'experts', 'num_experts', isMoeLora),
  gate: option('choice', 'gate', 'gate', isMoeLora),
  tasks: option('number', 'tasks', 'num_tasks', (config) => isMoeLora(config) && config.gate === 'task'),
  layers: option('layers', 'layers', 'layers_to_transform', isAdapter),
  paths: option('paths', 'paths', 'module_paths', isAdapter),
  rankPattern: option('pattern', 'rank-pattern', 'rank_pattern', isAdapter),
  alphaPattern: option('pattern', 'alpha-pattern', 'alpha_pattern', isAdapter),
  learningRate: option('number', 'lr', 'learning_rate'),
  schedule: option('choice', 'schedule', 'lr_scheduler_type'),
  warmupSteps: option('number', 'warmup', 'warmup_steps'),
  minLearningRateRatio: option('number', 'min-learning-rate-ratio', 'min_lr_ratio', ({ schedule }) =>
    ['cosine_with_min_lr', 'polynomial', 'warmup_stable_decay'].includes(schedule),
  ),
  decaySteps: option(
    'number',
    'decay-steps',
    'num_decay_steps',
    ({ schedule }) => schedule === 'warmup_stable_decay',
  ),
  polynomialPower: option('number', 'polynomial-power', 'power', ({ schedule }) => schedule === 'polynomial'),
  maxSteps: option('number', 'max-steps', 'max_steps'),
  epochs: option('number', 'epochs', 'num_train_epochs', ({ maxSteps }) => maxSteps === null),
  batch: option('number', 'batch', 'per_device_train_batch_size'),
  accumulate: option('number', 'accumulate', 'gradient_accumulation_steps'),
  context: option('number', 'context', 'max_length'),
  truncation: option('choice', 'truncation', 'truncation'),
  template: option('choice', 'template', 'template'),
  templateSource: option(
    'text',
    'template-source',
    'template_source',
    ({ template }) => template === 'custom',
  ),
  system: option('text', 'system', 'system'),
  trainOn: option('choice', 'train-on', 'train_on'),
  packing: option('switch', 'packing', 'packing'),
  gradientCheckpointing: option('switch', 'gradient-checkpointing', 'gradient_checkpointing'),
  precision: option('choice', 'precision', 'precision'),
  tf32: option('switch', 'tf32', 'tf32', ({ precision }) => precision === 'f32'),
  // Written and read as transformers' two switches (`baseSwitches`): load_in_8bit, load_in_4bit.
  baseWeights: option('choice', 'load-in-4bit', 'load_in_4bit', isAdapter),
  seed: option('number', 'seed', 'seed'),
  optimizer: option('choice', 'optimizer', 'optim'),
  momentum: option('number', 'momentum', 'momentum', ({ optimizer }) => optimizer === 'sgd'),
  beta1: option('number', 'beta1', 'adam_beta1', isAdam),
  beta2: option('number', 'beta2', 'adam_beta2', isAdam),
  epsilon: option('number', 'epsilon', 'adam_epsilon', isAdam),
  weightDecay: option('number', 'weight-decay', 'weight_decay'),
  clipNorm: option('number', 'clip-norm', 'max_grad_norm'),
  loraPlusRatio: option('number', 'lora-plus-ratio', 'loraplus_lr_ratio', isAdapter),
  heldOutFraction: option('number', 'held-out', 'held_out_fraction'),
  heldOutRows: option(
    'number',
    'held-out-rows',
    'held_out_rows',
    ({ heldOutFraction }) => heldOutFraction !== 0,
  ),
  evalEvery: option('number', 'eval-every', 'eval_steps', holdsOut),
  earlyStoppingPatience: option('number', 'early-stopping-patience', 'early_stopping_patience', (config) =>
    holdsOut(config),
  ),
  keepBest: option('switch', 'keep-best', 'load_best_model_at_end', holdsOut),
  checkpointEvery: option('number', 'checkpoint-every', 'save_steps'),
  samples: option('samples', 'samples', 'samples'),
};

/** The switches of `baseWeights`, each with its flag on the command line, its key in files and what it chooses. */
export const baseSwitches: readonly { name: BaseSwitch; flag: string; key: string; chosen: Quantization }[] =
  [
    { name: 'loadIn8bit', flag: 'load-in-8bit', key: 'load_in_8bit', chosen: 'int8' },
    { name: 'loadIn4bit', flag: 'load-in-4bit', key: 'load_in_4bit', chosen: 'nf4' },
  ];

export const optionNames = Object.keys(optionDeclarations) as OptionName[];

const adapterNames = Object.keys(adapterConfigSchema.shape);

/** Whether an option belongs to the adapter. */
export function isAdapterOption(name: string): name is keyof AdapterConfig {
  return adapterNames.includes(name);
}

/** Where an option stands in a configuration. */
export function pathOf(name: OptionName): ConfigPath {
  if (isAdapterOption(name)) return ['adapter', name];
  return [name === 'baseWeights' ? 'loadIn4bit' : (name as Exclude<RunOptionName, 'baseWeights'>)];
}

/** The option that a path leads to: ['adapter', 'rankPattern', 'q_proj'] is rankPattern; null where it is none. */
export function optionAt([first, second]: OptionPath): OptionName | null {
  const name = first === 'adapter' ? second : first;
  if (baseSwitches.some((known) => known.name === name)) return 'baseWeights';
  return optionNames.find((known) => known === name) ?? null;
}

/** The schema of one option's value. */
export function optionSchema(name: OptionName): z.ZodType {
  if (name === 'baseWeights') return quantizationSchema;
  return isAdapterOption(name)
    ? adapterConfigSchema.shape[name]
    : trainConfigSchema.shape[name as Exclude<RunOptionName, 'baseWeights'>];
}

/** Values of a choice, in the order of the contract. */
export function optionChoices(name: OptionName): readonly string[] {
  const schema = optionSchema(name);
  const inner = schema instanceof z.ZodDefault ? schema.unwrap() : schema;
  return inner instanceof z.ZodEnum ? inner.options.map(String) : [];
}

export function flatten({ adapter, loadIn8bit, loadIn4bit, ...rest }: TrainConfig): FlatConfig {
  return { ...adapter, ...rest, baseWeights: quantizationOf({ loadIn8bit, loadIn4bit }) };
}

/** Sorts options into those of the adapter and those of the run, as configurations have them. */
export function nest(options: Readonly<Partial<Record<OptionName, unknown>>>): {
  adapter: Record<string, unknown>;
} & Record<string, unknown> {
  const { baseWeights, ...rest } = options;
  const entries = Object.entries(rest);
  return {
    ...Object.fromEntries(entries.filter(([name]) => !isAdapterOption(name))),
    ...(baseWeights !== undefined && quantizationOptions(baseWeights as Quantization)),
    adapter: Object.fromEntries(entries.filter(([name]) => isAdapterOption(name))),
  };
}

/** The value of each option that is not given; rank and alpha as on the command line. */
export const optionDefaults: Readonly<FlatConfig> = flatten(
  trainConfigSchema.parse({ adapter: { method: 'lora', rank: 8, alpha: 16 } }),
);

/** Whether an option's value changes what a run with these options computes. */
export function matters(name: OptionName, config: DecidingOptions): boolean {
  return optionDeclarations[name].matters?.(config) ?? true;
}

/** The options that matter, in the order of the table. */
export function mattering(config: DecidingOptions): OptionName[] {
  return optionNames.filter((name) => matters(name, config));
}

/** The same run with every option that does not matter at its default; full fine-tuning has rank and alpha 1. */
export function normalized(config: TrainConfig): TrainConfig {
  const flat = flatten(config);
  const kept = Object.fromEntries(mattering(flat).map((name) => [name, flat[name]]));
  const { adapter, ...rest } = nest(kept);
  return trainConfigSchema.parse({ adapter: { rank: 1, alpha: 1, ...adapter }, ...rest });
}
