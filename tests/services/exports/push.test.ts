import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { ExportRecord } from '../../../src-main/contract/results.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { insertExport } from '../../../src-main/store/results.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { startWritableHub, type WritableHub } from '../../support/hub/writableHub.ts';

const { core, home } = await openTrainingCore();
let hub: WritableHub;
let record: ExportRecord;
beforeAll(async () => {
  hub = await startWritableHub();
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  core.hub.setToken(hub.token);
  const adapter = { method: 'idlora', rank: 2, alpha: 4, clusters: 2, pivots: 'serial' };
  const config = trainConfigSchema.parse({ adapter, maxSteps: 1, batch: 2, context: 64 });
  await (
    await core.runs.start({ name: 'mine', model: 'tiny', dataset: 'sums', config })
  ).ended;
  record = await core.exports.create({ run: 'mine' }, neverAborted);
});
afterEach(() => Object.assign(hub, { partBytes: null, breaks: 0 }));
afterAll(async () => {
  vi.unstubAllEnvs();
  core.close();
  await hub.close();
});

const push = (repository: string, options: { overwrite?: boolean; isPublic?: boolean } = {}) =>
  core.exports.push({ export: 'mine', repository, ...options }, neverAborted);
const filesOf = (repository: string) => hub.repositories.get(repository)!.files;

/** Every file of the folder arrived byte for byte, and the card with the repository's name. */
function expectWhole(repository: string): void {
  const files = filesOf(repository);
  const names = readdirSync(record.folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.\w+$/.test(name),
  );
  expect([...files.keys()].sort()).toEqual(names.sort());
  for (const name of names)
    if (name !== 'README.md')
      expect(files.get(name)!.equals(readFileSync(join(record.folder, name))), name).toBe(true);
  const card = files.get('README.md')!.toString();
  expect(card).toContain(`PeftModel.from_pretrained(base, "${repository}")`);
  expect(card).toContain(`sys.path.insert(0, snapshot_download("${repository}"))\nimport id_lora`);
  expect(card).not.toContain('this folder"');
  expect(card).not.toContain(home);
}

it('sends an export to a new, private repository, byte for byte', async () => {
  const pushed = await push('me/first');
  expect(pushed).toMatchObject({ isNew: true, alreadyThere: [], url: `${hub.endpoint}/me/first` });
  expect(hub.repositories.get('me/first')).toMatchObject({ isPrivate: true, commit: pushed.commit });
  expectWhole('me/first');
  // The token stays with the Hub: what keeps the large files never sees it.
  expect(hub.storeTokens).toEqual([undefined]);
});

it('sends nothing that is there already, and a public one where that is asked for', async () => {
  hub.seen.length = 0;
  expect(await push('me/first')).toMatchObject({ isNew: false, sent: [] });
  expect(hub.seen.filter((line) => /commit|store/.test(line))).toEqual([]);
  await push('me/open', { isPublic: true });
  expect(hub.repositories.get('me/open')!.isPrivate).toBe(false);
  expectWhole('me/open');
});

it('goes on where a connection broke, and sends large files in the parts that are asked for', async () => {
  hub.objects.clear();
  Object.assign(hub, { partBytes: 1000, breaks: 1 });
  await expect(push('me/parts')).rejects.toMatchObject({ code: 'hub_unreachable' });
  expect(hub.repositories.get('me/parts')!.commit).toBeNull();
  await push('me/parts');
  expectWhole('me/parts');
});

it('overwrites nothing in silence', async () => {
  const weights = 'adapter_model.safetensors';
  filesOf('me/first').set(weights, Buffer.from('years of work'));
  await expect(push('me/first')).rejects.toMatchObject({
    code: 'name_taken',
    message: `me/first has other files of these names: ${weights}.`,
  });
  expect(filesOf('me/first').get(weights)!.toString()).toBe('years of work');
  expect(await push('me/first', { overwrite: true })).toMatchObject({ sent: [weights] });
  expectWhole('me/first');
});

it('says what the Hub refuses', async () => {
  await expect(push('foreign/name')).rejects.toMatchObject({
    code: 'hub_denied',
    message: 'The Hub does not let this access token write to foreign/name.',
  });
  await expect(push('name')).rejects.toMatchObject({ code: 'usage' });
  core.hub.setToken(null);
  vi.stubEnv('HF_TOKEN', '');
  vi.stubEnv('HF_HOME', home);
  await expect(push('me/first')).rejects.toMatchObject({
    code: 'hub_denied',
    message: /^There is no access token/,
  });
  core.hub.setToken(hub.token);
});

it('pushes nothing that is not what was checked', async () => {
  const base = { ...record, folder: join(home, 'wrong') };
  const certificate = { ...record.certificate, equal: false };
  const database = openWritable(join(home, 'studio.db'));
  insertExport(database, { ...base, id: 'wrong', certificate, createdAt: '2000-01-01T00:00:00.000Z' });
  database.writable.close();
  const ask = (id: string) => core.exports.push({ export: id, repository: 'me/x' }, neverAborted);
  await expect(ask('wrong')).rejects.toMatchObject({
    code: 'config_invalid',
    message: /DIFFERS from the run/,
  });
  await expect(ask('none')).rejects.toMatchObject({ code: 'not_found' });
  appendFileSync(join(record.folder, 'data_contract.json'), ' ');
  await expect(push('me/x')).rejects.toMatchObject({ code: 'model_changed' });
  expect(hub.repositories.has('me/x')).toBe(false);
});
