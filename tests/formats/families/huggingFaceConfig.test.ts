import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { rotaryFrequencies } from '../../../src-main/engine/model/rotary.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const llama = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  vocab_size: 100,
};

function read(config: object, generation?: object) {
  const folder = temporaryFolder();
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

/** The windows of the layers, as a list. */
const windows = (config: object) => read(config).layerKinds.map(({ window }) => window);
const four = { ...llama, num_hidden_layers: 4, num_key_value_heads: 2 };

describe('windows', () => {
  it("a Mistral's holds for every layer: absent it is 4096, null is none", () => {
    expect(windows({ ...four, model_type: 'mistral' })).toEqual([4096, 4096, 4096, 4096]);
    expect(windows({ ...four, model_type: 'mistral', sliding_window: null })).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it.each(['qwen2', 'qwen3'])(
    "a %s's counts only with use_sliding_window, from max_window_layers on",
    (family) => {
      const qwen = { ...four, model_type: family, sliding_window: 32, max_window_layers: 3 };
      const none = [null, null, null, null];
      expect(windows(qwen)).toEqual(none);
      expect(windows({ ...qwen, use_sliding_window: true })).toEqual([null, null, null, 32]);
      expect(windows({ ...qwen, use_sliding_window: true, max_window_layers: 28 })).toEqual(none);
    },
  );

  it('layer_types decide where a family has them', () => {
    const layer_types = ['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention'];
    for (const family of ['ministral', 'gemma2', 'gemma3_text'])
      expect(windows({ ...four, model_type: family, layer_types, sliding_window: 8 })).toEqual([
        null,
        8,
        8,
        null,
      ]);
    // A Mistral's are ignored, as in transformers.
    expect(windows({ ...four, model_type: 'mistral', layer_types, sliding_window: 8 })).toEqual([8, 8, 8, 8]);
  });

  it('Gemma alternates by default: every second layer, every sixth sees all', () => {
    expect(windows({ ...four, model_type: 'gemma2' })).toEqual([4096, null, 4096, null]);
    const types = windows({ ...four, model_type: 'gemma3_text', num_hidden_layers: 7, sliding_window: 512 });
    expect(types).toEqual([512, 512, 512, 512, 512, null, 512]);
  });

  it('SmolLM3 leaves layers without positions, and these slide', () => {
    const { layerKinds } = read({
      ...four,
      model_type: 'smollm3',
      use_sliding_window: true,
      sliding_window: 16,
    });
    expect(layerKinds.map(({ rope }) => rope)).toEqual([0, 0, 0, null]);
    expect(layerKinds.map(({ window }) => window)).toEqual([null, null, null, 16]);
    expect(
      read({ ...four, model_type: 'smollm3', no_rope_layers: [0, 1, 1, 0] }).layerKinds[0]!.rope,
    ).toBeNull();
  });
});

it('OLMo 3: three of four layers slide, with a rope that is not scaled', () => {
  const rope_scaling = { rope_type: 'yarn', factor: 8, original_max_position_embeddings: 8192 };
  const olmo = { ...four, model_type: 'olmo3', max_position_embeddings: 65_536, rope_theta: 500_000 };
  expect(read({ ...olmo, rope_scaling })).toMatchObject({
    ropes: [
      { theta: 500_000, scaling: { type: 'yarn', factor: 8, originalContext: 8192 } },
      { theta: 500_000, scaling: null },
    ],
    layerKinds: [...Array.from({ length: 3 }, () => ({ window: 4096, rope: 1 })), { window: null, rope: 0 }],
    normPlacement: 'after',
    queryKeyNorm: 'projection',
  });
});

describe('EXAONE 4', () => {
  const exaone = { ...four, model_type: 'exaone4' };

  it('rotates every layer where none slides, as in the small one', () => {
    const small = read({ ...exaone, sliding_window: null, sliding_window_pattern: 0 });
    expect(small.layerKinds).toEqual(Array.from({ length: 4 }, () => ({ window: null, rope: 0 })));
    expect(small).toMatchObject({ normPlacement: 'after', queryKeyNorm: 'head', queryKeyValueBias: false });
  });

  it('rotates only layers that slide where some do, as in the large one', () => {
    const large = { ...exaone, sliding_window: 32, sliding_window_pattern: 'LLLG' };
    const layer_types = [...Array<string>(3).fill('sliding_attention'), 'full_attention'];
    const kinds = [
      ...Array.from({ length: 3 }, () => ({ window: 32, rope: 0 })),
      { window: null, rope: null },
    ];
    expect(read({ ...large, layer_types }).layerKinds).toEqual(kinds);
    expect(read({ ...large, sliding_window_pattern: 4 }).layerKinds).toEqual(kinds);
  });
});

it('a dynamic rope stretches the context', () => {
  const rope_scaling = { type: 'dynamic', factor: 2.5 };
  expect(read({ ...llama, max_position_embeddings: 4096, rope_scaling }).contextLength).toBe(10240);
});

it('Gemma 2: caps, scale of scores and embeddings, absent or null', () => {
  const gemma = { ...four, model_type: 'gemma2', head_dim: 16 };
  expect(read(gemma)).toMatchObject({
    attentionSoftcap: 50,
    finalSoftcap: 30,
    attentionScale: 1 / 16,
    embeddingScale: 8,
    activation: 'geluTanh',
    normPlacement: 'both',
    normGainOffset: 1,
    tieEmbeddings: true,
  });
  const bare = { ...gemma, attn_logit_softcapping: null, final_logit_softcapping: null };
  expect(read({ ...bare, query_pre_attn_scalar: 144 })).toMatchObject({
    attentionSoftcap: null,
    finalSoftcap: null,
    attentionScale: 1 / 12,
  });
});

it('biases that a family does not have are not asked for', () => {
  const biased = { ...four, attention_bias: true, mlp_bias: true };
  const biases = (family: string) => {
    const { queryKeyValueBias, outputBias, mlpBias } = read({ ...biased, model_type: family });
    return [queryKeyValueBias, outputBias, mlpBias];
  };
  expect(biases('llama')).toEqual([true, true, true]);
  expect(biases('mistral')).toEqual([false, false, false]);
  expect(biases('phi3')).toEqual([false, false, false]);
  expect(biases('qwen2')).toEqual([true, false, false]);
  expect(biases('qwen3')).toEqual([true, true, false]);
});

it('takes the end ids of generation_config.json before those of config.json, one or several', () => {
  expect(read({ ...llama, eos_token_id: [5, 6] }, { eos_token_id: [6, 7] }).eosIds).toEqual([6, 7]);
  expect(read({ ...llama, eos_token_id: 5 }, {}).eosIds).toEqual([5]);
});

describe('refuses by name', () => {
  it.each<[object, string, RegExp]>([
    [{ ...llama, model_type: 'gpt2' }, 'model_unsupported', /architecture "gpt2"/],
    [{ ...llama, model_type: 'mixtral' }, 'model_unsupported', /"mixtral".* mixture of experts/],
    [{ ...llama, model_type: 'qwen3_moe' }, 'model_unsupported', /"qwen3_moe".* mixture of experts/],
    [{ ...llama, model_type: 'phimoe' }, 'model_unsupported', /"phimoe".* mixture of experts/],
    [{ ...llama, model_type: 'gemma3' }, 'model_unsupported', /"gemma3".* parts for images/],
    [{ ...llama, model_type: 'mistral3' }, 'model_unsupported', /"mistral3".* parts for images/],
    [{ ...llama, model_type: 'qwen2_5_vl' }, 'model_unsupported', /"qwen2_5_vl".* parts for images/],
    [{ ...llama, model_type: 'llama4' }, 'model_unsupported', /"llama4".* parts for images/],
    [{ ...llama, model_type: 'gemma3n' }, 'model_unsupported', /"gemma3n".* embeddings of their own/],
    [{ ...llama, model_type: 'cohere' }, 'model_unsupported', /"cohere".* LayerNorm/],
    [{ ...llama, model_type: 'qwen3_next' }, 'model_unsupported', /"qwen3_next".* recurrent/],
    [{ ...llama, model_type: 'nemotron_h' }, 'model_unsupported', /"nemotron_h".* recurrent/],
    [{ ...llama, model_type: 'falcon_h1' }, 'model_unsupported', /"falcon_h1".* recurrent/],
    [{ ...llama, model_type: 'glm4' }, 'model_unsupported', /"glm4".* neighbouring numbers/],
    [{ ...llama, model_type: 'hunyuan_v1_dense' }, 'model_unsupported', /after it rotates them/],
    [{ ...llama, model_type: 7 }, 'model_unsupported', /architecture 7 .*checked against transformers/],
    [{ ...llama, model_type: 'new' }, 'model_unsupported', /"new" .*checked against transformers/],
    [{ ...llama, model_type: 'own', auto_map: { AutoModel: 'x.Y' } }, 'model_unsupported', /never run/],
    [
      { ...llama, model_type: undefined, architectures: ['LlamaForCausalLM'] },
      'model_unsupported',
      /no model_type, only the class LlamaForCausalLM/,
    ],
    [{ ...llama, clip_qkv: 8 }, 'model_unsupported', /clip_qkv 8/],
    [{ ...llama, vision_config: {} }, 'model_unsupported', /parts for images/],
    [{ ...llama, num_local_experts: 8 }, 'model_unsupported', /mixture of 8 experts/],
    [{ ...llama, use_bidirectional_attention: true }, 'model_unsupported', /encoder/],
    [
      { ...four, model_type: 'qwen2', layer_types: ['chunked_attention', 'x', 'x', 'x'] },
      'model_unsupported',
      /type "chunked_attention"/,
    ],
    [
      { ...llama, partial_rotary_factor: 0.5 },
      'model_unsupported',
      /partial_rotary_factor 0.5 .* Phi-3 only/,
    ],
    [
      { ...llama, model_type: 'phi3', rope_scaling: { type: 'dynamic', factor: 2 } },
      'model_unsupported',
      /Phi-3 has no rope scaling "dynamic"/,
    ],
    [
      {
        ...llama,
        model_type: 'phi3',
        rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1] },
      },
      'model_invalid',
      /short_factor must be a list of 4/,
    ],
    [{ ...llama, rope_scaling: { type: 'linear' } }, 'model_invalid', /no factor/],
    [{ ...llama, rope_scaling: { type: 'linear', factor: -2 } }, 'model_invalid', /factor must be .* -2/],
    [{ ...llama, rope_scaling: { type: 'llama3', factor: 8 } }, 'model_invalid', /no low_freq_factor/],
    [
      { ...four, model_type: 'qwen2', layer_types: Array(4).fill('sliding_attention') },
      'model_invalid',
      /layer 0 is of type sliding_attention, but there is no sliding_window/,
    ],
    [
      { ...four, model_type: 'qwen2', layer_types: ['full_attention'] },
      'model_invalid',
      /names 1 layers of 4/,
    ],
    [{ ...llama, hidden_act: 'gelu' }, 'model_unsupported', /activation "gelu"/],
    [{ ...llama, rope_scaling: { rope_type: 'xpos' } }, 'model_unsupported', /rope scaling "xpos"/],
    [{ ...llama, quantization_config: {} }, 'model_unsupported', /quantized/],
    [{ ...llama, compression_config: {} }, 'model_unsupported', /quantized \(compression_config/],
    [
      { ...four, model_type: 'exaone4', sliding_window_pattern: 'LLLG' },
      'model_invalid',
      /sliding_window_pattern "LLLG".* no layer_types/,
    ],
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
