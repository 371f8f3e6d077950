import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { expectedWeights } from '../../../src-main/formats/model/decoderWeights.ts';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { writeBase } from '../../support/parity/llamaCpp.ts';
import { llamaQuantized, storedTensors } from '../../support/parity/llamaQuantize.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Rows of 256 numbers, and enough layers for each branch of llama.cpp's rule. */
const wide = { hidden_size: 256, intermediate_size: 256, num_hidden_layers: 9, num_attention_heads: 4 };

const cases: { name: string; model: string; config?: Record<string, unknown> }[] = [
  { name: 'tiny-qwen3', model: 'tiny-qwen3' },
  { name: 'tiny-phi3', model: 'tiny-phi3' },
  { name: 'wide llama', model: 'tiny-llama', config: { ...wide, num_key_value_heads: 2, head_dim: 64 } },
  { name: 'wide phi3', model: 'tiny-phi3', config: { ...wide, num_key_value_heads: 4 } },
];

/** The model with other sizes and drawn weights. */
function drawnModel(model: string, config: Record<string, unknown>): string {
  const described = patchedFolder(model, { 'config.json': config });
  const random = createRandom(5);
  const tensors = [...expectedWeights(readDecoderConfig(described))].map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = Float32Array.from({ length: count }, () => (random.next() + random.next() - 1) * 0.05);
    return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) };
  });
  const folder = join(temporaryFolder(), 'model');
  writeModelFolder(folder, { base: described, tensors, dtype: 'F32', card: null });
  return folder;
}

it.each(cases)('Q4_K_M is what llama-quantize makes, tensor by tensor: $name', ({ name, model, config }) => {
  const folder = config ? drawnModel(model, config) : join(fixtures, model);
  const [plain, own] = ['F32', 'Q4_K_M'].map((type) => join(temporaryFolder(), `${type}.gguf`));
  writeBase(folder, plain!);
  writeBase(folder, own!, 'Q4_K_M');
  const found = storedTensors(own!);
  expect(found).toEqual(llamaQuantized(name, plain!));
  if (config)
    expect(found.types).toMatchObject({
      Q4_K: expect.any(Number) as number,
      Q6_K: expect.any(Number) as number,
    });
});
