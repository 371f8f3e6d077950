import {
  cpSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { listModelCache } from '../../../src-main/services/models/modelCache.ts';
import { cacheFolder, tokenFile } from '../../../src-main/services/models/hub/places.ts';
import { addToCache } from '../../support/hub/cacheFolder.ts';
import { openTestCore } from '../../support/core.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

it('finds cache and token where Hugging Face programs keep them', () => {
  expect(cacheFolder({ HF_HUB_CACHE: '/a', HF_HOME: '/b' })).toEqual({ folder: '/a', setBy: 'HF_HUB_CACHE' });
  expect(cacheFolder({ HF_HOME: '/b', XDG_CACHE_HOME: '/c' })).toEqual({
    folder: '/b/hub',
    setBy: 'HF_HOME',
  });
  expect(cacheFolder({ XDG_CACHE_HOME: '/c' })).toEqual({
    folder: '/c/huggingface/hub',
    setBy: 'XDG_CACHE_HOME',
  });
  expect(cacheFolder({})).toEqual({ folder: join(homedir(), '.cache', 'huggingface', 'hub'), setBy: null });
  expect(tokenFile({ HF_HOME: '/b' })).toBe('/b/token');
  expect(tokenFile({ HF_TOKEN_PATH: '/t', HF_HOME: '/b' })).toBe('/t');
});

describe('the Hugging Face cache', () => {
  let core: Core;
  let folder: string;
  const list = () => listModelCache(core.models.list(), { folder, setBy: null });
  beforeEach(() => {
    ({ core } = openTestCore());
    folder = temporaryFolder();
  });
  afterEach(() => core.close());

  it('is empty where there is none', async () => {
    folder = join(folder, 'none');
    expect(await list()).toMatchObject({ exists: false, models: [], problems: [] });
  });

  it('lists snapshots with size and shape, and knows which are used', async () => {
    const snapshot = addToCache(folder, 'meta-llama/tiny', tinyLlama);
    addToCache(folder, 'old', join(fixtures, 'tiny-llama-sharded'), { commit: 'b'.repeat(40), ref: null });
    mkdirSync(join(folder, 'datasets--openai--gsm8k', 'snapshots'), { recursive: true });
    writeFileSync(join(folder, 'version.txt'), '1');
    const cache = await list();
    expect(cache.problems).toEqual([]);
    expect(cache.models.map(({ repository, refs }) => [repository, refs])).toEqual([
      ['meta-llama/tiny', ['main']],
      ['old', []],
    ]);
    expect(cache.models[0]).toMatchObject({ family: 'llama', unusable: null, modelId: null });
    const before = readdirSync(folder, { recursive: true });

    const model = await core.models.add({ folder: snapshot, copy: false });
    expect(model).toMatchObject({
      name: 'tiny',
      folder: snapshot,
      copied: false,
      origin: { repository: 'meta-llama/tiny', commit: 'a'.repeat(40) },
    });
    expect(cache.models[0]!.sizeBytes).toBeGreaterThan(model.sizeBytes);
    expect(cache.models[0]!.parameters).toBe(model.parameters);
    expect((await list()).models[0]!.modelId).toBe(model.id);
    core.models.remove(model.id);
    core.trash.empty();
    expect(readdirSync(folder, { recursive: true })).toEqual(before);
  });

  it('takes the repository’s folder for its main snapshot', async () => {
    const snapshot = addToCache(folder, 'meta-llama/tiny', tinyLlama);
    const model = await core.models.add({ folder: dirname(dirname(snapshot)), copy: false });
    expect(model.folder).toBe(snapshot);
  });

  it('says of each snapshot what helps it, whatever else is broken beside', async () => {
    const blobOf = (snapshot: string, name: string) => join(snapshot, readlinkSync(join(snapshot, name)));
    const quantized = addToCache(
      folder,
      'a/quantized',
      patchedFolder('tiny-llama', {
        'config.json': { quantization_config: { quant_method: 'gptq' } },
        'README.md': {},
      }),
    );
    rmSync(blobOf(quantized, 'README.md'));
    const cut = addToCache(folder, 'b/cut', tinyLlama);
    truncateSync(blobOf(cut, 'model.safetensors'), 1000);
    const halved = addToCache(folder, 'c/halved', tinyLlama);
    rmSync(blobOf(halved, 'tokenizer.json'));

    const [first, second, third] = (await list()).models.map(({ unusable }) => unusable!);
    // The link of its README is broken, too; fetching that would change nothing.
    expect(first).toMatchObject({
      code: 'model_unsupported',
      message: expect.stringMatching(/gptq/) as string,
    });
    expect(first!.remedy).not.toMatch(/fetch|download/i);
    // A plain download leaves what its cache has.
    expect(second!.remedy).toMatch(
      /^Fetch it once more: hf download b\/cut model\.safetensors --revision a{40} --force-download/,
    );
    expect(third).toMatchObject({
      message: expect.stringMatching(/^tokenizer\.json is a link to/) as string,
      remedy: expect.stringMatching(/^Fetch it: hf download c\/halved tokenizer\.json/) as string,
    });
  });

  it('names broken links, half downloads and folders that cannot be read, beside what is well', async () => {
    addToCache(folder, 'good/model', tinyLlama);
    const broken = addToCache(folder, 'broken/links', tinyLlama);
    const blobs = join(dirname(dirname(broken)), 'blobs');
    for (const name of readdirSync(blobs)) rmSync(join(blobs, name));
    writeFileSync(join(blobs, 'abc.incomplete'), 'x'.repeat(1000));
    mkdirSync(join(folder, 'models--half--begun', 'blobs'), { recursive: true });
    writeFileSync(join(folder, 'models--half--begun', 'blobs', 'def.incomplete'), 'x'.repeat(500));
    // A file where a folder should be: the same failure as a folder one may not read, also for root.
    mkdirSync(join(folder, 'models--not--folder'));
    writeFileSync(join(folder, 'models--not--folder', 'snapshots'), 'x');
    writeFileSync(join(folder, 'models--a--file'), 'x');
    const round = join(folder, 'models--round--links', 'snapshots', 'c'.repeat(40));
    mkdirSync(round, { recursive: true });
    symlinkSync('config.json', join(round, 'config.json'));
    const notSafe = join(temporaryFolder(), 'pickle');
    mkdirSync(notSafe);
    cpSync(join(tinyLlama, 'config.json'), join(notSafe, 'config.json'));
    writeFileSync(join(notSafe, 'pytorch_model.bin'), 'x');
    addToCache(folder, 'pickled/model', notSafe);

    const cache = await list();
    const byName = Object.fromEntries(cache.models.map((model) => [model.repository, model]));
    expect(Object.keys(byName)).toEqual(['broken/links', 'good/model', 'pickled/model', 'round/links']);
    expect(byName['good/model']!.unusable).toBeNull();
    expect(byName['broken/links']!.problems).toContain('config.json links to a file that is not there.');
    expect(byName['broken/links']!.unusable).toMatchObject({
      message: expect.stringMatching(/^config\.json is a link to .*, which does not exist/) as string,
      remedy: `Fetch it: hf download broken/links config.json --revision ${'a'.repeat(40)}.`,
    });
    expect(byName['round/links']!.unusable!.message).toMatch(/^config\.json is a link to config\.json/);
    expect(byName['pickled/model']!.unusable!.remedy).toMatch(/pickled/);
    expect(cache.unfinished).toEqual([
      { repository: 'broken/links', files: 1, sizeBytes: 1000 },
      { repository: 'half/begun', files: 1, sizeBytes: 500 },
    ]);
    expect(cache.problems.map(({ path }) => path.slice(folder.length + 1))).toEqual(
      expect.arrayContaining(['models--not--folder/snapshots', 'models--a--file/snapshots']),
    );
  });
});
