import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { z } from 'zod';
import { StudioError } from '../contract/errors.ts';
import {
  adapterConfigSchema,
  targetModules,
  trainConfigSchema,
  type AdapterConfig,
  type TrainConfig,
} from '../contract/training.ts';

/** The call itself is wrong: exit code 2. */
export function usageError(message: string, remedy = 'See `npm run -s studio -- help`.'): StudioError {
  return new StudioError('usage', message, remedy);
}

export type Values = Record<string, string | boolean | string[] | undefined>;

/** Options that every command has. */
export const commonOptions = {
  home: { type: 'string' },
  project: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

/** Parses a command's arguments. @throws StudioError usage for an unknown option or a missing value */
export function parseCommand(
  args: readonly string[],
  options: NonNullable<ParseArgsConfig['options']>,
): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...commonOptions, ...options },
      allowPositionals: true,
      strict: true,
    });
    return { values: values as Values, positionals };
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error));
  }
}

export function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

export function requiredText(values: Values, name: string): string {
  const value = text(values, name);
  if (value === undefined) throw usageError(`--${name} is missing.`);
  return value;
}

/** A number, or undefined. @throws StudioError usage where it is none */
export function number(values: Values, name: string): number | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed))
    throw usageError(`--${name} "${value}" is not a number.`);
  return parsed;
}

export function list(values: Values, name: string): string[] | undefined {
  return text(values, name)
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Validates values against a schema; the first problem becomes a usage error that names option and value. */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  optionOf: (path: string) => string,
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const path = issue.path.join('.');
  const given = issue.path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
  const shown = given === undefined ? '' : ` ${JSON.stringify(given)}`;
  throw usageError(`${optionOf(path)}${shown}: ${issue.message}`);
}

export const adapterOptions = {
  method: { type: 'string' },
  rank: { type: 'string' },
  alpha: { type: 'string' },
  dropout: { type: 'string' },
  targets: { type: 'string' },
  clusters: { type: 'string' },
  boost: { type: 'string' },
  pivots: { type: 'string' },
  router: { type: 'string' },
  'router-softmax': { type: 'string' },
  heads: { type: 'string' },
  experts: { type: 'string' },
  gate: { type: 'string' },
  tasks: { type: 'string' },
  rslora: { type: 'string' },
  'rank-pattern': { type: 'string' },
  'alpha-pattern': { type: 'string' },
  layers: { type: 'string' },
} as const satisfies ParseArgsConfig['options'];

/** `q_proj,v_proj` or `all`. */
export function targetsOf(values: Values): string[] | undefined {
  const named = list(values, 'targets');
  return named?.join() === 'all' ? [...targetModules] : named;
}

/** The adapter that the options describe; alpha defaults to twice the rank, as in the paper. */
export function adapterFrom(values: Values): AdapterConfig {
  const rank = number(values, 'rank') ?? 8;
  return check(
    adapterConfigSchema,
    {
      method: text(values, 'method') ?? 'lora',
      rank,
      alpha: number(values, 'alpha') ?? 2 * rank,
      dropout: number(values, 'dropout'),
      targets: targetsOf(values),
      clusters: number(values, 'clusters'),
      boost: number(values, 'boost'),
      pivots: text(values, 'pivots'),
      router: text(values, 'router'),
      routerSoftmax: flag(values, 'router-softmax'),
      heads: number(values, 'heads'),
      experts: number(values, 'experts'),
      gate: text(values, 'gate'),
      tasks: number(values, 'tasks'),
      rankStabilized: flag(values, 'rslora'),
      rankPattern: pattern(values, 'rank-pattern'),
      alphaPattern: pattern(values, 'alpha-pattern'),
      layers: ranges(values, 'layers'),
    },
    (path) => `--${path === 'rankStabilized' ? 'rslora' : kebab(path.split('.')[0]!)}`,
  );
}

export const trainOptions = {
  ...adapterOptions,
  lr: { type: 'string' },
  schedule: { type: 'string' },
  warmup: { type: 'string' },
  'min-learning-rate-ratio': { type: 'string' },
  'decay-steps': { type: 'string' },
  'polynomial-power': { type: 'string' },
  epochs: { type: 'string' },
  'max-steps': { type: 'string' },
  batch: { type: 'string' },
  accumulate: { type: 'string' },
  context: { type: 'string' },
  seed: { type: 'string' },
  precision: { type: 'string' },
  optimizer: { type: 'string' },
  momentum: { type: 'string' },
  'lora-plus-ratio': { type: 'string' },
  packing: { type: 'string' },
  'gradient-checkpointing': { type: 'string' },
  'early-stopping-patience': { type: 'string' },
  'keep-best': { type: 'string' },
  'weight-decay': { type: 'string' },
  'clip-norm': { type: 'string' },
  'held-out': { type: 'string' },
  'held-out-rows': { type: 'string' },
  'eval-every': { type: 'string' },
  'checkpoint-every': { type: 'string' },
} as const satisfies ParseArgsConfig['options'];

/** TrainConfig's name of an option. */
const trainOptionNames: Record<string, string> = {
  learningRate: 'lr',
  warmupSteps: 'warmup',
  heldOutFraction: 'held-out',
};

/** The training options that were given, by their configuration names. */
export function trainValuesFrom(values: Values): Record<string, unknown> {
  const clip = text(values, 'clip-norm');
  const all: Record<string, unknown> = {
    learningRate: number(values, 'lr'),
    schedule: text(values, 'schedule'),
    warmupSteps: number(values, 'warmup'),
    minLearningRateRatio: number(values, 'min-learning-rate-ratio'),
    decaySteps: number(values, 'decay-steps'),
    polynomialPower: number(values, 'polynomial-power'),
    epochs: number(values, 'epochs'),
    maxSteps: number(values, 'max-steps'),
    batch: number(values, 'batch'),
    accumulate: number(values, 'accumulate'),
    context: number(values, 'context'),
    seed: number(values, 'seed'),
    precision: text(values, 'precision'),
    optimizer: text(values, 'optimizer'),
    momentum: number(values, 'momentum'),
    loraPlusRatio: number(values, 'lora-plus-ratio'),
    packing: flag(values, 'packing'),
    gradientCheckpointing: flag(values, 'gradient-checkpointing'),
    earlyStoppingPatience: number(values, 'early-stopping-patience'),
    keepBest: flag(values, 'keep-best'),
    weightDecay: number(values, 'weight-decay'),
    clipNorm: clip === 'none' ? null : number(values, 'clip-norm'),
    heldOutFraction: number(values, 'held-out'),
    heldOutRows: number(values, 'held-out-rows'),
    evalEvery: number(values, 'eval-every'),
    checkpointEvery: number(values, 'checkpoint-every'),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export function trainConfigFrom(values: Values): TrainConfig {
  return check(
    trainConfigSchema,
    { adapter: adapterFrom(values), ...trainValuesFrom(values) },
    (path) => `--${trainOptionNames[path] ?? kebab(path)}`,
  );
}

/** `q_proj=4,layers.0.mlp.up_proj=16` as { q_proj: 4, ... }. */
function pattern(values: Values, name: string): Record<string, number> | undefined {
  const entries = list(values, name)?.map((entry): [string, number] => {
    const at = entry.lastIndexOf('=');
    const value = Number(entry.slice(at + 1));
    if (at < 1 || entry.slice(at + 1).trim() === '' || !Number.isFinite(value))
      throw usageError(`--${name} "${entry}" is not of the form MODULE=NUMBER.`);
    return [entry.slice(0, at), value];
  });
  return entries && Object.fromEntries(entries);
}

/** `0-3,7` as [0, 1, 2, 3, 7]. */
function ranges(values: Values, name: string): number[] | undefined {
  const numbers = list(values, name)?.flatMap((part) => {
    const [, first, last] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === undefined || (last !== undefined && Number(last) < Number(first)))
      throw usageError(`--${name} "${part}" is neither a number nor a range like 0-7.`);
    return Array.from({ length: Number(last ?? first) - Number(first) + 1 }, (_, i) => Number(first) + i);
  });
  return numbers && [...new Set(numbers)].sort((a, b) => a - b);
}

export function flag(values: Values, name: string): boolean | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  if (value !== 'true' && value !== 'false')
    throw usageError(`--${name} "${value}" is neither true nor false.`);
  return value === 'true';
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
