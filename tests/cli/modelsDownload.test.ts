import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startHubServer, type HubServer } from '../support/hub/hubServer.ts';
import { projectFolder, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

let hub: HubServer;
const home = temporaryFolder();
beforeAll(async () => {
  hub = await startHubServer(tinyLlama);
});
afterAll(() => hub.close());

/** @param end a signal for the process, as soon as `when` is so */
function studio(
  args: readonly string[],
  end: { signal: NodeJS.Signals; when: () => boolean } = { signal: 'SIGINT', when: () => false },
) {
  return new Promise<{ code: number | null; document: unknown }>((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(projectFolder, 'src-main', 'cli.ts'), ...args, '--home', home, '--json'],
      { env: { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_TOKEN: '', HF_HUB_OFFLINE: '' } },
    );
    let stdout = '';
    child.stdout.on('data', (part: Buffer) => (stdout += String(part)));
    const timer = setInterval(() => {
      if (!end.when()) return;
      clearInterval(timer);
      child.kill(end.signal);
    }, 20);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(timer);
      resolve({ code, document: stdout === '' ? null : JSON.parse(stdout) });
    });
  });
}

it('models download: stops at Ctrl+C, goes on when it is called again, and says what went wrong', async () => {
  hub.faults.delayMs = 5000;
  const stopped = await studio(['models', 'download', 'org/tiny'], {
    signal: 'SIGINT',
    when: () => hub.seen.some(({ host }) => host === 'store'),
  });
  expect(stopped).toMatchObject({ code: 1, document: { error: { code: 'cancelled' } } });

  hub.faults.delayMs = 0;
  hub.seen.length = 0;
  const done = await studio(['models', 'download', 'org/tiny', '--name', 'mine']);
  expect(done).toMatchObject({ code: 0, document: { copied: true, origin: { repository: 'org/tiny' } } });
  const downloaded = hub.seen.filter(({ path }) => path.endsWith('/generation_config.json'));
  expect(downloaded).toEqual([]);

  const unknown = await studio(['models', 'download', 'org/none']);
  expect(unknown).toMatchObject({ code: 1, document: { error: { code: 'not_found' } } });
  const list = (await studio(['models', 'list'])).document as { name: string }[];
  expect(list.map(({ name }) => name)).toEqual(['mine']);
});

it('models download: killed at five moments, it ends as the same model', async () => {
  await studio(['models', 'remove', 'mine']);
  // It cannot end before it is killed: in the small files first, then ever later in the weights.
  hub.faults.delayMs = 50;
  for (let kill = 0; kill < 5; kill++) {
    hub.seen.length = 0;
    hub.faults.cut = { afterBytes: 30_000, times: 1, isSilent: true };
    let isDue = false;
    const killed = await studio(['models', 'download', 'org/tiny', '--name', 'killed'], {
      signal: 'SIGKILL',
      when() {
        const asked = (end: string) => hub.seen.some(({ path }) => path.endsWith(end));
        if (asked(kill === 0 ? 'tokenizer.json' : 'blobs/model.safetensors'))
          setTimeout(() => (isDue = true), 50 * kill);
        return isDue;
      },
    });
    expect(killed.document).toBeNull();
    expect(((await studio(['models', 'list'])).document as object[]).length).toBe(0);
  }
  Object.assign(hub.faults, { delayMs: 0, cut: null });
  const { document } = await studio(['models', 'download', 'org/tiny', '--name', 'killed']);
  const { folder } = document as { folder: string };
  for (const [name, content] of hub.files)
    expect(readFileSync(join(folder, name)).equals(content), name).toBe(true);
  expect(readdirSync(join(home, 'models'))).toEqual([basename(folder)]);
});
