import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError } from '../contract/errors.ts';
import { EncodingError, encodingOf } from '../contract/textEncoding.ts';
import { folderInPlace, foreignFile, foreignText } from './foreignFiles.ts';
import { LineError, readLines, readPieces } from './lines.ts';

/** Longest line of a JSONL file. */
const maxLineCharacters = 64 * 1024 * 1024;
/** Largest JSON array that is parsed whole. */
const maxArrayBytes = 512 * 1024 * 1024;

export interface RawRow {
  /** 1-based line (JSONL) or entry (JSON array), for messages. */
  number: number;
  value: Record<string, unknown>;
}

/**
 * Rows of a JSONL file (streamed) or of a file with one JSON array.
 * @param encoding a label of TextDecoder; absent: UTF-8, or what the byte order mark says
 * @throws StudioError not_found; dataset_invalid with the line, or with what the file is instead; dataset_empty
 */
export async function* readRawRows(path: string, encoding?: string): AsyncGenerator<RawRow> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) throw new StudioError('not_found', `There is no file ${path}.`, 'Choose a JSON or JSONL file.');
  if (stats.isDirectory()) throw folderInPlace(path);
  if (stats.size === 0) throw emptyDataset(path);
  const head = readHead(path);
  const foreign = foreignFile(path, head);
  if (foreign) throw foreign;
  let count = 0;
  try {
    const first = new TextDecoder(encodingOf(head, encoding)).decode(head).trimStart()[0];
    for await (const row of first === '['
      ? readArray(path, stats.size, encoding)
      : readJsonLines(path, stats.size, encoding)) {
      count++;
      yield row;
    }
  } catch (error) {
    throw error instanceof EncodingError ? wrongEncoding(path, error) : error;
  }
  if (count === 0) throw emptyDataset(path);
}

function wrongEncoding(path: string, { message, probable }: EncodingError): StudioError {
  return new StudioError(
    'dataset_invalid',
    `${basename(path)} ${message}.`,
    `Save it as UTF-8, or import it with its encoding named (on the page under Text): datasets add "${basename(path)}" --encoding ${probable ?? 'NAME'}.`,
  );
}

export function emptyDataset(path: string): StudioError {
  return new StudioError(
    'dataset_empty',
    `${basename(path)} has no rows.`,
    'Choose a file with at least one row: JSONL with one object a line, or a JSON array of objects.',
  );
}

function readHead(path: string): Buffer {
  const buffer = Buffer.alloc(4096);
  const fd = openSync(path, 'r');
  try {
    return buffer.subarray(0, readSync(fd, buffer));
  } finally {
    closeSync(fd);
  }
}

async function* readJsonLines(path: string, size: number, encoding?: string): AsyncGenerator<RawRow> {
  let isFirst = true;
  try {
    for await (const { number, text } of readLines(path, maxLineCharacters, encoding)) {
      if (text.trim() === '') continue;
      let value: unknown;
      try {
        value = parse(path, number, text);
      } catch (error) {
        const whole = isFirst && size <= maxArrayBytes ? await readWhole(path, encoding) : null;
        throw (isFirst && foreignText(path, text, () => (whole === null ? null : tried(whole)))) || error;
      }
      yield { number, value: asObject(path, number, value) };
      isFirst = false;
    }
  } catch (error) {
    throw error instanceof LineError ? invalidRow(path, error.number, error.message) : error;
  }
}

async function* readArray(path: string, size: number, encoding?: string): AsyncGenerator<RawRow> {
  if (size > maxArrayBytes)
    throw new StudioError(
      'dataset_invalid',
      `${basename(path)} is one JSON array of ${size} bytes; at most ${maxArrayBytes} are read at once.`,
      'Convert it to JSONL (one object a line), which is read row by row.',
    );
  const value = parse(path, null, await readWhole(path, encoding));
  for (const [i, entry] of (value as unknown[]).entries())
    yield { number: i + 1, value: asObject(path, i + 1, entry) };
}

async function readWhole(path: string, encoding?: string): Promise<string> {
  const parts: string[] = [];
  for await (const part of readPieces(path, encoding)) parts.push(part);
  return parts.join('');
}

function tried(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
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
