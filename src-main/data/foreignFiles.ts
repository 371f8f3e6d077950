import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError } from '../contract/errors.ts';

/** What a file is by its first bytes, and how rows come out of it; %1 is its name, %2 its name without the ending. */
const signatures: readonly [begin: string, what: string, remedy: string][] = [
  ['\x1f\x8b', 'is compressed with gzip', 'Unpack it (gunzip -k "%1") and import what comes out.'],
  ['\x28\xb5\x2f\xfd', 'is compressed with zstd', 'Unpack it (unzstd "%1") and import what comes out.'],
  ['\xfd7zXZ\0', 'is compressed with xz', 'Unpack it (unxz -k "%1") and import what comes out.'],
  ['BZh', 'is compressed with bzip2', 'Unpack it (bunzip2 -k "%1") and import what comes out.'],
  [
    'PK\x03\x04',
    'is a zip archive or an office document',
    'Unpack it and import the JSON or JSONL file in it; save a spreadsheet as CSV and turn that into JSONL.',
  ],
  [
    'PAR1',
    'is a Parquet file',
    `Turn it into JSONL: python3 -c 'import pandas; pandas.read_parquet("%1").to_json("%2.jsonl", orient="records", lines=True)'`,
  ],
  [
    'ARROW1',
    'is an Arrow file',
    `Turn it into JSONL: python3 -c 'import datasets; datasets.Dataset.from_file("%1").to_json("%2.jsonl")'`,
  ],
  ['SQLite format 3\0', 'is an SQLite database', 'Write the rows of the table that you mean as JSONL.'],
  ['%PDF', 'is a PDF document', 'Give rows of text: JSONL with one object a line.'],
  [
    'version https://git-lfs',
    'is a pointer of Git LFS, not the file itself',
    'Fetch the file (git lfs pull in its repository) and import it then.',
  ],
  ['<!doctype html', 'is a web page', 'Download the file itself ("raw"), not the page that shows it.'],
  ['<html', 'is a web page', 'Download the file itself ("raw"), not the page that shows it.'],
];

/** The error for a file whose first bytes say that it is no JSON; null where they do not. */
export function foreignFile(path: string, head: Uint8Array): StudioError | null {
  const begin = Buffer.from(head.subarray(0, 64)).toString('latin1').toLowerCase();
  const found = signatures.find(([signature]) => begin.startsWith(signature.toLowerCase()));
  return found ? named(path, found[1], found[2]) : null;
}

/**
 * The error for a text whose first line is no JSON, said by what the text seems to be.
 * @param parse the whole text as JSON; null where it is none, or too long to try
 */
export function foreignText(path: string, line: string, parse: () => unknown): StudioError | null {
  if (!/^\s*[{["]/.test(line)) {
    const separator = ['\t', ';', ','].find((sign) => line.includes(sign));
    if (!separator) return null;
    const columns = line.split(separator).map((column) => column.trim());
    const kind = separator === '\t' ? 'TSV' : 'CSV';
    return named(
      path,
      `seems to be a ${kind} table with the columns ${columns.slice(0, 8).join(', ').slice(0, 200)}`,
      `Tables are not read: turn it into JSONL: python3 -c 'import csv,json; [print(json.dumps(row)) for row in csv.DictReader(open("%1", newline="", encoding="utf-8"), delimiter="${separator === '\t' ? '\\t' : separator}")]' > "%2.jsonl"`,
    );
  }
  const value = parse();
  if (typeof value !== 'object' || value === null) return null;
  return (
    wrappedRows(path, value) ??
    named(
      path,
      'is one JSON object over several lines',
      'Put each object on a line of its own (jq -c . "%1" > "%2.jsonl"), or all of them into an array.',
    )
  );
}

/** The error for one object that holds the rows in a field; null where no field is a list of objects. */
export function wrappedRows(path: string, value: object): StudioError | null {
  const isRow = (entry: unknown) => typeof entry === 'object' && entry !== null && !Array.isArray(entry);
  const lists = Object.entries(value).filter(
    (entry): entry is [string, unknown[]] =>
      Array.isArray(entry[1]) && entry[1].length > 0 && entry[1].every(isRow),
  );
  const [field, rows] = lists.sort((a, b) => b[1].length - a[1].length)[0] ?? [];
  if (field === undefined || !rows) return null;
  return named(
    path,
    `is one object, and its rows (${rows.length}) are in the field "${field}"`,
    `Take the list out: python3 -c 'import json; json.dump(json.load(open("%1", encoding="utf-8"))["${field}"], open("%2.rows.json", "w"))'`,
  );
}

/** The error for a folder in place of a file. */
export function folderInPlace(path: string): StudioError {
  const names = readdirSync(path).sort();
  const files = names.filter((name) => /\.jsonl?$/i.test(name) && !/^(dataset_info|state)\.json$/.test(name));
  const found =
    files.length > 0
      ? `, with the files ${files.slice(0, 5).join(', ')}${files.length > 5 ? ` and ${files.length - 5} more` : ''}`
      : '';
  const isSaved = names.includes('dataset_info.json') || names.includes('dataset_dict.json');
  return named(
    path,
    `is a folder${found}`,
    files.length > 0
      ? 'Give one of the files.'
      : isSaved
        ? `It is a dataset that Hugging Face's library saved: python3 -c 'import datasets; datasets.load_from_disk("%1").to_json("%2.jsonl")'`
        : 'Give a file: JSONL with one object a line, or a JSON array of objects.',
  );
}

function named(path: string, what: string, remedy: string): StudioError {
  const name = basename(path);
  const words = remedy.replaceAll('%1', name).replaceAll('%2', name.replace(/\.\w+$/, ''));
  return new StudioError('dataset_invalid', `${name} ${what}.`, words);
}
