import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { StudioError } from '../../contract/errors.ts';
import type { Split } from '../../contract/rows.ts';
import { savedDataset } from '../foreignFiles.ts';
import { isObject } from '../mapping/fields.ts';
import { unpacked, zipSources } from './archives.ts';
import { kindByName, kindOf, packingOf, type FileKind } from './fileKind.ts';
import { fileSource, headOf, type ByteSource } from './source.ts';
import { splitOfPath } from './splitNames.ts';

/** A file with rows. */
export interface InputFile {
  source: ByteSource;
  kind: FileKind;
  /** The part of the data that it states to be, and where it states it. */
  stated: { split: Split; reason: string } | null;
  /** Told of bytes that are read otherwise than by `source.open`. */
  onBytes(bytes: number): void;
}

export interface FoundFiles {
  files: InputFile[];
  /** Files that are no data, with why. */
  skipped: { name: string; reason: string }[];
  /** Of the files as they lie on the disk. */
  bytes: number;
  /** Configurations that a dataset folder of the Hub declares, the one that is read first. */
  configs: string[];
}

/** Told of bytes that were read. */
export type OnBytes = (bytes: number) => void;

const mostFiles = 20_000;

/** Names that say what is in a folder, not rows. */
const noRows =
  /^(?:dataset_infos?|dataset_dict|state|config|generation_config|tokenizer.*|special_tokens_map|package(?:-lock)?|.*\.index)\.json$/i;

/**
 * The files with rows among files and folders, in the order of their names.
 * @param config of a dataset folder with several
 * @throws StudioError not_found; dataset_invalid with what a file is instead; dataset_empty
 */
export async function findFiles(
  paths: readonly string[],
  { config, onBytes = () => {} }: { config?: string | undefined; onBytes?: OnBytes | undefined } = {},
): Promise<FoundFiles> {
  const found: FoundFiles = { files: [], skipped: [], bytes: 0, configs: [] };
  for (const path of paths) {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats)
      throw new StudioError(
        'not_found',
        `There is no file or folder ${path}.`,
        'Choose a JSON, JSONL, CSV, TSV, Parquet or text file, or a folder of them.',
      );
    if (stats.isDirectory()) await addFolder(found, path, config, onBytes);
    else await addFile(found, path, basename(path), null, onBytes);
  }
  if (found.files.length === 0) throw nothingFound(paths, found);
  return found;
}

function nothingFound(paths: readonly string[], { skipped }: FoundFiles): StudioError {
  const [only] = skipped;
  if (paths.length === 1 && only?.name === basename(paths[0]!))
    return new StudioError(
      'dataset_empty',
      `${only.name} has no rows: it ${only.reason}.`,
      'Choose a file with at least one row.',
    );
  const names = skipped.slice(0, 5).map(({ name }) => name);
  return new StudioError(
    'dataset_empty',
    `${paths.map((path) => basename(path)).join(', ')} ${paths.length === 1 ? 'holds' : 'hold'} no file with rows${names.length > 0 ? ` (there are ${names.join(', ')}${skipped.length > 5 ? ', …' : ''})` : ''}.`,
    'Choose JSON, JSONL, CSV, TSV, Parquet or text files, or a folder of them.',
  );
}

async function addFile(
  found: FoundFiles,
  path: string,
  name: string,
  split: { split: Split; reason: string } | null,
  onBytes: OnBytes,
): Promise<void> {
  const { size } = statSync(path);
  if (size === 0) {
    found.skipped.push({ name, reason: 'is empty' });
    return;
  }
  // What is found out about a file before it is read does not count as reading it.
  let isCounted = false;
  const count = (bytes: number) => {
    if (isCounted) onBytes(bytes);
  };
  const source = fileSource(path, name, count);
  const packing = packingOf(await headOf(source, 8));
  found.bytes += size;
  if (packing === 'zip') {
    for (const inner of await zipSources(path, name, count)) {
      const { kind, packing: innerPacking } = kindByName(inner.name);
      if (innerPacking !== null || kind === null || isAside(inner.name))
        found.skipped.push({ name: inner.name, reason: innerPacking ? 'is packed once more' : 'is no data' });
      else await add(found, inner, kind, split, count);
    }
  } else {
    const { kind, bare } = kindByName(name);
    await add(found, packing === null ? source : unpacked(source, packing, bare), kind, split, count);
  }
  isCounted = true;
}

async function add(
  found: FoundFiles,
  source: ByteSource,
  byName: FileKind | null,
  split: { split: Split; reason: string } | null,
  onBytes: OnBytes,
): Promise<void> {
  const stated = splitOfPath(source.name);
  found.files.push({
    source,
    kind: await kindOf(source, byName),
    stated: split ?? (stated && { split: stated.split, reason: `its name says "${stated.stated}"` }),
    onBytes,
  });
}

export function isAside(name: string): boolean {
  const file = basename(name);
  const isHidden = name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
  return isHidden || noRows.test(file) || /^(?:readme|licen[cs]e|notice|changelog|source_readme)/i.test(file);
}

async function addFolder(
  found: FoundFiles,
  folder: string,
  config: string | undefined,
  onBytes: OnBytes,
): Promise<void> {
  const saved = savedDataset(folder);
  if (saved) throw saved;
  const all = walk(folder);
  const declared = declaredFiles(folder, all, config);
  if (declared) {
    found.configs = declared.configs;
    for (const { name, split } of declared.files)
      await addFile(found, join(folder, name), name, { split, reason: 'README.md says so' }, onBytes);
    for (const name of all)
      if (!declared.files.some((file) => file.name === name))
        found.skipped.push({ name, reason: 'is of no part that README.md names' });
    return;
  }
  const data = all.filter((name) => !isAside(name) && kindByName(name).kind !== null);
  const archives = all.filter((name) => !isAside(name) && kindByName(name).packing === 'zip');
  const isStructured = (name: string) => !['text', 'markdown'].includes(kindByName(name).kind!);
  const chosen = data.some(isStructured) || archives.length > 0 ? data.filter(isStructured) : data;
  for (const name of all)
    if (!chosen.includes(name) && !archives.includes(name))
      found.skipped.push({
        name,
        reason: data.includes(name) ? 'is text beside files with rows' : 'is no data',
      });
  // The folder's own name counts: mmlu/test is a test set wherever it lies.
  for (const name of [...chosen, ...archives].sort())
    await addFile(found, join(folder, name), `${basename(folder)}/${name}`, null, onBytes);
}

/** Files below a folder by their paths, hidden ones left out; folders behind links are not entered. */
function walk(folder: string): string[] {
  const names: string[] = [];
  const enter = (inside: string) => {
    for (const entry of readdirSync(inside, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const path = join(inside, entry.name);
      if (entry.isDirectory()) enter(path);
      else if (entry.isFile() || (entry.isSymbolicLink() && isLinkedFile(path)))
        names.push(relative(folder, path).split(sep).join('/'));
      if (names.length > mostFiles)
        throw new StudioError(
          'dataset_invalid',
          `${basename(folder)} holds more than ${mostFiles} files.`,
          'Choose a folder with fewer files, or join them into one.',
        );
    }
  };
  enter(folder);
  return names.sort();
}

function isLinkedFile(path: string): boolean {
  try {
    return statSync(realpathSync(path)).isFile();
  } catch {
    return false;
  }
}

/** What the card of a dataset folder says of its parts (`configs` in the head of README.md); null: nothing. */
function declaredFiles(
  folder: string,
  names: readonly string[],
  wanted: string | undefined,
): { files: { name: string; split: Split }[]; configs: string[] } | null {
  const configs = cardConfigs(folder);
  if (configs.length === 0) {
    if (wanted !== undefined) throw noConfig(folder, wanted, []);
    return null;
  }
  const known = configs.map(({ name }) => name);
  const config =
    wanted === undefined
      ? (configs.find(({ isDefault, name }) => isDefault || name === 'default') ?? configs[0]!)
      : configs.find(({ name }) => name === wanted);
  if (!config) throw noConfig(folder, wanted!, known);
  const files = filesOfConfig(config, names);
  return files.length === 0
    ? null
    : { files, configs: [config.name, ...known.filter((name) => name !== config.name)] };
}

/** Which of a folder's files a configuration names, each with its part. */
export function filesOfConfig(
  { parts }: CardConfig,
  names: readonly string[],
): { name: string; split: Split }[] {
  return parts.flatMap(({ split, patterns }) =>
    names
      .filter((name) => patterns.some((pattern) => globPattern(pattern).test(name)))
      .map((name) => ({ name, split: splitOfPath(split)?.split ?? 'train' })),
  );
}

function noConfig(folder: string, wanted: string, known: readonly string[]): StudioError {
  return new StudioError(
    'not_found',
    `${basename(folder)} has no configuration "${wanted}".`,
    known.length > 0 ? `There are ${known.join(', ')}.` : 'Leave it out: the folder declares none.',
  );
}

export interface CardConfig {
  name: string;
  isDefault: boolean;
  parts: { split: string; patterns: string[] }[];
}

function cardConfigs(folder: string): CardConfig[] {
  const path = join(folder, 'README.md');
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile() || stats.size > 16 * 1024 * 1024) return [];
  return configsOfCard(readFileSync(path, 'utf8'));
}

/** The configurations that a dataset card declares in its head. */
export function configsOfCard(text: string): CardConfig[] {
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1];
  if (head === undefined) return [];
  let card: unknown;
  try {
    card = parseYaml(head, { maxAliasCount: 100 });
  } catch {
    return [];
  }
  const configs = isObject(card) && Array.isArray(card['configs']) ? (card['configs'] as unknown[]) : [];
  return configs.filter(isObject).flatMap((config): CardConfig[] => {
    const { config_name: name, data_files: files } = config;
    const lists = Array.isArray(files) ? (files as unknown[]) : [files];
    const parts = lists.flatMap((part) => {
      if (typeof part === 'string') return [{ split: 'train', patterns: [part] }];
      if (!isObject(part)) return [];
      const patterns = [part['path']].flat().filter((one): one is string => typeof one === 'string');
      return [{ split: String(part['split'] ?? 'train'), patterns }];
    });
    if (parts.length === 0) return [];
    return [{ name: String(name ?? 'default'), isDefault: config['default'] === true, parts }];
  });
}

/** Patterns of file names as the Hub has them: `*` within a folder, `**` through folders, `?` for a letter. */
function globPattern(pattern: string): RegExp {
  const plain = pattern.slice(0, 500).replace(/^\.\//, '');
  const source = plain
    .split(/(\*\*\/?|\*|\?)/)
    .map((part) =>
      part.startsWith('**')
        ? '(?:.*/)?'
        : part === '*'
          ? '[^/]*'
          : part === '?'
            ? '[^/]'
            : part.replace(/[.+^${}()|[\]\\]/g, '\\$&'),
    )
    .join('');
  return new RegExp(`^${source}${plain.endsWith('**') ? '[^/]*' : ''}$`);
}
