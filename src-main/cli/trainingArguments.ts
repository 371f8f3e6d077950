import { readFileSync, statSync } from 'node:fs';
import type { ParseArgsConfig } from 'node:util';
import {
  isOptional,
  optionWords,
  readLayers,
  readModules,
  readPaths,
  readPattern,
  readSamples,
  type Read,
} from '../options/optionText.ts';
import { longestTemplate, templateNames, templateNameSchema } from '../contract/templates.ts';
import {
  adapterConfigSchema,
  trainConfigSchema,
  type AdapterConfig,
  type TrainConfig,
} from '../contract/training.ts';
import { contradictingBase } from '../options/checkOptions.ts';
import {
  baseSwitches,
  isAdapterOption,
  matters,
  nest,
  optionDeclarations,
  optionDefaults,
  optionAt,
  optionNames,
  optionSchema,
  type DecidingOptions,
  type OptionName,
} from '../options/trainingOptions.ts';
import { typedPath } from '../services/homePaths.ts';
import type { Output } from './output.ts';
import { check, flag, number, text, usageError, type Values } from './arguments.ts';

/** Options of a run that were given, by their configuration names. */
export type GivenOptions = Partial<Record<OptionName, unknown>>;

type CommandOptions = NonNullable<ParseArgsConfig['options']>;

export const adapterOptions = commandOptions(optionNames.filter((name) => isAdapterOption(name)));
export const trainOptions = commandOptions(optionNames);

function commandOptions(names: readonly OptionName[]): CommandOptions {
  const flags = names.flatMap((name) =>
    name === 'baseWeights' ? baseSwitches.map(({ flag: own }) => own) : [optionDeclarations[name].flag],
  );
  return Object.fromEntries(flags.map((own) => [own, { type: 'string' }]));
}

/**
 * The options that were given.
 * @param below what holds where nothing is given: a switch that is turned off leaves on what it is not about
 * @throws StudioError usage where one cannot be read
 */
export function givenOptions(values: Values, below: GivenOptions = {}): GivenOptions {
  const given = optionNames.map((name) => [name, readOption(values, name, below)] as const);
  return withTemplateFile(Object.fromEntries(given.filter(([, value]) => value !== undefined)));
}

/**
 * A template is given by its name, or as a file with its Jinja source.
 * @throws StudioError usage where it is neither
 */
export function withTemplateFile(given: GivenOptions): GivenOptions {
  const { template } = given;
  if (template === undefined || templateNameSchema.safeParse(template).success) return given;
  const path = typedPath(String(template));
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw usageError(
      `--template ${String(template)} is neither one of ${templateNames.join(', ')} nor a file with a template.`,
    );
  if (statSync(path).size > 4 * longestTemplate)
    throw usageError(`--template ${String(template)} is larger than ${4 * longestTemplate} bytes.`);
  return { ...given, template: 'custom', templateSource: readFileSync(path, 'utf8') };
}

/**
 * Those of them that belong to the run, not to its adapter: what a resumed run may change.
 * @param below the run's own
 * @throws StudioError usage where one is out of range
 */
export function givenRunOptions(values: Values, below: GivenOptions): Record<string, unknown> {
  const given = givenOptions(values, below);
  for (const name of optionNames)
    if (name in given && !isAdapterOption(name))
      check(optionSchema(name), given[name], () => flagOf(name), [name]);
  const { adapter: _, ...run } = nest(given);
  return run;
}

/** The adapter that the options describe; alpha defaults to twice the rank, as in the paper. */
export function adapterFrom(given: GivenOptions): AdapterConfig {
  return check(adapterConfigSchema, withAdapterDefaults(nest(given).adapter), flagOf, ['adapter']);
}

/** The whole configuration that the options describe. */
export function trainConfigFrom(given: GivenOptions): TrainConfig {
  const { adapter, ...run } = nest(given);
  return check(trainConfigSchema, { adapter: withAdapterDefaults(adapter), ...run }, flagOf, []);
}

/** Full fine-tuning has no rank: it stands as 1 with alpha 1. */
function withAdapterDefaults(adapter: Record<string, unknown>): Record<string, unknown> {
  const { method = optionDefaults.method } = adapter;
  if (method === 'full') return { rank: 1, alpha: 1, ...adapter };
  const { rank = optionDefaults.rank } = adapter;
  return { method, rank, alpha: typeof rank === 'number' ? 2 * rank : undefined, ...adapter };
}

/**
 * Says which of the given options change nothing for any of the configurations: what was typed for nothing must not
 * pass for heeded.
 * @param unspoken options of a file; they are named only where their value is unusual
 */
export function noteIdleOptions(
  output: Pick<Output, 'progress'>,
  given: GivenOptions,
  configs: readonly DecidingOptions[],
  unspoken: GivenOptions = {},
): void {
  const all = { ...unspoken, ...given };
  const idle = optionNames.filter((name) => {
    if (!(name in all) || configs.some((config) => matters(name, config))) return false;
    return name in given || JSON.stringify(all[name]) !== JSON.stringify(optionDefaults[name]);
  });
  const shown = idle.map((name) => optionWords(name, all[name]).join(' '));
  if (idle.length > 0) output.progress(`Without effect beside the other options: ${shown.join(', ')}`);
}

/** The flag of what a path in the configuration leads to: `adapter.targets.2` is `--targets`. */
function flagOf(path: string): string {
  const name = optionAt(path.split('.'))!;
  return `--${optionDeclarations[name].flag}`;
}

function readOption(values: Values, name: OptionName, below: GivenOptions): unknown {
  if (name === 'baseWeights') return readBase(values, below.baseWeights ?? 'none');
  const { kind, flag: option } = optionDeclarations[name];
  const given = text(values, option);
  if (given === undefined) return undefined;
  switch (kind) {
    case 'number':
      return given === 'none' && isOptional(name) ? null : number(values, option);
    case 'choice':
      return given;
    case 'text':
      return given === 'none' ? null : given;
    case 'switch':
      return flag(values, option);
    case 'modules':
      return readModules(given);
    case 'layers':
      return given === 'all' ? null : read(option, readLayers(given));
    case 'paths':
      return given === 'all' ? null : readPaths(given);
    case 'pattern':
      return read(option, readPattern(given));
    case 'samples':
      return given === 'none' ? null : read(option, readSamples(given));
    default:
      throw new Error(`unknown kind ${String(kind satisfies never)}`);
  }
}

/** @throws StudioError config_invalid where both switches are on */
function readBase(values: Values, below: unknown): unknown {
  const given = baseSwitches.filter(({ flag: own }) => text(values, own) !== undefined);
  const on = given.filter(({ flag: own }) => flag(values, own));
  if (on.length > 1) throw contradictingBase();
  if (given.length === 0) return undefined;
  return on[0]?.chosen ?? (given.some(({ chosen }) => chosen === below) ? 'none' : below);
}

function read<T>(option: string, result: Read<T>): T {
  if ('problem' in result) throw usageError(`--${option} ${result.problem}`);
  return result.value;
}
