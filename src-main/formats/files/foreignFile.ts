import { closeSync, lstatSync, openSync, readlinkSync, readSync, statSync, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Why a file is not what its name says, and what helps: the end of a sentence that begins with its name. */
export interface ForeignFile {
  what: string;
  remedy: string;
  /** Of a file that may be read under another name. */
  isGguf?: true;
}

/** A file of a snapshot in the Hugging Face cache. */
const cached = /(?:^|[\\/])models--([^\\/]+)[\\/]snapshots[\\/]([^\\/]+)[\\/](.+)$/;

/**
 * What brings a file of a model: the command that does, since a plain "hf download" neither replaces a damaged file of
 * its cache nor fills a folder elsewhere.
 * @param state of what lies there now
 */
export function fetchRemedy(path: string, state: 'missing' | 'broken link' | 'damaged'): string {
  const [, repository, commit, file] = cached.exec(path) ?? [];
  if (repository && commit && file) {
    const command = `hf download ${repository.replaceAll('--', '/')} ${file.replaceAll('\\', '/')} --revision ${commit}`;
    return state === 'damaged'
      ? `Fetch it once more: ${command} --force-download (without that, the cache keeps the damaged one).`
      : `Fetch it: ${command}.`;
  }
  const folder = dirname(path);
  const command = `hf download REPOSITORY ${basename(path)} --local-dir ${/\s/.test(folder) ? `"${folder}"` : folder}`;
  switch (state) {
    case 'missing':
      return `Copy it there from its source, or fetch it: ${command}.`;
    case 'broken link':
      return `Put the file itself in place of the link (cp -L copies what a link leads to), or delete the link and fetch it: ${command}.`;
    case 'damaged':
      return `Copy it from its source once more, or delete it and fetch it: ${command}.`;
    default:
      throw new Error(`unknown state ${String(state satisfies never)}`);
  }
}

/** What begins so, is. */
const beginnings: readonly [pattern: RegExp, is: (name: string, path: string) => ForeignFile][] = [
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
      remedy: 'Give it a name that ends with .gguf, and add that file: models add FILE.gguf.',
      isGguf: true,
    }),
  ],
  [
    /^\s*<(!doctype html|html|\?xml)/i,
    (_, path) => ({
      what: 'is a web page: the server sent it instead of the file',
      remedy: `Accept the model's licence on its page and sign in with "hf auth login". ${fetchRemedy(path, 'damaged')}`,
    }),
  ],
  [
    /^\0{64}/,
    (_, path) => ({
      what: 'begins with zeros: its download or copy broke off',
      remedy: fetchRemedy(path, 'damaged'),
    }),
  ],
];

/** What a file is that could not be read as what its name says; null where nothing is known of it. */
export function foreignFile(path: string): ForeignFile | null {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  const stats = targetOf(path);
  if (entry?.isSymbolicLink() && !stats)
    return {
      what: `is a link to ${readlinkSync(path)}, which does not exist: its download broke off, or the target was cleared away`,
      remedy: fetchRemedy(path, 'broken link'),
    };
  if (!stats?.isFile()) return null;
  if (stats.size === 0) return { what: 'is empty', remedy: fetchRemedy(path, 'damaged') };
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(64);
    const text = head.toString('latin1', 0, readSync(fd, head));
    return beginnings.find(([pattern]) => pattern.test(text))?.[1](basename(path), path) ?? null;
  } finally {
    closeSync(fd);
  }
}

/** What a path leads to; undefined where it leads nowhere, or round in links. */
export function targetOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP') return undefined;
    throw error;
  }
}
