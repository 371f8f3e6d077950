import { z } from 'zod';
import type { OptionPath } from '../contract/errors.ts';
import { targetModules, type TargetModule } from '../contract/training.ts';
import { baseSwitches, optionDeclarations, optionSchema, type OptionName } from './trainingOptions.ts';

/** Options as people type them: patterns, layers, modules, and what is wrong with a value. */

/** A value, or what is wrong with the text. */
export type Read<T> = { value: T } | { problem: string };

/** `0-3,7` as [0, 1, 2, 3, 7]. */
export function readLayers(text: string): Read<number[]> {
  const numbers = new Set<number>();
  for (const part of parts(text)) {
    const [, first, last] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === undefined || (last !== undefined && Number(last) < Number(first)))
      return { problem: `"${part}" is neither a number nor a range like 0-7.` };
    for (let layer = Number(first); layer <= Number(last ?? first); layer++) numbers.add(layer);
  }
  return { value: [...numbers].sort((a, b) => a - b) };
}

/** [0, 1, 2, 3, 7] as `0-3,7`. */
export function layersText(layers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const layer of [...layers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && layer <= last[1] + 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',');
}

/** Paths of modules, one a line or with commas between them. The paths are checked by the schema. */
export function readPaths(text: string): string[] {
  return [...new Set(parts(text))];
}

/** `q_proj=4,layers.0.mlp.up_proj=16` (or one a line) as { q_proj: 4, ... }; a JSON object where a key has a comma. */
export function readPattern(text: string): Read<Record<string, number>> {
  if (text.trimStart().startsWith('{')) return readJsonPattern(text);
  const entries: [string, number][] = [];
  for (const entry of parts(text)) {
    const at = entry.lastIndexOf('=');
    const written = entry.slice(at + 1).trim();
    const value = Number(written);
    if (at < 1 || written === '' || !Number.isFinite(value))
      return { problem: `"${entry}" is not of the form MODULE=NUMBER.` };
    entries.push([entry.slice(0, at).trim(), value]);
  }
  return { value: Object.fromEntries(entries) };
}

function readJsonPattern(text: string): Read<Record<string, number>> {
  try {
    return { value: z.record(z.string(), z.number()).parse(JSON.parse(text)) };
  } catch {
    return { problem: `"${text}" is no JSON object of modules and numbers.` };
  }
}

export function patternText(pattern: Readonly<Record<string, number>>, separator = ','): string {
  const entries = Object.entries(pattern);
  // The short form would be cut at these.
  if (entries.some(([key]) => /[,\n=]|^\s|\s$/.test(key))) return JSON.stringify(pattern);
  return entries.map(([key, value]) => `${key}=${value}`).join(separator);
}

/** `q_proj,v_proj`, or `all`. The names are checked by the schema. */
export function readModules(text: string): string[] {
  const named = parts(text);
  return named.length === 1 && named[0] === 'all' ? [...targetModules] : named;
}

function modulesText(modules: readonly TargetModule[]): string {
  return modules.join() === targetModules.join() ? 'all' : modules.join(',');
}

/** An option's value as people type it; what is absent is `none`, of layers `all`. */
export function optionText(name: OptionName, value: unknown): string {
  switch (optionDeclarations[name].kind) {
    case 'modules':
      return modulesText(value as readonly TargetModule[]);
    case 'layers':
      return value === null ? 'all' : layersText(value as readonly number[]);
    case 'paths':
      return value === null ? 'all' : (value as readonly string[]).join(',');
    case 'pattern':
      return patternText(value as Record<string, number>);
    case 'samples':
      return value === null ? 'none' : JSON.stringify(value);
    default:
      return value === null ? 'none' : String(value);
  }
}

/** An option with its value as the words of a command: `--rank 8`. */
export function optionWords(name: OptionName, value: unknown): string[] {
  if (name !== 'baseWeights') return [`--${optionDeclarations[name].flag}`, optionText(name, value)];
  const on = baseSwitches.filter(({ chosen }) => chosen === value);
  // One that is off says nothing of the other.
  return on.length > 0
    ? [`--${on[0]!.flag}`, 'true']
    : baseSwitches.flatMap(({ flag }) => [`--${flag}`, 'false']);
}

/** Prompts that are asked during training: a JSON object {prompts, every, maxTokens}, or one prompt as it is. */
export function readSamples(text: string): Read<unknown> {
  if (!text.trimStart().startsWith('{')) return { value: { prompts: [text] } };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { problem: `is no JSON object: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function parts(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** What is wrong with an option's value, as a limit in words; null where nothing is. */
export function valueProblem(name: OptionName, value: unknown): string | null {
  const parsed = optionSchema(name).safeParse(value);
  return parsed.success ? null : limitText(parsed.error.issues[0]!);
}

/**
 * `At least 1.`, `Below 1.`, `A whole number.`: the limit that a value breaks.
 * @param inUnit how a limit reads where the value is asked for in another unit
 */
export function limitText(
  issue: z.core.$ZodIssue,
  inUnit: (limit: number | bigint) => string = String,
): string {
  switch (issue.code) {
    case 'too_small':
      if (issue.origin === 'array') return 'Choose at least one.';
      return `${issue.inclusive ? 'At least' : 'More than'} ${inUnit(issue.minimum)}.`;
    case 'too_big':
      return `${issue.inclusive ? 'At most' : 'Below'} ${inUnit(issue.maximum)}.`;
    case 'invalid_type':
      return typeTexts[issue.expected] ?? issue.message;
    case 'invalid_value':
      return `One of ${issue.values.join(', ')}.`;
    default:
      return issue.message;
  }
}

/** The path of a schema's complaint as errors carry it. */
export function optionPath(path: readonly PropertyKey[]): OptionPath {
  return path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

const typeTexts: Readonly<Record<string, string>> = {
  int: 'A whole number.',
  number: 'A number.',
  boolean: 'true or false.',
  string: 'A text.',
  array: 'A list.',
  record: 'Modules with numbers.',
};

/** Whether an option may be without a value. */
export function isOptional(name: OptionName): boolean {
  const { kind } = optionDeclarations[name];
  return (kind === 'number' || kind === 'text') && optionSchema(name).safeParse(null).success;
}
