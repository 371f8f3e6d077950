import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { startHubServer, type HubServer } from '../../support/hub/hubServer.ts';
import { recorded } from '../../support/paths.ts';

let core: Core;
let home: string;
let hub: HubServer;

beforeAll(async () => {
  hub = await startHubServer(join(recorded, 'elsewhere', 'lora-bf16'));
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  ({ core, home } = await openTrainingCore());
});
afterAll(async () => {
  core.close();
  vi.unstubAllEnvs();
  await hub.close();
});

const download = () => core.adapters.download({ repository: 'org/tiny' }, neverAborted);
const asked = () => hub.seen.filter(({ path }) => path.includes('/resolve/')).length;

it('what is there of a broken download is gone on with, and what is not as promised is refused', async () => {
  const file = hub.files.get('adapter_model.safetensors')!;
  hub.faults.content.set('adapter_model.safetensors', Buffer.from(file).fill(7, 100, 104));
  await expect(download()).rejects.toMatchObject({ code: 'hub_invalid' });
  hub.faults.content.clear();
  hub.faults.cut = { afterBytes: 1000, times: 1 };
  const folder = await download();
  hub.faults.cut = null;
  expect(readdirSync(folder).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  expect(hub.seen.some(({ range }) => range === 'bytes=1000-')).toBe(true);
  const run = await core.adapters.add({ folder, model: 'tiny' }, neverAborted);
  expect(run).toMatchObject({ name: 'tiny', imported: { source: `hub/org/tiny@${hub.commit}` } });
  // The run has it now: the download is not kept beside it.
  expect(existsSync(folder)).toBe(false);
  expect(readdirSync(join(home, 'cache', 'hub-adapters'))).toEqual([]);
});

it('a repository without an adapter, or with a pickle, is refused before anything is fetched', async () => {
  const before = asked();
  const file = hub.files.get('adapter_model.safetensors')!;
  hub.files.delete('adapter_model.safetensors');
  hub.files.set('adapter_model.bin', file);
  await expect(download()).rejects.toMatchObject({
    code: 'adapter_invalid',
    message: 'org/tiny has its tensors in adapter_model.bin, a Python pickle, which the studio does not run.',
  });
  const config = hub.files.get('adapter_config.json')!;
  hub.files.delete('adapter_config.json');
  hub.files.set('checkpoint-7/adapter_config.json', config);
  await expect(download()).rejects.toThrow(/no adapter_config.json but in checkpoint-7/);
  expect(asked()).toBe(before);
});
