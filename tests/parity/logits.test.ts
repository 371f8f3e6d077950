import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { adapterFolderOf, logitsOf, parityCases, recordedValues } from '../support/parity/parityCase.ts';
import { floats, maxDifference } from '../support/parity/recordedValues.ts';
import { fixtures, hasSharedData, recorded, sharedData, sharedNote } from '../support/paths.ts';

it.each(parityCases)(
  '$name: logits with the adapter, loaded from its folder',
  async ({ name, rows, model }) => {
    const actual = await logitsOf(join(fixtures, model), rows[0]!, adapterFolderOf(name));
    // PyTorch computes explicit A_i = W[S_i]; we gather from the base output.
    const values = recordedValues(name);
    expectWithin('logits', name, maxDifference(actual, floats(values, 'logits')));
    values.close();
  },
);

it('a sharded model gives the same logits as the single file, bit for bit', async () => {
  const ids = [1, 5, 9, 40, 77, 3];
  const single = await logitsOf(join(fixtures, 'tiny-llama'), ids, null);
  const sharded = await logitsOf(join(fixtures, 'tiny-llama-sharded'), ids, null);
  expect(sharded).toEqual(single);
});

it("weights in 4 bits: logits equal those of bitsandbytes' own dequantization", async () => {
  const { ids, logits } = JSON.parse(readFileSync(join(recorded, 'packed', 'logits.json'), 'utf8')) as {
    ids: number[];
    logits: number[][];
  };
  const actual = await logitsOf(join(recorded, 'packed', 'model'), ids, null);
  expect(maxDifference(actual, Float32Array.from(logits.flat()))).toBeLessThan(1e-4);
});

it.skipIf(!hasSharedData)(
  `stories260K: logits equal transformers' over 256 tokens${sharedNote}`,
  async () => {
    const file = new SafetensorsFile(join(recorded, 'stories260k.safetensors'), 'internal');
    const ids = [...new Int32Array(file.read('ids').buffer)];
    const all = await logitsOf(sharedData('stories260K-hf'), ids, null);
    const expected = floats(file, 'logits');
    const everyEighth = expected.map((_, i) => all[Math.floor(i / 512) * 8 * 512 + (i % 512)]!);
    expectWithin('logits', 'stories260K', maxDifference(everyEighth, expected));
    file.close();
  },
);
