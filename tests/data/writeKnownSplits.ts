import { writeFileSync } from 'node:fs';
import { rowKey } from '../../src-main/data/rowKeys.ts';
import { readFileRows } from '../../src-main/data/readFileRows.ts';

/** Keys of a GSM8K file's rows. usage: node tests/data/writeKnownSplits.ts SOURCE TARGET */
export async function keysOfGsm8k(path: string): Promise<Float64Array> {
  const keys: number[] = [];
  for await (const { row } of readFileRows(path, 'gsm8k')) keys.push(rowKey(row));
  return Float64Array.from(keys).sort();
}

const [, script, source, target] = process.argv;
if (script?.endsWith('writeKnownSplits.ts') && source && target)
  writeFileSync(target, new Uint8Array((await keysOfGsm8k(source)).buffer));
