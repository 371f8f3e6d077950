import { isUtf8 } from 'node:buffer';
import { parse, type CsvError, type Info } from 'csv-parse';
import { encodingOf } from '../../contract/datasets/textEncoding.ts';
import {
  brokenRow,
  headOf,
  longestRow,
  type ByteSource,
  type ReaderOptions,
  type SourceRow,
} from './source.ts';
import { subjectOfFile } from './splitNames.ts';
import { lenientText, utf8Bytes } from './textPieces.ts';

/** What stands between a table's cells, and whether its first line names the columns. */
export interface TableLayout {
  delimiter: string;
  /** Names for a table without a header; null: its first line has them. */
  columns: string[] | null;
  /** Fields that each of its rows gets besides: what the file's name says of all of them. */
  fields: Readonly<Record<string, string>>;
}

const delimiters = ['\t', ',', ';', '|'];

/** How a table is laid out, by its first line. */
export async function tableLayout(source: ByteSource, options: ReaderOptions): Promise<TableLayout> {
  const head = await headOf(source, 65_536);
  const encoding = encodingOf(head.subarray(0, 4096), options.encoding);
  const text = new TextDecoder(encoding).decode(head);
  const line = text.split(/\r?\n/).find((one) => one.trim() !== '') ?? '';
  const bare = line.replace(/"(?:[^"]|"")*"/g, '');
  const counts = delimiters.map((sign) => bare.split(sign).length - 1);
  const most = counts.reduce((largest, count) => Math.max(largest, count), 0);
  // Names of columns hold commas more easily than tabs.
  const delimiter = counts[0]! > 0 ? '\t' : most === 0 ? ',' : delimiters[counts.indexOf(most)]!;
  const cells = bare.split(delimiter);
  const columns = headerless(cells, line);
  const { subject, isNamed } = subjectOfFile(source.name);
  const isMmlu = columns !== null || isMmluHeader(cells);
  return { delimiter, columns, fields: isMmlu && isNamed ? { subject } : {} };
}

/**
 * MMLU as it was published has no header: a question, four choices and the letter of the right one. In both forms the
 * subject is in the name of the file alone.
 */
function headerless(cells: readonly string[], line: string): string[] | null {
  const isMmlu = cells.length === 6 && /,"?[A-D]"?\s*$/.test(line) && !/,"?D"?,"?[A-D]"?\s*$/.test(line);
  return isMmlu ? ['question', 'A', 'B', 'C', 'D', 'answer'] : null;
}

/** MMLU with a header: `question,choice0,choice1,choice2,choice3,answer`, or with letters. */
function isMmluHeader(cells: readonly string[]): boolean {
  const choices = cells.slice(1, -1).map((cell) => cell.trim());
  const isLettered = choices.join() === 'A,B,C,D' || choices.join() === 'choice0,choice1,choice2,choice3';
  return isLettered && cells[0]!.trim() === 'question' && cells.at(-1)!.trim() === 'answer';
}

/** Rows of a CSV or TSV table; a row's number is the line at which it begins. */
export async function* tableRows(
  source: ByteSource,
  layout: TableLayout,
  options: ReaderOptions,
): AsyncGenerator<SourceRow> {
  const waiting: SourceRow[] = [];
  let header = layout.columns;
  const { fields } = layout;
  let error: CsvError | Error | null = null;
  // Cells come as bytes: what is no text is then said for its own row.
  const parser = parse({
    delimiter: layout.delimiter,
    encoding: null,
    info: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: longestRow,
  });
  parser.on('readable', () => {
    for (;;) {
      const found = parser.read() as { record: Buffer[]; info: Info } | null;
      if (found === null) return;
      const cells = found.record.map((cell) => (isUtf8(cell) ? cell.toString('utf8') : lenientText(cell)));
      if (header === null) header = named(cells);
      else waiting.push(rowOf(found.info.lines, cells, header, fields));
    }
  });
  parser.on('error', (thrown: Error) => (error = thrown));
  const ended = new Promise<void>((resolve) => {
    parser.on('end', resolve);
    parser.on('error', () => resolve());
  });
  for await (const piece of withoutMark(await utf8Bytes(source, options.encoding))) {
    if (error) break;
    if (!parser.write(piece)) await Promise.race([new Promise((go) => parser.once('drain', go)), ended]);
    yield* waiting.splice(0);
  }
  parser.end();
  await ended;
  yield* waiting.splice(0);
  if (error) yield brokenTail(error);
}

async function* withoutMark(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | null = new Uint8Array();
  for await (const piece of pieces) {
    if (head === null) {
      yield piece;
      continue;
    }
    const begin: Uint8Array = Buffer.concat([head, piece]);
    head = begin.length < 3 ? begin : null;
    if (head === null) yield isMark(begin) ? begin.subarray(3) : begin;
  }
  if (head !== null) yield head;
}

function isMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** Names of columns: each once, and none without a name. */
function named(cells: readonly string[]): string[] {
  const names: string[] = [];
  for (const [i, cell] of cells.entries()) {
    const wish = cell.trim() === '' ? `column ${i + 1}` : cell.trim();
    names.push(names.includes(wish) ? `${wish} ${i + 1}` : wish);
  }
  return names;
}

function rowOf(
  number: number,
  cells: readonly string[],
  header: readonly string[],
  fields: TableLayout['fields'],
): SourceRow {
  if (cells.length !== header.length)
    return brokenRow(number, 'cell_count', cells.join(' | '), `${cells.length} in place of ${header.length}`);
  const value = { ...Object.fromEntries(header.map((name, i) => [name, cells[i]])), ...fields };
  return { number, value, broken: null };
}

/** From here on the table could not be read: a quotation mark is not closed, or a row does not end. */
function brokenTail(error: CsvError | Error): SourceRow {
  const line = 'lines' in error && typeof error.lines === 'number' ? error.lines : 1;
  const isLong = 'code' in error && error.code === 'CSV_MAX_RECORD_SIZE';
  return brokenRow(
    line,
    isLong ? 'too_long' : 'cell_count',
    '',
    isLong
      ? 'or a quotation mark that is not closed'
      : 'a quotation mark that is not closed; nothing behind it is read',
  );
}
