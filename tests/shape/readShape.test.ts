import { describe, expect, it } from 'vitest';
import { baseParameters, presets } from '../../src-main/shape/modelShape.ts';
import { readShape } from '../../src-main/shape/readShape.ts';

const llama = {
  model_type: 'somellama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
};

describe('a configuration of an unknown architecture', () => {
  it('is counted from Hugging Face keys and from those of other families', () => {
    expect(readShape(llama).shape).toEqual(presets['llama-3-8b']);
    const other = readShape({ n_embd: 768, n_inner: 3072, n_layer: 12, n_head: 12, vocab_size: 50257 });
    expect(other.shape).toMatchObject({ headDim: 64, keyValueHeads: 12 });
    expect(other.notes.join(' ')).toContain('This model is counted as a decoder');
    const nested = readShape({ model_type: 'sees', text_config: llama });
    expect(baseParameters(nested.shape!)).toBe(8_030_261_248);
  });
  it('asks for what is missing, and takes it', () => {
    const { intermediate_size: _, vocab_size: __, ...rest } = llama;
    expect(readShape(rest)).toMatchObject({ shape: null, missing: ['intermediateSize', 'vocabularySize'] });
    const given = { intermediateSize: 14336, vocabularySize: 128256 };
    expect(readShape(rest, given).shape).toEqual(presets['llama-3-8b']);
  });
  it('names values that cannot be, and mixtures of experts', () => {
    expect(readShape({ ...llama, num_hidden_layers: 3.5 }).problems).toEqual([
      'num_hidden_layers is 3.5: a whole number from 1 is needed.',
    ]);
    expect(readShape({ ...llama, num_attention_heads: 33 }).problems[0]).toContain('no multiple of 33 heads');
    expect(readShape({ ...llama, num_local_experts: 8 }).notes[1]).toContain('num_local_experts');
    for (const value of [null, 3, 'text', []]) expect(readShape(value).missing.length).toBe(5);
  });
});
