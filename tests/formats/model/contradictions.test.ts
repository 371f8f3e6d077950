import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findContradictions } from '../../../src-main/formats/model/contradictions.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';

const single = 'model.safetensors';
const index = 'model.safetensors.index.json';

/** Writes the weights of a folder anew into a file there; one number of a tensor may be another. */
function copyWeights(folder: string, target: string, changed?: string): void {
  const file = new SafetensorsFile(join(folder, single), 'internal');
  const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
    const data = Uint8Array.from(file.read(name));
    if (name === changed) data[data.length - 2]! ^= 1;
    return { name, dtype, shape, data };
  });
  file.close();
  writeSafetensors(join(folder, target), tensors);
}

/** An index that names one file as the place of all tensors of tiny-llama. */
function writeIndex(folder: string, shard: string): void {
  const file = new SafetensorsFile(join(folder, single), 'internal');
  const map = Object.fromEntries([...file.tensors.keys()].map((name) => [name, shard]));
  file.close();
  writeFileSync(join(folder, index), JSON.stringify({ weight_map: map }));
}

const plain = (config: Record<string, unknown> = {}) =>
  patchedFolder('tiny-llama', { 'config.json': config });

it.each(['tiny-llama', 'tiny-llama-sharded', 'tiny-gemma', 'tiny-smollm3', 'tiny-phi3', 'tiny-qwen3'])(
  'a sound folder has none: %s',
  (fixture) => {
    expect(findContradictions(patchedFolder(fixture, {}))).toEqual([]);
  },
);

/** A SmolLM3 that is tiny-llama. */
const rotated = { no_rope_layers: [1, 1] };

it('config.json ties an output layer of which the weights have another', () => {
  const [found, ...more] = findContradictions(plain({ tie_word_embeddings: true }));
  expect(more).toEqual([]);
  expect(found).toMatch(/tie_word_embeddings is true.*lm_head\.weight of other values/);
  expect(findContradictions(plain({ tie_word_embeddings: null }))).toEqual([]);
  expect(findContradictions(plain({ tie_word_embeddings: null, model_type: 'smollm3', ...rotated }))).toEqual(
    [expect.stringMatching(/smollm3 ties them where nothing is said/)],
  );
});

it('an index names other weights than the complete file beside it', () => {
  const folder = plain();
  writeIndex(folder, single);
  expect(findContradictions(folder)).toEqual([]);
  writeIndex(folder, 'all.safetensors');
  expect(findContradictions(folder), 'its shard is not there').toEqual([]);
  copyWeights(folder, 'all.safetensors');
  expect(findContradictions(folder), 'the same weights').toEqual([]);
  copyWeights(folder, 'all.safetensors', 'model.norm.weight');
  expect(findContradictions(folder)).toEqual([
    expect.stringMatching(
      /two sets of weights: model\.safetensors and the files of model\.safetensors\.index\.json, which differ in model\.norm\.weight/,
    ),
  ]);
  writeFileSync(join(folder, index), '{');
  expect(findContradictions(folder), 'nothing reads it').toEqual([]);
});

it('config.json names other weights than the file that most programs read', () => {
  const folder = plain({ transformers_weights: 'all.safetensors' });
  copyWeights(folder, 'all.safetensors', 'lm_head.weight');
  expect(findContradictions(folder)).toEqual([
    expect.stringMatching(/all\.safetensors and model\.safetensors, which differ in lm_head\.weight/),
  ]);
});

it('tokenizer, config.json and generation_config.json end texts with different tokens', () => {
  const ends = (config: unknown, generation: unknown, own: string) => {
    const folder = patchedFolder('tiny-llama', {
      'config.json': { eos_token_id: config },
      'generation_config.json': { eos_token_id: generation },
      'tokenizer_config.json': { eos_token: own },
    });
    return findContradictions(folder);
  };
  expect(ends(2, 2, '</s>')).toEqual([]);
  expect(ends(2, [2, 5], '</s>')).toEqual([]);
  expect(ends(2, null, '</s>')).toEqual([]);
  expect(ends(null, null, '</s>')).toEqual([]);
  expect(ends(1, null, '</s>')).toEqual([
    expect.stringMatching(
      /^config\.json ends an answer with "<s>" \(id 1\), the tokenizer with "<\/s>" \(id 2\)/,
    ),
  ]);
  expect(ends(1, 2, '</s>')).toEqual([
    expect.stringMatching(
      /^generation_config\.json ends an answer with "<\/s>" \(id 2\), config\.json with "<s>" \(id 1\)/,
    ),
  ]);
  const folder = plain();
  rmSync(join(folder, 'tokenizer.json'));
  expect(findContradictions(folder), 'a text is not compared either').toEqual([]);
});
