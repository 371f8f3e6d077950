import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { z } from 'zod';
import { StudioError, type OptionPath } from '../contract/errors.ts';
import { entryName } from '../contract/inputs.ts';
import { commandLine } from '../setup/paths.mjs';
import { limitText, optionPath } from '../options/optionText.ts';

/** The call itself is wrong: exit code 2. */
export function usageError(
  message: string,
  remedy = `See \`${commandLine === null ? '' : `${commandLine} `}help\`.`,
  option?: OptionPath,
): StudioError {
  return new StudioError('usage', message, remedy, { option });
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

/** Parses the arguments of a command that takes options alone. @throws StudioError as `parseCommand` and `none` do */
export function parseOptions(
  args: readonly string[],
  options: NonNullable<ParseArgsConfig['options']>,
): Values {
  const { values, positionals } = parseCommand(args, options);
  none(positionals);
  return values;
}

/** For what takes no names. @throws StudioError usage for a word that nothing would read */
export function none(positionals: readonly string[]): void {
  if (positionals.length > 0)
    throw usageError(
      `"${positionals[0]}" belongs to no option here.`,
      `A value follows its option, as in --name VALUE. See \`${commandLine === null ? '' : `${commandLine} `}help\`.`,
    );
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

/**
 * What --name gives, or the name that is used without it; no spaces around it.
 * @throws StudioError usage where it is empty or too long
 */
export function nameOf(
  values: Values,
  { otherwise, schema = entryName }: { otherwise?: string | undefined; schema?: z.ZodType<string> } = {},
): string | undefined {
  return check(schema.optional(), text(values, 'name') ?? otherwise, () => '--name');
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

/** The one positional argument. @throws StudioError usage where there is none, or another */
export function only(positionals: readonly string[], usage: string): string {
  if (positionals.length !== 1) throw usageError(`Usage: ${usage}`);
  return positionals[0]!;
}

export function list(values: Values, name: string): string[] | undefined {
  return text(values, name)
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/**
 * Validates values against a schema; the first problem becomes a usage error that names option and value.
 * @param place of the values in a training configuration, where they are part of one
 */
export function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  optionOf: (path: string) => string,
  place?: OptionPath,
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
  const limit = limitText(issue);
  throw usageError(
    `${optionOf(path)}${shown}: ${limit.charAt(0).toLowerCase()}${limit.slice(1)}`,
    undefined,
    place && [...place, ...optionPath(issue.path)],
  );
}

export function flag(values: Values, name: string): boolean | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  if (value !== 'true' && value !== 'false')
    throw usageError(`--${name} "${value}" is neither true nor false.`);
  return value === 'true';
}
