import { createReadStream, openSync, closeSync, readSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError } from '../contract/errors.ts';
import { LineError, readLines } from './lines.ts';

/** Longest line of a JSONL file. */
const maxLineBytes = 64 * 1024 * 1024;
/** Largest JSON array that is parsed whole. */
const maxArrayBytes = 512 * 1024 * 1024;

export interface RawRow {
  /** 1-based line (JSONL) or entry (JSON array), for messages. */
  number: number;
  value: Record<string, unknown>;
}

/**
 * Rows of a JSONL file (streamed) or of a file with one JSON array.
 * @throws StudioError dataset_invalid with the line; dataset_empty
 */
export async function* readRawRows(path: string): AsyncGenerator<RawRow> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile())
    throw new StudioError('not_found', `There is no file ${path}.`, 'Choose a JSON or JSONL file.');
  if (stats.size === 0) throw emptyDataset(path);
  const rows = firstCharacter(path) === '[' ? readArray(path, stats.size) : readJsonLines(path);
  let count = 0;
  for await (const row of rows) {
    count++;
    yield row;
  }
  if (count === 0) throw emptyDataset(path);
}

export function emptyDataset(path: string): StudioError {
  return new StudioError(
    'dataset_empty',
    `${basename(path)} has no rows.`,
    'Choose a file with at least one row: JSONL with one object a line, or a JSON array of objects.',
  );
}

/** The first character that is no white space, or ''. */
function firstCharacter(path: string): string {
  const buffer = Buffer.alloc(4096);
  const fd = openSync(path, 'r');
  try {
    const got = readSync(fd, buffer);
    return (
      buffer
        .subarray(0, got)
        .toString('utf8')
        .replace(/^\uFEFF/, '')
        .trimStart()[0] ?? ''
    );
  } finally {
    closeSync(fd);
  }
}

async function* readJsonLines(path: string): AsyncGenerator<RawRow> {
  try {
    for await (const { number, text } of readLines(path, maxLineBytes)) {
      if (text.trim() === '') continue;
      yield { number, value: asObject(path, number, parse(path, number, text)) };
    }
  } catch (error) {
    throw error instanceof LineError ? invalidRow(path, error.number, error.message) : error;
  }
}

async function* readArray(path: string, size: number): AsyncGenerator<RawRow> {
  if (size > maxArrayBytes)
    throw new StudioError(
      'dataset_invalid',
      `${basename(path)} is one JSON array of ${size} bytes; at most ${maxArrayBytes} are read at once.`,
      'Convert it to JSONL (one object a line), which is read row by row.',
    );
  const parts: Buffer[] = [];
  for await (const part of createReadStream(path)) parts.push(part as Buffer);
  const value = parse(
    path,
    null,
    Buffer.concat(parts)
      .toString('utf8')
      .replace(/^\uFEFF/, ''),
  );
  for (const [i, entry] of (value as unknown[]).entries())
    yield { number: i + 1, value: asObject(path, i + 1, entry) };
}

function parse(path: string, number: number | null, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw invalidRow(path, number, `is not JSON (${what})`);
  }
}

function asObject(path: string, number: number, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalidRow(path, number, 'is not a JSON object');
}

export function invalidRow(path: string, number: number | null, what: string): StudioError {
  return new StudioError(
    'dataset_invalid',
    `${basename(path)}${number === null ? '' : `, row ${number}`} ${what}.`,
    'Correct the row, or take it out of the file, and import again.',
  );
}
