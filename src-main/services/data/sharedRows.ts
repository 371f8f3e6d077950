import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Dataset, SharedRows } from '../../contract/entities.ts';
import { countShared, readRowKeys, type RowKey } from '../../data/rowKeys.ts';
import type { StoredDataset } from '../../data/readRows.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { datasets } from '../../store/library.ts';
import type { ServiceContext } from '../context.ts';

type Place = Pick<ServiceContext, 'paths' | 'database'>;

/** The test sets of benchmarks, recognized by their rows whatever a file is called (resources/splits/README.md). */
export const knownSplits = [
  { name: 'GSM8K test', file: 'gsm8k-test.keys' },
  { name: 'HumanEval', file: 'humaneval.keys' },
  { name: 'MMLU test', file: 'mmlu-test.keys' },
  { name: 'CommonsenseQA dev', file: 'commonsenseqa-dev.keys' },
  { name: 'XSTest', file: 'xstest.keys' },
] as const;

let readSplits: { name: string; keys: ReadonlySet<RowKey> }[] | null = null;

/** Read once a process: they change with the studio alone. */
function splits(): { name: string; keys: ReadonlySet<RowKey> }[] {
  readSplits ??= knownSplits.map(({ name, file }) => ({
    name,
    keys: new Set(floatsOf(readFileSync(new URL(`../../../resources/splits/${file}`, import.meta.url)))),
  }));
  return readSplits;
}

function floatsOf(bytes: Buffer): Float64Array {
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Version of the keys: files of another are not read. */
const keysVersion = 2;

type Copy = StoredDataset & Pick<Dataset, 'contentHash'>;

/** Keys of a dataset's rows, in their order; found once for the same content. */
export async function rowKeysOf({ paths }: Place, dataset: Copy): Promise<Float64Array> {
  const kept = keyFile(paths, dataset.contentHash);
  if (existsSync(kept)) return floatsOf(readFileSync(kept));
  const keys = await readRowKeys(paths.datasets, dataset);
  writeFileAtomic(kept, [new Uint8Array(keys.buffer)]);
  return keys;
}

/** Keeps keys that were found while the rows were read. */
export function keepRowKeys({ paths }: Pick<Place, 'paths'>, contentHash: string, keys: Float64Array): void {
  writeFileAtomic(keyFile(paths, contentHash), [
    new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength),
  ]);
}

function keyFile({ cache }: Place['paths'], contentHash: string): string {
  return join(cache, 'rows', `${contentHash}.${keysVersion}.keys`);
}

/** The benchmark whose test set has at least half of these rows; null: none. */
export function testSetOf(keys: readonly RowKey[]): string | null {
  return (
    splits().find((split) => keys.length > 0 && 2 * countShared(keys, split.keys) >= keys.length)?.name ??
    null
  );
}

/** Rows of benchmarks' test sets among a dataset's. */
export async function benchmarkRows(place: Place, dataset: Copy): Promise<SharedRows[]> {
  const mine = await rowKeysOf(place, dataset);
  return splits().flatMap(({ name, keys }) => shared(dataset, name, countShared(mine, keys)));
}

/** What rows of a dataset stand elsewhere, too: in benchmarks' test sets, and in other datasets of the library. */
export async function sharedRows(place: Place, dataset: Dataset): Promise<SharedRows[]> {
  const found = await benchmarkRows(place, dataset);
  const mine = await rowKeysOf(place, dataset);
  const known = new Set(mine);
  for (const other of datasets.list(place.database)) {
    if (other.id === dataset.id) continue;
    const theirs = (await rowKeysOf(place, other)).filter((key) => known.has(key));
    for (const rows of shared(dataset, other.name, countShared(mine, new Set(theirs)))) found.push(rows);
    // A large library takes a while: the process has other things to do in between.
    await setImmediate();
  }
  return found;
}

function shared({ rows: of }: Pick<Dataset, 'rows'>, name: string, rows: number): SharedRows[] {
  return rows === 0 ? [] : [{ with: name, rows, of }];
}
