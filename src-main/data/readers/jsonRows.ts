import type { Split } from '../../contract/rows.ts';
import { isObject, type SourceValue } from '../mapping/fields.ts';
import { parseJson, parseRow } from './parseRow.ts';
import { brokenRow, longestRow, type ByteSource, type ReaderOptions, type SourceRow } from './source.ts';
import { splitOfPath } from './splitNames.ts';
import { splitJson, type JsonPart } from './splitJson.ts';
import { lenientText, textPieces, utf8Bytes } from './textPieces.ts';

/** Rows that stand together in a file, and what the file itself says of them. */
export interface JsonLayout {
  kind: 'lines' | 'list' | 'fields' | 'columns' | 'values';
  /** `fields`: the ones that hold rows, with the part of the data that each is. */
  fields: { name: string; split: Split | null }[];
}

/** Where the columns of a file are lists, all of it is held at once. */
const longestColumns = 256 * 1024 * 1024;

/** How rows stand in a JSON file: line by line, in a list, in lists in fields, as a list for each column. */
export async function jsonLayout(source: ByteSource, options: ReaderOptions): Promise<JsonLayout> {
  const { lines, isWhole } = await firstLines(textPieces(source, options.encoding));
  const [first = '', second] = lines;
  if (first.startsWith('[')) return { kind: 'list', fields: [] };
  const value = tried(first);
  if (isObject(value) && second !== undefined) return { kind: 'lines', fields: [] };
  if (isObject(value) && isWhole) return wholeLayout(await surveyed(source, options), value);
  // A first line that is no object of its own: damaged, or the begin of one over several lines.
  if (second !== undefined && isObject(tried(second))) return { kind: 'lines', fields: [] };
  if (!first.startsWith('{')) return { kind: 'lines', fields: [] };
  return wholeLayout(await surveyed(source, options), null);
}

function tried(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** The first two lines that hold something, as far as they are read; `isWhole`: there is nothing more. */
async function firstLines(pieces: AsyncIterable<string>): Promise<{ lines: string[]; isWhole: boolean }> {
  const lines: string[] = [];
  let parts: string[] = [];
  let length = 0;
  const end = () => {
    const line = parts.join('').trim();
    if (line !== '') lines.push(line);
    parts = [];
  };
  for await (const piece of pieces) {
    length += piece.length;
    for (const [i, part] of piece.split('\n').entries()) {
      if (i > 0) end();
      parts.push(part);
    }
    // A list may be one line of gigabytes.
    if (lines.length === 0 && /^\s*\[/.test(parts[0]!)) return { lines: ['['], isWhole: false };
    if (lines.length < 2 && length <= longestRow) {
      if (parts[0]!.trim() === '') parts = [parts.join('').trimStart()];
      continue;
    }
    end();
    return { lines: lines.slice(0, 2), isWhole: false };
  }
  end();
  return { lines: lines.slice(0, 2), isWhole: lines.length < 3 };
}

interface Survey {
  /** Lists in fields of the first object: entries of each, and of what kind the first ones are. */
  lists: Map<string, { entries: number; objects: number }>;
  /** Fields of it that hold anything else. */
  others: number;
  /** Whether more values follow the first. */
  values: number;
}

async function surveyed(source: ByteSource, options: ReaderOptions): Promise<Survey> {
  const lists: Survey['lists'] = new Map();
  for await (const { field, begin } of splitJson(textPieces(source, options.encoding), 2)) {
    if (field === null) continue;
    const list = lists.get(field) ?? { entries: 0, objects: 0 };
    list.entries++;
    if (begin.startsWith('{')) list.objects++;
    lists.set(field, list);
  }
  let values = 0;
  for await (const part of splitJson(textPieces(source, options.encoding), 0)) {
    if (part.begin !== '') values++;
    if (values > 1) break;
  }
  let others = 0;
  for await (const { begin } of splitJson(textPieces(source, options.encoding), 1))
    if (!begin.startsWith('[')) others++;
  return { lists, others, values };
}

function wholeLayout({ lists, others, values }: Survey, whole: SourceValue | null): JsonLayout {
  if (values > 1) return { kind: 'values', fields: [] };
  const rows = [...lists].filter(([, { entries, objects }]) => objects === entries);
  const named = rows.map(([name]) => ({ name, split: splitOfPath(name)?.split ?? null }));
  const parts = named.filter(({ split }) => split !== null);
  if (parts.length > 0) return { kind: 'fields', fields: parts };
  // One row of a chat is an object with one list of objects, too.
  const isRow = whole !== null && ['messages', 'conversations'].some((name) => Object.hasOwn(whole, name));
  if (isRow) return { kind: 'lines', fields: [] };
  const largest = rows.sort((a, b) => b[1].entries - a[1].entries)[0];
  if (largest) return { kind: 'fields', fields: [{ name: largest[0], split: null }] };
  if (lists.size > 0 && others === 0) return { kind: 'columns', fields: [] };
  return { kind: 'values', fields: [] };
}

/** Rows of a JSON file of some layout. @param field the one to read, of several */
export async function* jsonRows(
  source: ByteSource,
  layout: JsonLayout,
  field: string | null,
  options: ReaderOptions,
): AsyncGenerator<SourceRow> {
  switch (layout.kind) {
    case 'lines':
      yield* lineRows(source, options);
      return;
    case 'list':
      yield* partRows(splitJson(textPieces(source, options.encoding), 1));
      return;
    case 'values':
      yield* partRows(splitJson(textPieces(source, options.encoding), 0));
      return;
    case 'fields':
      yield* partRows(inField(splitJson(textPieces(source, options.encoding), 2), field));
      return;
    case 'columns':
      yield* columnRows(source, options);
  }
}

async function* inField(parts: AsyncIterable<JsonPart>, field: string | null): AsyncGenerator<JsonPart> {
  for await (const part of parts) if (part.field === field) yield part;
}

async function* partRows(parts: AsyncIterable<JsonPart>): AsyncGenerator<SourceRow> {
  let number = 0;
  for await (const { text, begin, isComplete } of parts) {
    number++;
    if (!isComplete) yield brokenRow(number, 'not_json', begin, 'the file ends in the middle of it');
    else if (text === null) yield tooLong(number, begin);
    else if (text !== '') yield parseRow(number, text);
  }
}

/** Rows of JSON Lines, each with the place of its line. Only `\n` ends a line: JSON allows U+2028 inside strings. */
async function* lineRows(source: ByteSource, options: ReaderOptions): AsyncGenerator<SourceRow> {
  let number = 0;
  let rest: Uint8Array[] = [];
  let length = 0;
  let lineAt = 0; // where the line under way begins
  const row = (last: Uint8Array): SourceRow | null => {
    number++;
    const bytes =
      rest.length === 0
        ? Buffer.from(last.buffer, last.byteOffset, last.length)
        : Buffer.concat([...rest, last]);
    const isLong = length + last.length > longestRow;
    const offset = lineAt;
    lineAt += length + last.length + 1;
    [rest, length] = [[], 0];
    if (isLong) return tooLong(number, bytes.toString('utf8', 0, 1000));
    const text = lenientText(withoutMark(bytes, offset)).trim();
    return text === '' ? null : { ...parseRow(number, text), offset };
  };
  for await (const piece of await utf8Bytes(source, options.encoding)) {
    let begin = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, begin)) {
      const found = row(piece.subarray(begin, end));
      if (found) yield found;
      begin = end + 1;
    }
    const tail = piece.subarray(begin);
    length += tail.length;
    // Of a line that is too long its begin is kept.
    if (tail.length > 0 && (length <= longestRow || rest.length === 0)) rest.push(tail);
  }
  const last = length > 0 ? row(new Uint8Array()) : null;
  if (last) yield last;
}

function withoutMark(bytes: Buffer, offset: number): Buffer {
  const isMarked = offset === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return isMarked ? bytes.subarray(3) : bytes;
}

function tooLong(number: number, begin: string): SourceRow {
  return brokenRow(number, 'too_long', begin, `more than ${longestRow / 1024 / 1024} million characters`);
}

/** Rows of an object that has a list for each column, of equal lengths; empty lists are none. */
async function* columnRows(source: ByteSource, options: ReaderOptions): AsyncGenerator<SourceRow> {
  const parts: string[] = [];
  let length = 0;
  for await (const piece of textPieces(source, options.encoding)) {
    parts.push(piece);
    if ((length += piece.length) > longestColumns) {
      yield tooLong(1, parts[0]!);
      return;
    }
  }
  const whole = parseRow(1, parts.join(''));
  if (whole.broken) {
    yield whole;
    return;
  }
  const lists = Object.entries(whole.value).filter(
    (entry): entry is [string, unknown[]] => Array.isArray(entry[1]) && entry[1].length > 0,
  );
  const count = lists.reduce((most, [, list]) => Math.max(most, list.length), 0);
  const columns = lists.filter(([, list]) => list.length === count);
  for (let i = 0; i < count; i++)
    yield {
      number: i + 1,
      value: Object.fromEntries(columns.map(([name, list]) => [name, list[i]])),
      broken: null,
    };
}
