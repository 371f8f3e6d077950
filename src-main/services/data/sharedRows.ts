import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Dataset, SharedRows } from '../../contract/entities.ts';
import { countShared, readRowKeys, type RowKey } from '../../data/rowKeys.ts';
import type { StoredDataset } from '../../data/readRows.ts';
import { factsColumn, type Reading } from '../../data/stored/rowReading.ts';
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

type Copy = StoredDataset & Reading;

/** Keys of a dataset's rows, in their order. */
export async function rowKeysOf({ paths }: Pick<Place, 'paths'>, dataset: Copy): Promise<Float64Array> {
  const found = await factsColumn(paths.datasets, dataset, 'key');
  if (found) return found;
  // Datasets from before facts were kept: found once for the same content.
  const kept = join(paths.cache, 'rows', `${dataset.contentHash}.${keysVersion}.keys`);
  if (existsSync(kept)) return floatsOf(readFileSync(kept));
  const keys = await readRowKeys(paths.datasets, dataset);
  writeFileAtomic(kept, [new Uint8Array(keys.buffer)]);
  return keys;
}

/** The benchmark whose test set has at least half of these rows; null: none. */
export function testSetOf(keys: readonly RowKey[]): string | null {
  return (
    splits().find((split) => keys.length > 0 && 2 * countShared(keys, split.keys) >= keys.length)?.name ??
    null
  );
}

/** Rows of benchmarks' test sets among a dataset's. */
export async function benchmarkRows(place: Pick<Place, 'paths'>, dataset: Copy): Promise<SharedRows[]> {
  const mine = await rowKeysOf(place, dataset);
  const found = splits().map(() => 0);
  const slots = slotsOf(mine);
  const slotsTaken = takenSlots();
  for (let i = 0; i < mine.length; i++) {
    if (!slotsTaken[slots[2 * i]! >>> slotShift]) continue;
    for (const [at, { keys }] of splits().entries()) if (keys.has(mine[i]!)) found[at]!++;
  }
  return splits().flatMap(({ name }, at) => shared(dataset, name, found[at]!));
}

/** Of a key's 64 bits the low 32 of its mantissa; the upper 20 of them are its slot. */
const slotShift = 12;
function slotsOf(keys: Float64Array): Uint32Array {
  return new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
}

let taken: Uint8Array | null = null;

/** Slots that a benchmark's row has: of a million other rows all but a few are known by them to be none. */
function takenSlots(): Uint8Array {
  if (taken) return taken;
  taken = new Uint8Array(2 ** (32 - slotShift));
  for (const { keys } of splits())
    for (const slot of slotsOf(Float64Array.from(keys)).filter((_, i) => i % 2 === 0))
      taken[slot >>> slotShift] = 1;
  return taken;
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
