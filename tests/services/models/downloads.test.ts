import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import type { StartedDownload } from '../../../src-main/services/models/downloads/downloads.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { startHubServer, type HubServer } from '../../support/hub/hubServer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

describe('downloads', () => {
  let hub: HubServer;
  let core: Core;
  let home: string;
  let events: StudioEvent[];
  beforeAll(async () => {
    hub = await startHubServer(tinyLlama);
  });
  afterAll(() => hub.close());
  beforeEach(() => {
    Object.assign(hub.faults, {
      status: null,
      cut: null,
      ignoresRange: false,
      content: new Map(),
      listing: null,
      isSilent: false,
      delayMs: 0,
    });
    hub.seen.length = 0;
    vi.stubEnv('HF_ENDPOINT', hub.endpoint);
    vi.stubEnv('HF_HOME', temporaryFolder());
    vi.stubEnv('HF_TOKEN', '');
    vi.stubEnv('HF_HUB_OFFLINE', '');
    ({ core, home } = openTestCore());
    events = [];
    core.events.subscribe(null, ({ event }) => events.push(event));
  });
  afterEach(() => {
    core.close();
    vi.unstubAllEnvs();
  });

  const start = () => core.downloads.start({ repository: 'org/tiny' }, neverAborted);
  const failure = (started: StartedDownload) =>
    started.ended.then(
      () => null,
      (error: unknown) => error as { code: string; message: string },
    );
  const inModels = () => readdirSync(join(home, 'models'));
  const storeRanges = () =>
    hub.seen
      .filter(({ host, path }) => host === 'store' && path.endsWith('model.safetensors'))
      .map(({ range }) => range);
  const weights = () => hub.files.get('model.safetensors')!;
  const partial = (id: string) =>
    join(home, 'models', `${id}.download`, 'files', 'model.safetensors.partial');
  const until = async (isSo: () => boolean) => {
    for (let i = 0; i < 500 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isSo()).toBe(true);
  };
  /** A download that was cancelled in the middle of its weights. */
  const half = async () => {
    hub.faults.cut = { afterBytes: 60_000, times: 1, isSilent: true };
    const started = await start();
    const path = partial(started.download.id);
    await until(() => existsSync(path) && readFileSync(path).length > 0);
    await core.downloads.cancel(started.download.id);
    hub.faults.cut = null;
    expect(readFileSync(path).length).toBeLessThanOrEqual(60_000);
    return started.download.id;
  };

  it('brings a complete, verified model into the library', async () => {
    const { download, ended } = await start();
    expect(download).toMatchObject({ state: 'running', repository: 'org/tiny', commit: hub.commit });
    const model = await ended;
    expect(model).toMatchObject({
      name: 'tiny',
      copied: true,
      origin: { repository: 'org/tiny', commit: hub.commit },
      folder: join(home, 'models', model.id),
    });
    expect(readdirSync(model.folder).toSorted()).toEqual([...hub.files.keys()].toSorted());
    for (const [name, content] of hub.files)
      expect(readFileSync(join(model.folder, name)).equals(content)).toBe(true);
    expect(inModels()).toEqual([model.id]);
    expect(core.downloads.list()).toEqual([]);
    expect(events.filter(({ type }) => type === 'downloads.changed').length).toBeGreaterThanOrEqual(3);
    const seen = events.filter((event) => event.type === 'progress');
    expect(seen[0]).toMatchObject({ task: `download ${download.id}`, unit: 'bytes' });
    expect(events).toContainEqual({ type: 'progress.ended', task: `download ${download.id}` });
    await expect(start()).rejects.toMatchObject({ code: 'name_taken' });
    expect((await core.hub.preview('org/tiny', undefined, neverAborted)).modelId).toBe(model.id);
  });

  it('takes up a broken connection where it broke, by itself', async () => {
    hub.faults.cut = { afterBytes: 60_000, times: 2 };
    const model = await (await start()).ended;
    expect(storeRanges()).toHaveLength(3);
    expect(storeRanges()[0]).toBeUndefined();
    expect(readFileSync(join(model.folder, 'model.safetensors')).equals(weights())).toBe(true);
  });

  it('goes on after a cancel with what is there', async () => {
    const id = await half();
    const [listed] = core.downloads.list();
    expect(listed).toMatchObject({ id, state: 'stopped', error: null });
    expect(listed!.doneBytes).toBeGreaterThan(1000);
    expect(listed!.doneBytes).toBeLessThan(listed!.totalBytes);
    expect((await core.models.storage()).unfinishedBytes).toBe(listed!.doneBytes);
    expect(core.models.list()).toEqual([]);
    const have = readFileSync(partial(id)).length;
    hub.seen.length = 0;
    await core.downloads.resume(id).ended;
    expect(storeRanges()).toEqual([`bytes=${have}-`]);
    expect(hub.seen.some(({ path }) => path.endsWith('config.json'))).toBe(false);
  });

  it('goes on after the process has died, and by asking for the same model again', async () => {
    const id = await half();
    core.close();
    core = createCore({ home, project: 'default', mode: 'write' });
    expect(core.downloads.list()).toMatchObject([{ id, state: 'stopped' }]);
    const again = await start();
    expect(again.download.id).toBe(id);
    await again.ended;
    expect(storeRanges().at(-1)).toMatch(/^bytes=\d+-$/);
  });

  it('finishes what was complete when the process died before the library knew', async () => {
    const model = await (await start()).ended;
    const record = {
      id: model.id,
      repository: 'org/tiny',
      revision: 'main',
      commit: hub.commit,
      name: null,
      files: [{ name: 'config.json', sizeBytes: 1, sha256: null, gitSha1: 'a' }],
      createdAt: model.createdAt,
    };
    const other = openTestCore();
    const { cpSync, mkdirSync } = await import('node:fs');
    mkdirSync(join(other.home, 'models', `${model.id}.download`), { recursive: true });
    cpSync(model.folder, join(other.home, 'models', model.id), { recursive: true });
    writeFileSync(
      join(other.home, 'models', `${model.id}.download`, 'download.json'),
      JSON.stringify(record),
    );
    hub.seen.length = 0;
    expect(other.core.downloads.list()).toMatchObject([{ state: 'stopped', doneBytes: 1, totalBytes: 1 }]);
    const adopted = await other.core.downloads.resume(model.id).ended;
    expect(adopted).toMatchObject({ id: model.id, contentHash: model.contentHash });
    expect(hub.seen).toEqual([]);
    expect(readdirSync(join(other.home, 'models'))).toEqual([model.id]);
    other.core.close();
  });

  it('begins anew where the server does not take up, or the file has changed', async () => {
    let id = await half();
    hub.faults.ignoresRange = true;
    const model = await core.downloads.resume(id).ended;
    expect(readFileSync(join(model.folder, 'model.safetensors')).equals(weights())).toBe(true);
    core.models.remove(model.id);
    core.trash.empty();

    hub.faults.ignoresRange = false;
    id = await half();
    writeFileSync(`${partial(id)}.etag`, 'another');
    hub.seen.length = 0;
    await core.downloads.resume(id).ended;
    expect(storeRanges()).toEqual([expect.stringMatching(/^bytes=/), undefined]);
  });

  it('notices a partial file that was damaged on the disk, and brings it anew', async () => {
    const id = await half();
    truncateSync(partial(id), 10);
    writeFileSync(partial(id), Buffer.alloc(40_000, 7));
    const model = await core.downloads.resume(id).ended;
    expect(readFileSync(join(model.folder, 'model.safetensors')).equals(weights())).toBe(true);
  });

  it.each<[string, string, RegExp]>([
    ['a flipped byte in the weights', 'model.safetensors', /another content than its hash promises/],
    ['a flipped byte in a small file', 'tokenizer_config.json', /another content than its hash promises/],
  ])('refuses %s', async (_name, file, message) => {
    const wrong = Buffer.from(hub.files.get(file)!);
    wrong[wrong.length - 3]! ^= 1;
    hub.faults.content = new Map([[file, wrong]]);
    const started = await start();
    expect(await failure(started)).toMatchObject({
      code: 'hub_invalid',
      message: expect.stringMatching(message) as string,
    });
    expect(core.models.list()).toEqual([]);
    expect(core.downloads.list()).toMatchObject([{ state: 'failed', error: { code: 'hub_invalid' } }]);
    hub.faults.content = new Map();
    await core.downloads.resume(started.download.id).ended;
    expect(core.models.list()).toHaveLength(1);
  });

  it('writes no byte beyond what the list says', async () => {
    hub.faults.content = new Map([['model.safetensors', Buffer.concat([weights(), Buffer.alloc(1000)])]]);
    const started = await start();
    expect(await failure(started)).toMatchObject({ message: expect.stringMatching(/longer than/) as string });
    const path = partial(started.download.id);
    expect(existsSync(path) ? readFileSync(path).length : 0).toBeLessThanOrEqual(weights().length);
  });

  it('keeps what is there when the Hub limits or denies, and says so in the list', async () => {
    hub.faults.status = { path: /resolve.*safetensors/, status: 429, headers: { 'Retry-After': '600' } };
    const started = await start();
    expect(await failure(started)).toMatchObject({ code: 'hub_rate_limited' });
    expect(core.downloads.list()[0]).toMatchObject({
      state: 'failed',
      error: { remedy: expect.stringMatching(/in 10 min/) as string },
    });
    expect(core.downloads.list()[0]!.doneBytes).toBeGreaterThan(0);
  });

  it('refuses before it begins where the disk has not the space', async () => {
    hub.faults.listing = (listing) => ({
      ...listing,
      siblings: listing.siblings.map((entry) =>
        'lfs' in entry && JSON.stringify(entry).includes('.safetensors')
          ? { ...entry, lfs: { sha256: 'a'.repeat(64), size: 9e15 } }
          : entry,
      ),
    });
    await expect(start()).rejects.toMatchObject({
      code: 'disk_full',
      message: expect.stringMatching(/needs 9000000.0 GB .* are free at/) as string,
    });
    expect(existsSync(join(home, 'models'))).toBe(false);
  });

  it('deletes what is there when it is discarded', async () => {
    const id = await half();
    await core.downloads.discard(id);
    expect(inModels()).toEqual([]);
    expect(core.downloads.list()).toEqual([]);
    await expect(core.downloads.discard(id)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('clears folders without a record, and leaves models alone', async () => {
    const id = await half();
    rmSync(join(home, 'models', `${id}.download`, 'download.json'));
    const model = await core.models.add({ folder: tinyLlama, copy: true });
    core.close();
    core = createCore({ home, project: 'default', mode: 'write' });
    expect(inModels()).toEqual([model.id]);
  });
});
