import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { findToken, keepToken } from '../../../src-main/services/models/hub/hubToken.ts';
import { hubAccess } from '../../../src-main/services/models/hub/hubRequest.ts';
import { parseRepository } from '../../../src-main/services/models/hub/repository.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { startHubServer, type HubServer } from '../../support/hub/hubServer.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe('names', () => {
  it.each([
    ['Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', null],
    [' gpt2 ', 'gpt2', null],
    ['https://huggingface.co/meta-llama/Llama-3.2-1B', 'meta-llama/Llama-3.2-1B', null],
    ['https://huggingface.co/org/name/tree/v1.0', 'org/name', 'v1.0'],
  ])('%s', (given, repository, revision) => {
    expect(parseRepository(given)).toEqual({ repository, revision });
  });

  it.each(['', 'a/b/c', '../x', 'a/..', 'a b/c', 'a--b/c', '/etc/passwd', 'a/b?x=1', 'a/-b'])(
    'refuses %j',
    (given) => {
      expect(() => parseRepository(given)).toThrow(/no name of a repository/);
    },
  );
});

describe('the access token', () => {
  it('comes from the settings, then the environment, then the file of the command line', () => {
    const folder = temporaryFolder();
    const own = join(folder, 'own');
    writeFileSync(join(folder, 'token'), 'hf_file\n');
    const env = { HF_HOME: folder };
    expect(findToken(own, {})).toBeNull();
    expect(findToken(own, env)).toEqual({ value: 'hf_file', source: 'file' });
    expect(findToken(own, { ...env, HF_TOKEN: 'hf_env' })).toEqual({
      value: 'hf_env',
      source: 'environment',
    });
    keepToken(own, 'hf_own');
    expect(findToken(own, { ...env, HF_TOKEN: 'hf_env' })).toEqual({ value: 'hf_own', source: 'settings' });
    expect(statSync(own).mode & 0o777).toBe(0o600);
    keepToken(own, null);
    expect(existsSync(own)).toBe(false);
  });

  it('is nothing that could end a header’s line', () => {
    const own = join(temporaryFolder(), 'own');
    expect(() => keepToken(own, 'hf_a\r\nX-Other: 1')).toThrow(/no access token/);
    expect(existsSync(own)).toBe(false);
    expect(findToken(own, { HF_TOKEN: 'a b' })).toBeNull();
  });
});

it('takes endpoint, offline and patience from the environment', () => {
  const none = () => null;
  expect(hubAccess(none, {})).toMatchObject({ endpoint: 'https://huggingface.co', isOffline: false });
  expect(hubAccess(none, { HF_ENDPOINT: 'https://mirror.example/', HF_HUB_OFFLINE: '1' })).toMatchObject({
    endpoint: 'https://mirror.example',
    isOffline: true,
  });
  expect(() => hubAccess(none, { HF_ENDPOINT: 'file:///etc' })).toThrow(/no address of a web server/);
});

describe('the Hub', () => {
  let hub: HubServer;
  let core: Core;
  let home: string;
  let closedEndpoint: string;
  beforeAll(async () => {
    const closed = await startHubServer(tinyLlama);
    closedEndpoint = closed.endpoint;
    await closed.close();
    hub = await startHubServer(tinyLlama);
  });
  afterAll(() => hub.close());
  const noFaults = () => ({
    ...hub.faults,
    status: null,
    listing: null,
    isSilent: false,
    content: new Map(),
  });
  beforeEach(() => {
    hub.faults = noFaults();
    hub.token = null;
    hub.seen.length = 0;
    const empty = temporaryFolder();
    for (const [name, value] of Object.entries({
      HF_ENDPOINT: hub.endpoint,
      HF_HOME: empty,
      HF_TOKEN: '',
      HF_HUB_OFFLINE: '',
      HF_HUB_DOWNLOAD_TIMEOUT: '2',
    }))
      vi.stubEnv(name, value);
    ({ core, home } = openTestCore());
  });
  afterEach(() => {
    core.close();
    vi.unstubAllEnvs();
  });
  const preview = (name = 'org/tiny', revision?: string) => core.hub.preview(name, revision, neverAborted);

  it('shows what a download would bring, by any of its names', async () => {
    const found = await preview();
    expect(found).toMatchObject({
      repository: 'org/tiny',
      revision: 'main',
      commit: hub.commit,
      licence: 'mit',
      facts: { family: 'llama', contextLength: 96 },
      unusable: null,
      modelId: null,
    });
    expect(found.files.map(({ name }) => name)).toEqual([
      'config.json',
      'generation_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'model.safetensors',
    ]);
    expect(found.totalBytes).toBe([...hub.files.values()].reduce((sum, { length }) => sum + length, 0));
    expect(await preview('old/name')).toMatchObject({ repository: 'org/tiny', commit: hub.commit });
    expect((await preview(`${hub.endpoint}/org/tiny/tree/v1`)).revision).toBe('v1');
    expect(hub.seen.every(({ path }) => !path.includes('model.safetensors'))).toBe(true);
  });

  it('finds models by name', async () => {
    expect(await core.hub.search(' tiny ', 20, neverAborted)).toEqual([
      { repository: 'org/tiny', downloads: 12, likes: 3, isGated: true },
    ]);
    expect(await core.hub.search('none', 20, neverAborted)).toEqual([]);
  });

  it.each<[string, () => void, string, RegExp, RegExp]>([
    [
      'a gated model without a token',
      () => (hub.faults.status = { path: /revision/, status: 401, headers: { 'X-Error-Code': 'GatedRepo' } }),
      'hub_denied',
      /accepted its terms/,
      /make an access token/,
    ],
    [
      'a private or missing model',
      () =>
        (hub.faults.status = { path: /revision/, status: 401, headers: { 'X-Error-Code': 'RepoNotFound' } }),
      'not_found',
      /is not on the Hub, or is private/,
      /spelling/,
    ],
    [
      'a limit with its time',
      () => (hub.faults.status = { path: /revision/, status: 429, headers: { 'Retry-After': '90' } }),
      'hub_rate_limited',
      /too many requests/,
      /in 90 s/,
    ],
    [
      'an error of the Hub',
      () => (hub.faults.status = { path: /revision/, status: 503 }),
      'hub_unreachable',
      /status 503/,
      /minutes/,
    ],
    [
      'a Hub that does not answer',
      () => (hub.faults.isSilent = true),
      'hub_unreachable',
      /does not answer/,
      /works without the Hub/,
    ],
    [
      'no network',
      () => vi.stubEnv('HF_ENDPOINT', closedEndpoint),
      'hub_unreachable',
      /connection is refused/,
      /works without the Hub/,
    ],
    [
      'HF_HUB_OFFLINE',
      () => vi.stubEnv('HF_HUB_OFFLINE', '1'),
      'hub_unreachable',
      /HF_HUB_OFFLINE is set/,
      /without HF_HUB_OFFLINE/,
    ],
    [
      'something that is no Hub',
      () => (hub.faults.listing = () => 'x'),
      'hub_invalid',
      /expected object/,
      /Try again/,
    ],
    [
      'endless redirects',
      () =>
        (hub.faults.status = {
          path: /revision/,
          status: 302,
          headers: { Location: '/api/models/org/tiny/revision/main' },
        }),
      'hub_invalid',
      /more than 6 times/,
      /Try again/,
    ],
    [
      'a redirect to a file of this machine',
      () =>
        (hub.faults.status = { path: /revision/, status: 302, headers: { Location: 'file:///etc/passwd' } }),
      'hub_invalid',
      /not encrypted/,
      /Try again/,
    ],
    ...(['../../evil.json', '/etc/passwd', 'a\\..\\b', 'a/./b', 'C:x', 'a\u0000b'] as const).map(
      (name): [string, () => void, string, RegExp, RegExp] => [
        `the file name ${JSON.stringify(name)}`,
        () =>
          (hub.faults.listing = (listing) => ({
            ...listing,
            siblings: [...listing.siblings, { rfilename: name, size: 1, blobId: 'a'.repeat(40) }],
          })),
        'hub_invalid',
        /leads out of its folder/,
        /Try again/,
      ],
    ),
  ])('names the failure: %s', async (_name, fault, code, message, remedy) => {
    fault();
    await expect(preview()).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
  });

  it('names a revision that is not there, and a token that is not taken', async () => {
    await expect(preview('org/tiny', 'v9')).rejects.toThrow('has no such revision');
    await expect(preview('org/tiny', '../x')).rejects.toMatchObject({ code: 'usage' });
    core.hub.setToken('hf_old');
    hub.faults.status = { path: /revision/, status: 401, headers: { 'X-Error-Code': 'InvalidToken' } };
    await expect(preview()).rejects.toThrow('does not take the access token');
  });

  it('says at once why a model could not be used, before anything large is asked for', async () => {
    const files = new Map(hub.files);
    try {
      hub.files.set('config.json', Buffer.from('{"model_type":"mamba"}'));
      expect((await preview()).unusable).toMatchObject({ code: 'model_unsupported' });
      hub.files.delete('model.safetensors');
      hub.files.set('model.gguf', Buffer.from('GGUF'));
      expect((await preview()).unusable!.message).toMatch(/neither model.safetensors .*model.gguf/);
      hub.files.delete('config.json');
      expect((await preview()).unusable!.message).toMatch(/no config.json/);
      await expect(core.downloads.start({ repository: 'org/tiny' }, neverAborted)).rejects.toMatchObject({
        code: 'model_invalid',
      });
    } finally {
      hub.files.clear();
      for (const [name, content] of files) hub.files.set(name, content);
    }
    expect(existsSync(join(home, 'models'))).toBe(false);
  });

  it('reads no config.json that is longer than its list says', async () => {
    hub.faults.content = new Map([['config.json', Buffer.alloc(100_000, ' ')]]);
    await expect(preview()).rejects.toThrow(/longer than the \d+ bytes/);
  });

  it('takes the shards that the index names, and no others', async () => {
    const own = await startHubServer(join(fixtures, 'tiny-llama-sharded'));
    vi.stubEnv('HF_ENDPOINT', own.endpoint);
    own.files.set('other.safetensors', Buffer.alloc(10));
    expect((await preview()).files.slice(-3).map(({ name }) => name)).toEqual([
      'model.safetensors.index.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    own.files.delete('model-00002-of-00002.safetensors');
    expect((await preview()).unusable!.message).toMatch(/lacks model-00002-of-00002/);
    own.files.set(
      'model.safetensors.index.json',
      Buffer.from('{"weight_map":{"x":"../../../evil.safetensors"}}'),
    );
    expect((await preview()).unusable!.message).toMatch(/not a file of the folder/);
    await own.close();
  });

  it('gives the token to the Hub alone and to no page', async () => {
    hub.token = 'hf_secret';
    mkdirSync(home, { recursive: true });
    await expect(preview()).rejects.toMatchObject({ code: 'hub_denied' });
    expect(core.hub.setToken('hf_secret')).toEqual({
      endpoint: hub.endpoint,
      isOffline: false,
      token: 'settings',
    });
    const { ended } = await core.downloads.start({ repository: 'org/tiny' }, neverAborted);
    await ended;
    const sent = (host: string) =>
      new Set(hub.seen.filter((r) => r.host === host).map((r) => r.authorization));
    expect(sent('store')).toEqual(new Set([undefined]));
    expect(sent('hub')).toEqual(new Set([undefined, 'Bearer hf_secret']));
    expect(readFileSync(join(home, 'studio.db')).includes('hf_secret')).toBe(false);
    expect(core.hub.setToken(null).token).toBeNull();
  });
});
