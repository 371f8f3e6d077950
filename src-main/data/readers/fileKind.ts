import { foreignFile } from '../foreignFiles.ts';
import { isObject } from '../mapping/fields.ts';
import { parseJson } from './parseRow.ts';
import type { ByteSource } from './source.ts';
import { headOf } from './source.ts';

export type FileKind = 'json' | 'table' | 'parquet' | 'text' | 'markdown';
export type Packing = 'gzip' | 'zstd' | 'zip';

const kinds: Record<string, FileKind> = {
  json: 'json',
  jsonl: 'json',
  jsonlines: 'json',
  ndjson: 'json',
  csv: 'table',
  tsv: 'table',
  tab: 'table',
  parquet: 'parquet',
  txt: 'text',
  text: 'text',
  md: 'markdown',
  markdown: 'markdown',
};

const packings: Record<string, Packing> = { gz: 'gzip', gzip: 'gzip', zst: 'zstd', zstd: 'zstd', zip: 'zip' };

/** What a file's name says; null where it says nothing. */
export function kindByName(name: string): { kind: FileKind | null; packing: Packing | null; bare: string } {
  const ending = /\.([^./\\]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  const packing = packings[ending] ?? null;
  const bare = packing === null ? name : name.slice(0, -(ending.length + 1));
  const inner = /\.([^./\\]+)$/.exec(bare)?.[1]?.toLowerCase() ?? '';
  return { kind: kinds[inner] ?? null, packing, bare };
}

/** How a file is packed, by its first bytes. */
export function packingOf(head: Uint8Array): Packing | null {
  const begins = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  if (begins(0x1f, 0x8b)) return 'gzip';
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  return begins(0x50, 0x4b, 0x03, 0x04) ? 'zip' : null;
}

/**
 * What a file is by its first bytes, where its name does not say it or says it wrongly.
 * @throws StudioError dataset_invalid for what is known to be something else
 */
export async function kindOf(source: ByteSource, byName: FileKind | null): Promise<FileKind> {
  const head = await headOf(source, 65_536);
  const begin = Buffer.from(head.subarray(0, 4)).toString('latin1');
  if (begin === 'PAR1') return 'parquet';
  const foreign = foreignFile(source.name, head);
  if (foreign) throw foreign;
  if (byName === 'json' || byName === 'table' || byName === 'markdown') return byName;
  const text = Buffer.from(head)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .trimStart();
  if (text.startsWith('[{') || /^\[\s*\{/.test(text)) return 'json';
  if (text.startsWith('{') && beginsWithObject(text)) return 'json';
  return byName ?? 'text';
}

function beginsWithObject(text: string): boolean {
  const [line = '', second] = text.split('\n');
  // Longer than what was looked at, or over several lines.
  if (second === undefined || line.trim() === '{') return true;
  try {
    return isObject(parseJson(line));
  } catch {
    return false;
  }
}
