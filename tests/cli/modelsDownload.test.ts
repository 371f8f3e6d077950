import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startHubServer, type HubServer } from '../support/hubServer.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder, tinyLlama } from '../support/trainingRun.ts';

let hub: HubServer;
const home = temporaryFolder();
beforeAll(async () => {
  hub = await startHubServer(tinyLlama);
});
afterAll(() => hub.close());

/** @param interruptWhen Ctrl+C is pressed as soon as it is so */
function studio(args: readonly string[], interruptWhen: () => boolean = () => false) {
  return new Promise<{ code: number | null; document: unknown }>((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(projectFolder, 'src-main', 'cli.ts'), ...args, '--home', home, '--json'],
      { env: { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_TOKEN: '', HF_HUB_OFFLINE: '' } },
    );
    let stdout = '';
    child.stdout.on('data', (part: Buffer) => (stdout += String(part)));
    const timer = setInterval(() => {
      if (!interruptWhen()) return;
      clearInterval(timer);
      child.kill('SIGINT');
    }, 20);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(timer);
      resolve({ code, document: JSON.parse(stdout) });
    });
  });
}

it('models download: stops at Ctrl+C, goes on when it is called again, and says what went wrong', async () => {
  hub.faults.delayMs = 5000;
  const stopped = await studio(['models', 'download', 'org/tiny'], () =>
    hub.seen.some(({ host }) => host === 'store'),
  );
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
