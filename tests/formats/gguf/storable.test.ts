import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { writeGgufAdapter } from '../../../src-main/formats/gguf/adapterFile.ts';
import { writeGgufModel } from '../../../src-main/formats/gguf/modelFile.ts';
import { quantized, type WrittenType } from '../../../src-main/formats/gguf/quantize.ts';
import { refuseUnstorable } from '../../../src-main/formats/gguf/storable.ts';
import { expectedWeights } from '../../../src-main/formats/model/decoderWeights.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

const config = readDecoderConfig(tinyLlama);
const types: WrittenType[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'];

/** Two blocks of the longest kind with one number among small ones, and what is said to it. */
function check(type: WrittenType, value: number): () => void {
  const values = Float32Array.from({ length: 512 }, (_, i) => (i === 300 ? value : Math.sin(i)));
  return () => refuseUnstorable('w', { values, bytes: quantized(values, type), type });
}

it.each(types)('%s takes what it holds, and nothing that is none', (type) => {
  expect(check(type, type === 'F32' ? 3e38 : 6e4)).not.toThrow();
  for (const value of [NaN, Infinity, -Infinity])
    expect(check(type, value)).toThrow(`w has the value ${value}, which no exported file is to hold.`);
});

it.each([
  ['F16', 65520, 'w has the value 65520, and F16 holds numbers up to 65504.'],
  ['BF16', 3.4e38, 'and BF16 holds numbers up to 3.39'],
  ...(['Q8_0', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'] as const).map(
    (type) =>
      [type, -1e9, `w has the value -1000000000, and ${type} holds scales of blocks up to 65504.`] as const,
  ),
] as const)('%s refuses %d by name', (type, value, message) => {
  expect(check(type, value)).toThrow(message);
});

it('a model with such a number is not written, nor an adapter', () => {
  const name = 'model.layers.1.mlp.up_proj.weight';
  const weights = [...expectedWeights(config)].map(([own, shape]) => ({
    name: own,
    shape,
    rows(begin: number, end: number) {
      const values = new Float32Array((end - begin) * (shape[1] ?? 1));
      if (own === name) values[5] = 1e5;
      return values;
    },
  }));
  const path = join(temporaryFolder(), 'model.gguf');
  const general = [{ key: 'general.name', type: 'string', value: 'base' } as const];
  const model = { config, folder: tinyLlama, weights, chatTemplate: null, general, written: () => undefined };
  expect(() => writeGgufModel(path, { ...model, type: 'F16' })).toThrow(
    `${name} has the value 100000, and F16`,
  );
  expect(existsSync(path)).toBe(false);
  writeGgufModel(path, { ...model, type: 'BF16' });
  const site = { layer: 0, module: 'o_proj' } as const;
  const read = () => ({
    down: new Float32Array(config.hiddenSize),
    up: new Float32Array(config.hiddenSize).fill(NaN),
    rank: 1,
  });
  const out = join(temporaryFolder(), 'adapter.gguf');
  expect(() =>
    writeGgufAdapter(out, { config, general, sites: [{ site, rank: 1, scale: 1, read }] }),
  ).toThrow('model.layers.0.self_attn.o_proj.lora_B has the value NaN');
  expect(existsSync(out)).toBe(false);
});
