import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFileRecords } from '../../src-main/data/fileRecords.ts';
import { rowKey, type RowKey } from '../../src-main/data/rowKeys.ts';

/** Each file of resources/splits, and what it is made from: a file, or all files of a folder. */
const sources = {
  'gsm8k-test': 'gsm8k/test.jsonl',
  humaneval: 'humaneval/HumanEval.jsonl.gz',
  'mmlu-test': 'mmlu/test',
  'commonsenseqa-dev': 'commonsenseqa/dev_rand_split.jsonl',
  xstest: 'xstest/xstest_prompts.csv',
} as const;
export type SplitName = keyof typeof sources;
export const splitNames = Object.keys(sources) as SplitName[];

function filesOf(data: string, name: SplitName): string[] {
  const place = join(data, sources[name]);
  return sources[name].includes('.') ? [place] : readdirSync(place).map((file) => join(place, file));
}

/** Keys of some files' rows, in their order. */
export async function keysOf(files: readonly string[]): Promise<RowKey[]> {
  const keys: RowKey[] = [];
  for (const file of files)
    for await (const row of (await openFileRecords(file)).rows()) keys.push(rowKey(row));
  return keys;
}

/**
 * The keys by which a test set is known, ascending. A question that it asks twice with other choices is no sign of it:
 * others may ask the same.
 * @param data folder with the benchmarks
 */
export async function knownKeys(data: string, name: SplitName): Promise<Float64Array> {
  const texts = new Map<RowKey, Set<string>>();
  for (const file of filesOf(data, name))
    for await (const row of (await openFileRecords(file)).rows()) {
      const asked = row.kind === 'chat' ? row.turns[0]!.content : JSON.stringify(row);
      texts.set(rowKey(row), (texts.get(rowKey(row)) ?? new Set()).add(asked));
    }
  const telling = [...texts].filter(([, asked]) => asked.size === 1).map(([key]) => key);
  return Float64Array.from(telling).sort();
}

/** usage: node tests/data/writeKnownSplits.ts FOLDER_WITH_BENCHMARKS */
const [, script, data] = process.argv;
if (script?.endsWith('writeKnownSplits.ts') && data)
  for (const name of splitNames) {
    const target = new URL(`../../resources/splits/${name}.keys`, import.meta.url);
    writeFileSync(target, new Uint8Array((await knownKeys(data, name)).buffer));
  }
