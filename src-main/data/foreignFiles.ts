import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError } from '../contract/errors.ts';

/** What a file is by its first bytes, and how rows come out of it; %1 is its name, %2 its name without the ending. */
const signatures: readonly [begin: string, what: string, remedy: string][] = [
  ['\xfd7zXZ\0', 'is compressed with xz', 'Unpack it (unxz -k "%1") and import what comes out.'],
  ['BZh', 'is compressed with bzip2', 'Unpack it (bunzip2 -k "%1") and import what comes out.'],
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

/** The error for a folder that Hugging Face's library saved; null for any other. */
export function savedDataset(path: string): StudioError | null {
  const names = readdirSync(path);
  const isSaved =
    names.includes('dataset_dict.json') ||
    (names.includes('dataset_info.json') && names.some((name) => name.endsWith('.arrow')));
  return isSaved
    ? named(
        path,
        'is a dataset that Hugging Face’s library saved as Arrow files',
        `Turn it into JSONL: python3 -c 'import datasets; datasets.load_from_disk("%1").to_json("%2.jsonl")'`,
      )
    : null;
}

function named(path: string, what: string, remedy: string): StudioError {
  const name = basename(path);
  const words = remedy.replaceAll('%1', name).replaceAll('%2', name.replace(/\.\w+$/, ''));
  return new StudioError('dataset_invalid', `${name} ${what}.`, words);
}
