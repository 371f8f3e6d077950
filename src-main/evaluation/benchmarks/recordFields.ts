import { hash } from 'node:crypto';
import { StudioError } from '../../contract/errors.ts';
import { fieldOf, structureOf, UnusableRow, asText } from '../../data/mapping/fields.ts';
import { unusableText } from '../../contract/datasets/unusable.ts';
import type { BenchmarkRecord } from './benchmark.ts';

/** The text of the first of some fields that a row has. @throws StudioError dataset_invalid */
export function requiredText(
  record: BenchmarkRecord,
  benchmark: string,
  ...names: readonly string[]
): string {
  const text = optionalText(record, ...names);
  if (text !== undefined) return text;
  throw missingField(record, benchmark, names.map((name) => `"${name}"`).join(' or '));
}

/** Likewise; undefined where the row has none of them. */
export function optionalText(record: BenchmarkRecord, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = fieldOf(record.value, name);
    if (value !== undefined && value !== null) return checked(record, () => asText(value, name));
  }
  return undefined;
}

/** A field with a structure: a list, or an object, also where it is written as JSON. */
export function structure(record: BenchmarkRecord, name: string): unknown {
  return structureOf(fieldOf(record.value, name));
}

/** A list of texts. */
export function textList(record: BenchmarkRecord, value: unknown, name: string): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.map((entry: unknown) => checked(record, () => asText(entry, name)));
}

export function missingField(record: BenchmarkRecord, benchmark: string, what: string): StudioError {
  const fields = Object.keys(record.value).slice(0, 12).join(', ') || '(none)';
  return new StudioError(
    'dataset_invalid',
    `${record.place} has no field ${what}, which ${benchmark} needs; it has ${fields}.`,
    `Choose a file of ${benchmark}, or score this one by another benchmark (multiple_choice, exact_match, number_match, contains, regex).`,
  );
}

/** Does something with a row; what cannot be read is said with its place. */
export function checked<T>(record: BenchmarkRecord, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UnusableRow)) throw error;
    throw new StudioError(
      'dataset_invalid',
      `${record.place} ${unusableText(error.why)}.`,
      'Correct the row, or take it out of the file.',
    );
  }
}

/** An id that a row has, or one made of its text: the same in every copy of the file. */
export function itemId(record: BenchmarkRecord, text: string, ...names: readonly string[]): string {
  return optionalText(record, ...names) ?? hash('sha256', text).slice(0, 16);
}
