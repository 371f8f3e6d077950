import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDecoderConfig } from '../../src-main/formats/huggingFaceConfig.ts';
import { rotaryFrequencies } from '../../src-main/engine/model/rotary.ts';

const llama = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  vocab_size: 100,
};

function read(config: object, generation?: object) {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-config-'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  if (generation) writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(generation));
  return readDecoderConfig(folder);
}

it('fills in the defaults of each family', () => {
  expect(read(llama)).toMatchObject({
    keyValueHeads: 8,
    headDim: 8,
    rmsEpsilon: 1e-6,
    ropes: [{ theta: 10_000, dimensions: 8, scaling: null }],
    tieEmbeddings: false,
    queryKeyValueBias: false,
  });
  expect(read({ ...llama, model_type: 'mistral', sliding_window: 32 })).toMatchObject({
    keyValueHeads: 8,
    layerKinds: [
      { window: 32, rope: 0 },
      { window: 32, rope: 0 },
    ],
  });
  expect(read({ ...llama, model_type: 'qwen2', num_key_value_heads: 2 })).toMatchObject({
    queryKeyValueBias: true,
    outputBias: false,
    layerKinds: [
      { window: null, rope: 0 },
      { window: null, rope: 0 },
    ],
  });
  expect(read({ ...llama, model_type: 'qwen3', num_key_value_heads: 2 })).toMatchObject({
    headDim: 128,
    queryKeyNorm: 'head',
  });
});

it('reads the older and the newer spelling of rope alike', () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const older = read({ ...llama, rope_theta: 500000, rope_scaling: { type: 'llama3', ...scaling } });
  const newer = read({ ...llama, rope_parameters: { rope_theta: 500000, rope_type: 'llama3', ...scaling } });
  expect(older).toEqual(newer);
  expect(newer).toMatchObject({
    ropes: [{ theta: 500000, scaling: { type: 'llama3', factor: 8, originalContext: 8192 } }],
  });
});

it('joins the end ids of both files, one or several', () => {
  expect(read({ ...llama, eos_token_id: [5, 6] }, { eos_token_id: [6, 7] }).eosIds).toEqual([5, 6, 7]);
  expect(read({ ...llama, eos_token_id: 5 }).eosIds).toEqual([5]);
});

describe('refuses by name', () => {
  it.each<[object, string, RegExp]>([
    [{ ...llama, model_type: 'gpt2' }, 'model_unsupported', /architecture "gpt2"/],
    [{ ...llama, hidden_act: 'gelu' }, 'model_unsupported', /activation "gelu"/],
    [{ ...llama, rope_scaling: { rope_type: 'xpos' } }, 'model_unsupported', /rope scaling "xpos"/],
    [{ ...llama, quantization_config: {} }, 'model_unsupported', /quantised/],
    [{ ...llama, num_attention_heads: 0 }, 'model_invalid', /num_attention_heads/],
    [{ ...llama, hidden_size: 1e12 }, 'model_invalid', /hidden_size/],
    [{ ...llama, num_key_value_heads: 3 }, 'model_invalid', /8 attention heads are no multiple of 3/],
    [{ ...llama, num_attention_heads: 7 }, 'model_invalid', /head size 9.14/],
  ])('%j', (config, code, message) => {
    expect(() => read(config)).toThrow(message);
    try {
      read(config);
    } catch (error) {
      expect(error).toMatchObject({ code });
    }
  });
});

it("llama3's rope scaling: high frequencies stay, low ones are divided, between them it is smooth (values of transformers)", () => {
  const frequencies = rotaryFrequencies(
    {
      theta: 500000,
      dimensions: 128,
      scaling: {
        type: 'llama3',
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalContext: 8192,
      },
    },
    1,
  );
  expect(frequencies[0]).toBe(1);
  expect(frequencies[63]! * 8).toBeCloseTo(500000 ** -(63 / 64), 12);
  expect(frequencies.every((f, i) => i === 0 || f < frequencies[i - 1]!)).toBe(true);
});
