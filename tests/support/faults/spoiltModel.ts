import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import type { TokenRow } from '../../../src-main/formats/files/tokenFile.ts';
import { temporaryFolder } from '../temporaryFolder.ts';
import { tinyLlama } from '../paths.ts';

/** The token of `spoiltModel` whose embedding is NaN, and its text. */
export const spoiltToken = 96;
export const spoiltText = '~';

/** tiny-llama with one embedding that is NaN: rows with that token have no finite loss, all others are as ever. */
export function spoiltModel(): string {
  const folder = temporaryFolder();
  cpSync(tinyLlama, folder, { recursive: true });
  const file = new SafetensorsFile(join(tinyLlama, 'model.safetensors'), 'internal');
  const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
    const values = new Float32Array(file.read(name).buffer);
    if (name === 'model.embed_tokens.weight')
      values.fill(NaN, spoiltToken * shape[1]!, (spoiltToken + 1) * shape[1]!);
    return { name, dtype, shape, data: new Uint8Array(values.buffer) };
  });
  file.close();
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}

/** Rows of random tokens; those whose numbers are given have the spoilt token. */
export function rowsWithSpoilt(count: number, spoilt: readonly number[]): TokenRow[] {
  const random = createRandom(9);
  return Array.from({ length: count }, (_, row) => ({
    ids: Int32Array.from({ length: 16 }, (__, i) =>
      i === 5 && spoilt.includes(row) ? spoiltToken : 3 + random.integer(90),
    ),
    trained: new Uint8Array(16).fill(1),
  }));
}
