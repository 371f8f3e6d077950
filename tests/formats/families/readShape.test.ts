import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { baseParameters, presets } from '../../../src-main/shape/modelShape.ts';
import { readShape } from '../../../src-main/formats/families/readShape.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const llama = {
  model_type: 'somellama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
};

describe('a configuration of a family that the studio knows', () => {
  const configs = readdirSync(fixtures).filter((name) => name.startsWith('tiny-'));
  const textOf = (name: string) =>
    JSON.parse(readFileSync(join(fixtures, name, 'config.json'), 'utf8')) as Record<string, unknown>;

  it.each(configs)('%s has the shape that the engine builds, by the family’s own defaults', (name) => {
    const decoder = readDecoderConfig(join(fixtures, name));
    const read = readShape(textOf(name));
    expect(decoder).toMatchObject(read.shape!);
    expect(Object.keys(read.shape!).sort()).toEqual(Object.keys(presets['llama-3-8b']!).sort());
    expect(read.notes).toEqual([]);
    // Where it is silent, the family speaks: in the engine and in a plan alike.
    const { tie_word_embeddings: _, head_dim: __, ...silent } = textOf(name);
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'config.json'), JSON.stringify(silent));
    expect(readDecoderConfig(folder)).toMatchObject(readShape(silent).shape!);
  });

  it('is counted although the engine cannot train it, and with sizes that a person adds', () => {
    const gemma = textOf('tiny-gemma2');
    const { shape } = readShape(gemma);
    expect(shape).toMatchObject({ tieEmbeddings: true, normPlacement: 'both' });
    expect(readShape({ ...gemma, quantization_config: { quant_method: 'gptq' } }).shape).toEqual(shape);
    const { hidden_size, vocab_size, ...rest } = gemma;
    expect(readShape(rest)).toMatchObject({ shape: null, missing: ['hiddenSize', 'vocabularySize'] });
    const given = { hiddenSize: hidden_size as number, vocabularySize: vocab_size as number };
    expect(readShape(rest, given).shape).toEqual(shape);
    const nested = readShape({ model_type: 'sees', text_config: gemma });
    expect(nested).toMatchObject({ shape, notes: [expect.stringContaining('parts for images')] });
  });

  it('says why it cannot be', () => {
    const config = { ...textOf('tiny-llama'), num_attention_heads: 4, num_key_value_heads: 3 };
    expect(readShape(config)).toMatchObject({
      shape: null,
      problems: ['config.json: 4 attention heads are no multiple of 3 key/value heads.'],
    });
  });
});

describe('a configuration of an unknown architecture', () => {
  it('is counted from Hugging Face keys and from those of other families', () => {
    expect(readShape(llama).shape).toEqual(presets['llama-3-8b']);
    const other = readShape({ n_embd: 768, n_inner: 3072, n_layer: 12, n_head: 12, vocab_size: 50257 });
    expect(other.shape).toMatchObject({ headDim: 64, keyValueHeads: 12 });
    expect(other.notes.join(' ')).toContain('This model is counted as a decoder');
    expect(other.notes.join(' ')).toContain('(tie_word_embeddings)');
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
    expect(readShape({ ...llama, num_local_experts: 8 }).notes.at(-1)).toContain('num_local_experts');
    for (const value of [null, 3, 'text', []]) expect(readShape(value).missing.length).toBe(5);
  });
});
