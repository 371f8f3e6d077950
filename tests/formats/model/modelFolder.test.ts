import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import type { TensorToWrite } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** The tensors of a model folder, each read when its turn comes. */
function tensorsOf(weights: WeightFolder): TensorToWrite[] {
  return weights.names.map((name) => {
    const { dtype, shape } = weights.info(name)!;
    return { name, dtype, shape, data: () => weights.read(name) };
  });
}

function readAll(folder: string): Record<string, string> {
  const weights = new WeightFolder(folder);
  const all = Object.fromEntries(
    weights.names.toSorted().map((name) => [name, Buffer.from(weights.read(name)).toString('base64')]),
  );
  weights.close();
  return all;
}

const source = new WeightFolder(tinyLlama);
const model = { base: tinyLlama, tensors: tensorsOf(source), dtype: null, card: null };

it('writes one file of weights beside configuration and tokenizer', () => {
  const folder = join(temporaryFolder(), 'model');
  const names = writeModelFolder(folder, { ...model, card: '# card\n' });
  expect(names.toSorted()).toEqual(readdirSync(folder).toSorted());
  expect(names.toSorted()).toEqual([
    'README.md',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  expect(readAll(folder)).toEqual(readAll(tinyLlama));
});

it('cuts larger weights into shards with an index, as transformers does', () => {
  const folder = join(temporaryFolder(), 'model');
  const names = writeModelFolder(folder, { ...model, shardBytes: 60_000 });
  const shards = names.filter((name) => name.endsWith('.safetensors'));
  expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
  expect(shards.length).toBeGreaterThanOrEqual(4);
  const index = JSON.parse(readFileSync(join(folder, 'model.safetensors.index.json'), 'utf8')) as {
    metadata: { total_size: number };
    weight_map: Record<string, string>;
  };
  expect(Object.keys(index.weight_map).toSorted()).toEqual(source.names.toSorted());
  const sizes = source.names.map((name) => source.info(name)!.byteLength);
  expect(index.metadata.total_size).toBe(sizes.reduce((a, b) => a + b));
  expect(readAll(folder)).toEqual(readAll(tinyLlama));
});

it('names the type of the weights in either spelling, and leaves a configuration without one alone', () => {
  const base = join(temporaryFolder(), 'base');
  cpSync(tinyLlama, base, { recursive: true });
  const written = (config: object) => {
    writeFileSync(join(base, 'config.json'), JSON.stringify(config));
    const folder = join(temporaryFolder(), 'model');
    writeModelFolder(folder, { ...model, base, dtype: 'F32' });
    return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as unknown;
  };
  expect(written({ a: 1, torch_dtype: 'bfloat16' })).toEqual({ a: 1, torch_dtype: 'float32' });
  expect(written({ dtype: 'float16' })).toEqual({ dtype: 'float32' });
  expect(written({ a: 1 })).toEqual({ a: 1 });
});

it('takes the licence along, follows links, and leaves weights, adapters and code of the base behind', () => {
  const base = join(temporaryFolder(), 'base');
  cpSync(join(fixtures, 'tiny-llama-sharded'), base, { recursive: true });
  for (const name of ['LICENSE.txt', 'adapter_config.json', 'modeling_own.py', 'pytorch_model.bin'])
    writeFileSync(join(base, name), 'x');
  rmSync(join(base, 'tokenizer.json'));
  symlinkSync(join(tinyLlama, 'tokenizer.json'), join(base, 'tokenizer.json'));
  const folder = join(temporaryFolder(), 'model');
  writeModelFolder(folder, { ...model, base });
  expect(readdirSync(folder).toSorted()).toEqual([
    'LICENSE.txt',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  expect(readFileSync(join(folder, 'tokenizer.json'))).toEqual(
    readFileSync(join(tinyLlama, 'tokenizer.json')),
  );
});

it('overwrites nothing, and leaves nothing behind where a tensor cannot be read', () => {
  const parent = temporaryFolder();
  const taken = join(parent, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'thesis.txt'), 'x');
  expect(() => writeModelFolder(taken, model)).toThrow(/exists and is not empty/);
  expect(readdirSync(taken)).toEqual(['thesis.txt']);
  const failing = model.tensors.with(3, {
    ...model.tensors[3]!,
    data: () => {
      throw new Error('unreadable');
    },
  });
  expect(() => writeModelFolder(join(parent, 'new'), { ...model, tensors: failing })).toThrow('unreadable');
  expect(readdirSync(parent)).toEqual(['taken']);

  mkdirSync(join(parent, 'empty'));
  writeModelFolder(join(parent, 'empty'), model);
  expect(readdirSync(join(parent, 'empty'))).toContain('model.safetensors');
});
