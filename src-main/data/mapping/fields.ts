import type { Unusable, UnusableReason } from '../../contract/datasets/unusable.ts';

/** A row as its file has it. */
export type SourceValue = Record<string, unknown>;

/** Thrown where a row cannot be used. */
export class UnusableRow extends Error {
  override readonly name = 'UnusableRow';
  readonly why: Unusable;
  constructor(reason: UnusableReason, column: string | null = null, detail: string | null = null) {
    super(reason);
    this.why = { reason, column, detail: detail === null ? null : shortened(detail) };
  }
}

/** A value for a message. */
export function shortened(text: string): string {
  return (text.length > 80 ? `${text.slice(0, 79)}…` : text).replace(/\s+/g, ' ').toWellFormed();
}

export function isObject(value: unknown): value is SourceValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field by its name, or by the names of fields within fields; undefined where there is none. */
export function fieldOf(row: SourceValue, column: string): unknown {
  if (Object.hasOwn(row, column)) return row[column];
  const dot = column.indexOf('.');
  if (dot < 0) return undefined;
  const outer = column.slice(0, dot);
  const inner = Object.hasOwn(row, outer) ? row[outer] : undefined;
  return isObject(inner) ? fieldOf(inner, column.slice(dot + 1)) : undefined;
}

/** Text of a field. Numbers and truth values are written out. @throws UnusableRow */
export function textField(row: SourceValue, column: string): string {
  return asText(fieldOf(row, column), column);
}

/** Text of a field that must say something. @throws UnusableRow */
export function filledField(row: SourceValue, column: string): string {
  const text = textField(row, column);
  if (text.trim() === '') throw new UnusableRow('empty', column);
  return text;
}

/** Text of a field that may be absent or null: undefined then, and where it is empty. @throws UnusableRow */
export function optionalField(row: SourceValue, column: string | undefined): string | undefined {
  if (column === undefined) return undefined;
  const value = fieldOf(row, column);
  if (value === undefined || value === null) return undefined;
  const text = asText(value, column);
  return text.trim() === '' ? undefined : text;
}

/** @throws UnusableRow missing, null, not_text or half_character */
export function asText(value: unknown, column: string): string {
  if (value === undefined) throw new UnusableRow('missing', column);
  if (value === null) throw new UnusableRow('null', column);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string')
    throw new UnusableRow('not_text', column, Array.isArray(value) ? 'a list' : 'an object');
  return wellFormed(value, column);
}

/** Bytes that are no UTF-8 are read as these halves of characters (readers/textPieces.ts). */
const foreignByte = /[\udc80-\udcff]/;

function wellFormed(text: string, column: string): string {
  if (text.isWellFormed()) return text;
  const byte = foreignByte.exec(text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '  '))?.[0];
  throw byte === undefined
    ? new UnusableRow('half_character', column)
    : new UnusableRow(
        'encoding',
        column,
        `byte 0x${(byte.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`,
      );
}

/** A list or object that stands in a table's cell as JSON. */
export function structureOf(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}
