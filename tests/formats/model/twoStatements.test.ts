import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { checkWeights } from '../../../src-main/formats/model/decoderWeights.ts';
import { modelFileNames } from '../../../src-main/formats/model/modelFiles.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import {
  SafetensorsFile,
  writeSafetensors,
  type TensorToWrite,
} from '../../../src-main/formats/files/safetensors.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { logitsOf } from '../../support/parity/parityCase.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { fixtures } from '../../support/paths.ts';
import recorded from './recorded/folders.json' with { type: 'json' };

type Change = (tensors: readonly TensorToWrite[]) => readonly TensorToWrite[];

const named = (tensors: readonly TensorToWrite[], name: string) =>
  tensors.find((tensor) => tensor.name === name)!;

/** As in generate_recorded.py. */
const changes: Record<string, Change> = {
  doubled: (tensors) =>
    tensors.map((tensor) => {
      if (tensor.name !== 'lm_head.weight') return tensor;
      const values = asFloat32(tensor.data as Uint8Array, 'F32').map((value) => value * 2);
      return { ...tensor, data: new Uint8Array(values.buffer) };
    }),
  twice: (tensors) => {
    const { data } = named(tensors, 'model.embed_tokens.weight');
    return tensors.map((tensor) => (tensor.name === 'lm_head.weight' ? { ...tensor, data } : tensor));
  },
  bare: (tensors) => tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, '') })),
  nested: (tensors) => tensors.map((tensor) => ({ ...tensor, name: `model.${tensor.name}` })),
};

/** Writes tiny-llama's weights into a folder, changed. */
function writeWeights(folder: string, change: Change): void {
  const file = new SafetensorsFile(join(fixtures, 'tiny-llama', 'model.safetensors'), 'internal');
  const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
    return { name, dtype, shape, data: file.read(name) };
  });
  file.close();
  writeSafetensors(join(folder, 'model.safetensors'), change(tensors));
}

describe('weights as transformers 5 reads them (recorded)', () => {
  it.each(recorded.cases)('$what', async ({ fixture, config, change, last }) => {
    const folder = patchedFolder(fixture, { 'config.json': config as Record<string, unknown> });
    if (change !== null) writeWeights(folder, changes[change]!);
    const found = (await logitsOf(folder, recorded.ids, null)).slice(-last.length);
    last.forEach((expected, i) => expect(Math.abs(found[i]! - expected), `logit ${i}`).toBeLessThan(1e-4));
  });
});

describe('ropes in two spellings, as transformers 5 reads them (recorded)', () => {
  it.each(recorded.ropes)('%j', ({ config, ropes }) => {
    const found = readDecoderConfig(patchedFolder('tiny-llama', { 'config.json': config })).ropes;
    const stated = ropes.map((rope: Record<string, unknown>) => ({
      theta: rope['rope_theta'],
      scaling:
        rope['rope_type'] === 'default'
          ? null
          : {
              type: rope['rope_type'],
              factor: rope['factor'],
              ...(rope['rope_type'] === 'yarn' && {
                originalContext: rope['original_max_position_embeddings'],
              }),
            },
    }));
    expect(found).toMatchObject(stated);
    expect(found).toHaveLength(stated.length);
  });
});

it('an index beside a complete file is no part of the model, whether its shards are there or not', () => {
  const folder = patchedFolder('tiny-llama-sharded', {});
  writeWeights(folder, (tensors) => tensors);
  const index = 'model.safetensors.index.json';
  expect(modelFileNames(folder)).not.toContain(index);
  cpSync(join(folder, 'model.safetensors'), join(folder, 'other.safetensors'));
  for (const name of Object.values(
    (JSON.parse(readFileSync(join(folder, index), 'utf8')) as { weight_map: Record<string, string> })
      .weight_map,
  ))
    rmSync(join(folder, name), { force: true });
  const weights = new WeightFolder(folder);
  expect(weights.paths).toEqual([join(folder, 'model.safetensors')]);
  weights.close();

  // config.json may name another file still.
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({
      ...(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object),
      transformers_weights: 'other.safetensors',
    }),
  );
  expect(modelFileNames(folder)).toContain('other.safetensors');
  expect(modelFileNames(folder)).not.toContain('model.safetensors');
});

describe('weights that config.json denies, or that are not all there, are refused with both statements', () => {
  const refusal = (folder: string): unknown => {
    const weights = new WeightFolder(folder);
    try {
      checkWeights(readDecoderConfig(folder), weights);
      return null;
    } catch (error) {
      return error;
    } finally {
      weights.close();
    }
  };
  const config = (patch: Record<string, unknown>, fixture = 'tiny-llama') =>
    patchedFolder(fixture, { 'config.json': patch });
  const weightsOf = (change: Change) => {
    const folder = config({});
    writeWeights(folder, change);
    return folder;
  };
  const without = (pattern: RegExp) =>
    weightsOf((tensors) => tensors.filter(({ name }) => !pattern.test(name)));

  it.each<[string, () => string, RegExp]>([
    ['more layers', () => config({ num_hidden_layers: 1 }), /have model\.layers\.1\..*num_hidden_layers 1/],
    [
      'fewer layers',
      () => config({ num_hidden_layers: 3 }),
      /num_hidden_layers 3; the weights have 2 layers/,
    ],
    [
      'biases',
      () => config({ model_type: 'llama', attention_bias: false }, 'tiny-qwen2'),
      /k_proj\.bias, but config\.json says model_type llama without that bias/,
    ],
    [
      'norms',
      () => config({ model_type: 'llama' }, 'tiny-qwen3'),
      /k_norm\.weight, but config\.json says model_type llama/,
    ],
    [
      'another vocabulary',
      () => config({ vocab_size: 90 }),
      /lm_head.weight is \[101,48\].*\[90,48\]|embed.*\[90,48\]/,
    ],
    ['no output layer', () => without(/^lm_head/), /tie_word_embeddings.*lack lm_head\.weight/],
    [
      'names of another module',
      () => weightsOf((tensors) => tensors.map((t) => ({ ...t, name: `base_model.model.${t.name}` }))),
      /named as those within another module: base_model\.model\.model\.embed_tokens\.weight/,
    ],
  ])('%s', (_, folder, message) => {
    expect(refusal(folder())).toMatchObject({
      code: 'model_invalid',
      message: expect.stringMatching(message) as string,
      remedy: expect.not.stringMatching(/again/) as string,
    });
  });

  it('what follows from config.json, or belongs to another head, counts for nothing', () => {
    const data = new Uint8Array(24);
    const further = ['model.layers.0.self_attn.rotary_emb.inv_freq', 'score.weight'];
    const folder = weightsOf((tensors) => [
      ...tensors,
      ...further.map((name) => ({ name, dtype: 'F32' as const, shape: [6], data })),
    ]);
    expect(refusal(folder)).toBeNull();
  });

  it('quantized weights of which config.json says nothing are named so', () => {
    const folder = weightsOf((tensors) =>
      tensors.map((tensor) =>
        tensor.name.endsWith('.q_proj.weight')
          ? { ...tensor, name: tensor.name.replace('weight', 'qweight') }
          : tensor,
      ),
    );
    expect(refusal(folder)).toMatchObject({
      code: 'model_unsupported',
      message: expect.stringMatching(/quantized: tensor .*qweight/) as string,
    });
  });
});
