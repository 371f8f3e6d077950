import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StudioError } from '../../../src-main/contract/errors.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { openTestCore } from '../../support/core.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';

let core: Core;
beforeAll(() => {
  ({ core } = openTestCore());
});
afterAll(() => core.close());

/** What the studio says of tiny-llama with one thing changed. */
async function refusal(change: (folder: string) => void, config: object = {}): Promise<StudioError> {
  const folder = patchedFolder('tiny-llama', { 'config.json': { ...config } });
  change(folder);
  const added: unknown = await core.models.add({ folder, copy: false }).catch((error: unknown) => error);
  expect(core.models.list()).toEqual([]);
  return added as StudioError;
}

const weights = 'model.safetensors';
const rewrite = (folder: string, name: string, bytes: (before: Buffer) => Uint8Array | string) => {
  writeFileSync(join(folder, name), bytes(readFileSync(join(folder, name))));
};
const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 1044992\n';

describe('quantized checkpoints are named before their weights are read', () => {
  it.each([
    ['FP8', { quantization_config: { quant_method: 'fp8' } }, /quantized by fp8/],
    ['GPTQ', { quantization_config: { quant_method: 'gptq', bits: 4 } }, /quantized by gptq/],
    ['AWQ', { quantization_config: { quant_method: 'awq' } }, /quantized by awq/],
    [
      'compressed-tensors',
      { quantization_config: { quant_method: 'compressed-tensors' } },
      /compressed-tensors/,
    ],
    ['MLX', { quantization: { group_size: 64, bits: 4 } }, /quantized by MLX/],
  ])('%s', async (_, config, message) => {
    for (const spoil of [() => {}, (folder: string) => truncateSync(join(folder, weights), 100)])
      expect(await refusal(spoil, config)).toMatchObject({
        code: 'model_unsupported',
        message: expect.stringMatching(message) as string,
        remedy: expect.stringMatching(/unquantized/) as string,
      });
  });
});

describe('files that are something else are named for what they are, with what helps', () => {
  it.each<[string, (folder: string) => void, RegExp, RegExp]>([
    [
      'weights as a Git LFS pointer',
      (folder) => rewrite(folder, weights, () => pointer),
      /^model\.safetensors is a Git LFS pointer/,
      /git lfs pull/,
    ],
    [
      'a tokenizer as a Git LFS pointer',
      (folder) => rewrite(folder, 'tokenizer.json', () => pointer),
      /^tokenizer\.json is a Git LFS pointer/,
      /git lfs pull/,
    ],
    [
      'weights compressed with gzip',
      (folder) => rewrite(folder, weights, gzipSync),
      /^model\.safetensors is compressed with gzip/,
      /gunzip/,
    ],
    [
      'a configuration compressed with gzip',
      (folder) => rewrite(folder, 'config.json', gzipSync),
      /^config\.json is compressed with gzip/,
      /gunzip/,
    ],
    [
      'a pickle under the name of safetensors',
      (folder) => rewrite(folder, weights, () => 'PK\x03\x04archive/data.pkl'),
      /zip archive or a pickle/,
      /save_pretrained/,
    ],
    [
      'a web page',
      (folder) => rewrite(folder, weights, () => '<!DOCTYPE html><html><title>401</title>'),
      /is a web page/,
      /hf auth login/,
    ],
    ['GGUF', (folder) => rewrite(folder, weights, () => 'GGUF\x03'), /is a GGUF file/, /ends with \.gguf/],
    [
      'nothing',
      (folder) => rewrite(folder, weights, () => ''),
      /^model\.safetensors is empty/,
      /hf download/,
    ],
    [
      'zeros',
      (folder) => rewrite(folder, weights, ({ length }) => Buffer.alloc(length)),
      /begins with zeros/,
      /hf download/,
    ],
    ...([weights, 'config.json', 'tokenizer.json'] as const).map(
      (name): [string, (folder: string) => void, RegExp, RegExp] => [
        `${name} as a link of a broken download`,
        (folder) => {
          rmSync(join(folder, name));
          symlinkSync('../../blobs/0123abcd', join(folder, name));
        },
        new RegExp(`^${name.replace('.', '\\.')} is a link to \\.\\./\\.\\./blobs/0123abcd`),
        /hf download/,
      ],
    ),
    [
      'a tokenizer of SentencePiece alone',
      (folder) => renameSync(join(folder, 'tokenizer.json'), join(folder, 'tokenizer.model')),
      /its tokenizer as tokenizer\.model only/,
      /AutoTokenizer/,
    ],
    [
      'a configuration within another object',
      (folder) => rewrite(folder, 'config.json', (before) => `{"config": ${before.toString()}}`),
      /one level down, as "config"/,
      /Write what stands under "config"/,
    ],
  ])('%s', async (_, change, message, remedy) => {
    const error = await refusal(change);
    expect(error).toMatchObject({
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
    expect(error.remedy).not.toMatch(/again|base model/);
  });

  it('damaged weights are to be fetched in a way that replaces them', async () => {
    const error = await refusal((folder) => truncateSync(join(folder, weights), 1000));
    expect(error).toMatchObject({
      message: expect.stringMatching(/model\.safetensors is damaged/) as string,
      remedy: expect.stringMatching(
        /^Copy it from its source once more, or delete it and fetch it: hf download REPOSITORY model\.safetensors --local-dir \S+tiny-llama\.$/,
      ) as string,
    });
  });

  it.each<[string, Record<string, unknown>, RegExp, RegExp]>([
    [
      'a shard that is not there',
      { a: 'one.safetensors' },
      /one\.safetensors is missing/,
      /hf download REPOSITORY one\.safetensors/,
    ],
    [
      'a shard elsewhere',
      { a: '../one.safetensors' },
      /not a file of the folder/,
      /^Take the model\.safetensors\.index\.json of these/,
    ],
    [
      'a tensor in two shards',
      { a: 'model.safetensors', b: 'copy.safetensors' },
      /stored twice/,
      /from one model/,
    ],
  ])('%s: what is said helps', async (_, map, message, remedy) => {
    const error = await refusal((folder) => {
      renameSync(join(folder, weights), join(folder, 'first.safetensors'));
      copyFileSync(join(folder, 'first.safetensors'), join(folder, 'copy.safetensors'));
      const names = Object.fromEntries(
        Object.entries(map).map(([key, name]) => [key, name === weights ? 'first.safetensors' : name]),
      );
      writeFileSync(join(folder, `${weights}.index.json`), JSON.stringify({ weight_map: names }));
    });
    expect(error).toMatchObject({
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
  });

  it('a configuration with a byte order mark is read', async () => {
    const folder = patchedFolder('tiny-llama', {});
    rewrite(folder, 'config.json', (before) => `\uFEFF${before.toString()}`);
    const model = await core.models.add({ folder, copy: false });
    core.models.remove(model.id);
    core.trash.empty();
  });
});

describe('values that are no numbers', () => {
  const spoil = (tensor: string) => (folder: string) => {
    const file = new SafetensorsFile(join(folder, weights), 'internal');
    const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
      const data = file.read(name);
      if (name === tensor) new Float32Array(data.buffer)[5 * shape.at(-1)! + 1] = NaN;
      return { name, dtype, shape, data };
    });
    file.close();
    writeSafetensors(join(folder, weights), tensors);
  };

  it('are said when the model is added, with the tensor', async () => {
    const name = 'model.layers.1.mlp.up_proj.weight';
    expect(await refusal(spoil(name))).toMatchObject({
      code: 'model_invalid',
      message: expect.stringContaining(
        `${name} has values that are NaN or infinite, the first in row 5`,
      ) as string,
      remedy: expect.stringMatching(/before they went wrong/) as string,
    });
  });

  it('in an embedding that is no output layer leave the model usable: only some texts have them', async () => {
    const folder = patchedFolder('tiny-llama', {});
    spoil('model.embed_tokens.weight')(folder);
    const model = await core.models.add({ folder, copy: false });
    core.models.remove(model.id);
    core.trash.empty();
  });
});
