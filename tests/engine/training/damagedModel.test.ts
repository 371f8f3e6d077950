import { join } from 'node:path';
import { expect, it } from 'vitest';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny } from '../../support/trainingRun.ts';

const damaged = 'model.layers.0.self_attn.q_proj.weight';

/** tiny-llama with one value of one matrix changed, in f32. */
function damagedModel(value: number): string {
  const folder = join(temporaryFolder(), 'damaged');
  const weights = new WeightFolder(tinyLlama);
  try {
    const tensors = weights.names.map((name) => {
      const { dtype, shape } = weights.info(name)!;
      const wide = Float32Array.from(asFloat32(weights.read(name), dtype));
      if (name === damaged) wide[3 * shape[1]! + 1] = value;
      return { name, dtype: 'F32' as const, shape, data: () => new Uint8Array(wide.buffer) };
    });
    writeModelFolder(folder, { base: tinyLlama, tensors, dtype: 'F32', card: null });
  } finally {
    weights.close();
  }
  return folder;
}

it.each([Number.NaN, Infinity, -Infinity])(
  'seeks no pivots in a matrix with %s, and names it',
  async (value) => {
    const config = {
      adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2 },
      maxSteps: 1,
      batch: 1,
    } as const;
    await expect(
      trainTiny({ config, modelFolder: damagedModel(value), folder: temporaryFolder() }),
    ).rejects.toMatchObject({
      code: 'model_invalid',
      message: `${damaged} has a value in row 3 that is no finite number.`,
    });
  },
);

it('does not train on a damaged base in 8 bits as if it were whole', async () => {
  const config = {
    adapter: { method: 'lora', rank: 4, alpha: 8 },
    maxSteps: 4,
    batch: 1,
    loadIn8bit: true,
  } as const;
  await expect(
    trainTiny({ config, modelFolder: damagedModel(Number.NaN), folder: temporaryFolder() }),
  ).rejects.toMatchObject({
    code: 'loss_not_finite',
    remedy: expect.stringMatching(/^No step could be applied .* weights of the model/) as string,
  });
});
