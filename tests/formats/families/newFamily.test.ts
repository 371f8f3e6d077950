import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { family } from '../../../src-main/formats/families/family.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { llamaRules } from '../../../src-main/formats/families/llama.ts';
import { families } from '../../../src-main/formats/families/registry.ts';
import { asFloat32, asStored } from '../../../src-main/formats/files/floats.ts';
import { writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { logitsOf } from '../../support/parity/parityCase.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { lossesOf, trainTiny } from '../../support/trainingRun.ts';

/**
 * A family that nobody needs: a Llama whose embeddings are stored divided by `embedding_divisor`, whose norms store
 * their gains less 1, and whose logits are divided by `heat`. Both keys are its own.
 */
const warm = family({ embedding_divisor: z.number().positive(), heat: z.number().positive() }, (keys) => ({
  ...llamaRules(keys),
  contextLength: 77,
  normGainOffset: 1,
  embeddingScale: keys.embedding_divisor,
  logitScale: 1 / keys.heat,
}));

/** All that the rest of the studio is told of it: a line in the registry. A test file has modules of its own. */
Object.assign(families, { warm });

/** tiny-llama, written down as one of that family. */
function warmLlama(keys: object): string {
  const folder = join(temporaryFolder(), 'warm');
  mkdirSync(folder);
  const llama = JSON.parse(readFileSync(join(tinyLlama, 'config.json'), 'utf8')) as object;
  const config = { ...llama, model_type: 'warm', max_position_embeddings: undefined, ...keys };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    writeFileSync(join(folder, name), readFileSync(join(tinyLlama, name)));
  const weights = new WeightFolder(tinyLlama);
  const tensors = weights.names.map((name) => {
    const { shape, dtype } = weights.info(name)!;
    const values = asFloat32(weights.read(name), dtype).map((value) =>
      name.endsWith('norm.weight') ? value - 1 : name.includes('embed_tokens') ? value / 4 : value,
    );
    return { name, dtype: 'F32' as const, shape, data: asStored(values, 'F32') };
  });
  weights.close();
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}

const own = { embedding_divisor: 4, heat: 2 };

it('is read with its own keys and defaults', () => {
  expect(readDecoderConfig(warmLlama(own))).toMatchObject({
    family: 'warm',
    contextLength: 77,
    logitScale: 0.5,
  });
  expect(() => readDecoderConfig(warmLlama({ ...own, heat: 'much' }))).toThrow(/config\.json: heat: /);
});

it('is computed', async () => {
  const folder = warmLlama(own);
  const ids = [1, 20, 33, 47, 5, 90, 14];
  const [expected, found] = [await logitsOf(tinyLlama, ids, null), await logitsOf(folder, ids, null)];
  found.forEach((value, i) => {
    expect(Math.abs(value - expected[i]! / 2), `logit ${i}`).toBeLessThan(1e-4);
  });
});

it('is trained', async () => {
  const adapter = { method: 'lora' as const, rank: 2, alpha: 4 };
  const config = { adapter, maxSteps: 3, batch: 13, context: 32, learningRate: 1e-2 };
  const { events } = await trainTiny({ config, folder: temporaryFolder(), modelFolder: warmLlama(own) });
  const losses = lossesOf(events);
  expect(losses).toHaveLength(3);
  expect(losses[2]).toBeLessThan(losses[0]!);
});

it('is named where a model is refused', () => {
  try {
    readDecoderConfig(warmLlama({ model_type: 'constructor' }));
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({
      code: 'model_unsupported',
      remedy: expect.stringContaining('warm') as string,
    });
  }
});
