import { closeSync, lstatSync, openSync, readlinkSync, readSync, statSync } from 'node:fs';
import { basename } from 'node:path';

/** Why a file is not what its name says, and what helps: the end of a sentence that begins with its name. */
export interface ForeignFile {
  what: string;
  remedy: string;
}

const complete = 'Complete the download: "hf download REPOSITORY" fetches what is missing.';

/** What begins so, is. */
const beginnings: readonly [pattern: RegExp, is: (name: string) => ForeignFile][] = [
  [
    /^version https:\/\/git-lfs\./,
    () => ({
      what: 'is a Git LFS pointer, not the file that it stands for',
      remedy: 'Fetch the files in that folder: git lfs install, then git lfs pull.',
    }),
  ],
  [
    /^\x1f\x8b/,
    (name) => ({
      what: 'is compressed with gzip',
      remedy: `Unpack it under the same name: mv ${name} ${name}.gz, then gunzip ${name}.gz.`,
    }),
  ],
  [
    /^PK\x03\x04|^\x80[\x02-\x05]/,
    () => ({
      what: 'is a zip archive or a pickle, as PyTorch writes weights (.bin, .pt)',
      remedy:
        'Have transformers write safetensors of it, if you trust its origin: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER).',
    }),
  ],
  [
    /^GGUF/,
    () => ({
      what: 'is a GGUF file under another name',
      remedy: 'GGUF files cannot be trained: choose the same model in safetensors format.',
    }),
  ],
  [
    /^\s*<(!doctype html|html|\?xml)/i,
    () => ({
      what: 'is a web page: the server sent it instead of the file',
      remedy:
        'Download the file signed in, and once its licence is accepted: "hf auth login", then "hf download REPOSITORY".',
    }),
  ],
  [
    /^\0{64}/,
    () => ({ what: 'begins with zeros: its download or copy broke off', remedy: `Delete it. ${complete}` }),
  ],
];

/** What a file is that could not be read as what its name says; null where nothing is known of it. */
export function foreignFile(path: string): ForeignFile | null {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  const stats = statSync(path, { throwIfNoEntry: false });
  if (entry?.isSymbolicLink() && !stats)
    return {
      what: `is a link to ${readlinkSync(path)}, which does not exist: its download broke off, or the target was cleared away`,
      remedy: complete,
    };
  if (!stats?.isFile()) return null;
  if (stats.size === 0) return { what: 'is empty', remedy: `Delete it. ${complete}` };
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(64);
    const text = head.toString('latin1', 0, readSync(fd, head));
    return beginnings.find(([pattern]) => pattern.test(text))?.[1](basename(path)) ?? null;
  } finally {
    closeSync(fd);
  }
}
