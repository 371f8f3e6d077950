import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { openTestCore } from '../../support/core.ts';
import { writeBase } from '../../support/parity/llamaCpp.ts';
import { logitsOf } from '../../support/parity/parityCase.ts';
import { maxDifference } from '../../support/parity/recordedValues.ts';
import { fixtures, hasSharedData, sharedData, sharedNote } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const { core } = openTestCore();
afterAll(() => core.close());
const work = temporaryFolder();
const ids = [1, 20, 33, 47, 5, 90, 14];

/** A GGUF file of a fixture. */
function fileOf(model: string, type: 'F32' | 'Q8_0' | 'F16' = 'F32'): string {
  const path = join(work, `${model}-${type}.gguf`);
  writeBase(join(fixtures, model), path, type);
  return path;
}

describe('a GGUF file as a model', () => {
  it.each([
    'tiny-llama',
    'tiny-llama-rope',
    'tiny-llama-yarn',
    'tiny-qwen2',
    'tiny-qwen3',
    'tiny-phi3-long',
    'tiny-gemma',
  ])('%s: computes and reads what the folder does that it was made of', async (name) => {
    const model = await core.models.add({ folder: fileOf(name), name, copy: false });
    const original = join(fixtures, name);
    const [a, b] = [new WeightFolder(model.folder), new WeightFolder(original)];
    expect(a.names.sort()).toEqual(b.names.sort());
    // Gemma's norms are stored with their 1, which takes the last bits.
    const isExact = name !== 'tiny-gemma';
    for (const tensor of a.names)
      if (isExact || !tensor.includes('norm'))
        expect(Buffer.compare(a.read(tensor), b.read(tensor)), tensor).toBe(0);
    a.close();
    b.close();
    const difference = maxDifference(
      await logitsOf(model.folder, ids, null),
      await logitsOf(original, ids, null),
    );
    expect(difference).toBeLessThan(isExact && name !== 'tiny-llama-rope' ? 1e-6 : 1e-4);
    const [mine, theirs] = [loadTokenizer(model.folder), loadTokenizer(original)];
    const text = 'Hi there,\n"who" is 42?';
    expect(mine.encode(text, { specialTokens: true })).toEqual(theirs.encode(text, { specialTokens: true }));
    expect(mine.endIds).toEqual(theirs.endIds);
    expect(readDecoderConfig(model.folder).contextLength).toBe(readDecoderConfig(original).contextLength);
  });

  it('says that it is dequantized, and stays where it lies', async () => {
    const file = fileOf('tiny-qwen2', 'Q8_0');
    const bytes = readFileSync(file);
    const model = await core.models.add({ folder: file, name: 'eight', copy: false });
    // Rows of 48 numbers fill no blocks of 32, and are stored as F16.
    expect(model).toMatchObject({ dtype: 'F32', copied: true });
    expect(model.quantization).toMatch(/^GGUF Q8_0 \d\d %, F16 \d\d %/);
    expect(await core.models.add({ folder: file, copy: false })).toMatchObject({ id: model.id });
    core.models.remove('eight');
    expect(readFileSync(file)).toEqual(bytes);
  });

  it('is found in a folder, and copied where that is asked for', async () => {
    const folder = join(work, 'downloaded');
    mkdirSync(folder);
    copyFileSync(fileOf('tiny-llama', 'F16'), join(folder, 'tiny.F16.gguf'));
    const model = await core.models.add({ folder, name: 'copy', copy: true });
    writeFileSync(join(folder, 'tiny.F16.gguf'), '');
    expect((await logitsOf(model.folder, ids, null)).length).toBe(7 * 101);
    writeFileSync(join(folder, 'other.gguf'), '');
    await expect(core.models.add({ folder, copy: false })).rejects.toMatchObject({
      code: 'model_invalid',
      message: expect.stringContaining('2 GGUF files') as string,
    });
  });

  it('is refused by name where it is damaged, of another architecture, or no model, and nothing stays', async () => {
    const good = readFileSync(fileOf('tiny-llama'));
    const bad = async (change: (bytes: Buffer) => Buffer, message: RegExp) => {
      const path = join(work, 'bad.gguf');
      writeFileSync(path, change(Buffer.from(good)));
      const before = core.models.list().length;
      await expect(core.models.add({ folder: path, copy: false })).rejects.toThrow(message);
      expect(core.models.list()).toHaveLength(before);
    };
    const replaced = (from: string, to: string) => (bytes: Buffer) =>
      Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1');
    await bad((bytes) => bytes.subarray(0, bytes.length - 1000), /ends at byte .*truncated/);
    await bad(replaced('GGUF', 'GGML'), /begins with "GGML"/);
    await bad(replaced('\u0005\0\0\0\0\0\0\0llama', '\u0005\0\0\0\0\0\0\0bloom'), /architecture "bloom"/);
    await bad(
      replaced('\u0004\0\0\0\0\0\0\0gpt2', '\u0004\0\0\0\0\0\0\0bert'),
      /tokenizer of the kind "bert"/,
    );
    await bad(replaced('trillion', 'whatever'), /splits texts as "whatever"/);
    await bad(replaced('blk.1.ffn_up', 'blk.1.ffn_uq'), /lack the tensor model\.layers\.1\.mlp\.up_proj/);
    await bad((bytes) => {
      // NaN in the last number of the last tensor.
      bytes.writeUInt32LE(0x7fc00000, bytes.length - 4 - 16);
      return bytes;
    }, /NaN or infinite/);
    expect(existsSync(join(work, 'bad.gguf'))).toBe(true);
  });
});

it.skipIf(!hasSharedData)(`cuts texts by scores as sentencepiece's merges do${sharedNote}`, async () => {
  const original = sharedData('stories260K-hf');
  const path = join(work, 'stories.gguf');
  writeBase(original, path);
  const model = await core.models.add({ folder: path, copy: false });
  const [mine, theirs] = [loadTokenizer(model.folder), loadTokenizer(original)];
  for (const text of ['Once upon a time', ' Lily  said "hi"\n', 'ünïcödé 🙂 42', 'Tom</s> and <s>']) {
    const encoded = theirs.encode(text, { specialTokens: true });
    expect(mine.encode(text, { specialTokens: true })).toEqual(encoded);
    expect(mine.decode(encoded)).toBe(theirs.decode(encoded));
  }
});
