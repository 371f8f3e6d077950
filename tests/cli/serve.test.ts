import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import { createCore } from '../../src-main/core/createCore.ts';
import { checkpointStep } from '../../src-main/formats/checkpoint/checkpointFolder.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { removeHome, startStudio } from '../e2e/support/studioServer.ts';
import { studio } from '../support/commandLine.ts';
import { fixtures, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const home = temporaryFolder();
const noToken = join(home, 'no-token');
writeFileSync(noToken, 'secret', { mode: 0o600 });
const openToken = join(home, 'open-token');
writeFileSync(openToken, '0'.repeat(32));
chmodSync(openToken, 0o644);
afterAll(() => removeHome(home));

it('pauses the run that trains at Ctrl+C, with a checkpoint, before it closes the database', async () => {
  const server = await startStudio({ home });
  const { origin, searchParams } = new URL(server.url);
  const call = async <T>(name: string, input: unknown): Promise<T> => {
    const response = await fetch(`${origin}/rpc/${name}`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${searchParams.get('token')}`,
      },
      body: JSON.stringify(input),
    });
    const reply = (await response.json()) as { ok: boolean; value: T };
    if (!reply.ok) throw new Error(JSON.stringify(reply));
    return reply.value;
  };
  const data = join(home, 'sums.jsonl');
  writeGeneratedDataset(data, 60, 1);
  await call('models.add', { folder: tinyLlama, name: 'tiny' });
  await call('datasets.add', { path: data, name: 'sums' });
  const config = { adapter: { method: 'lora', rank: 2, alpha: 4 }, maxSteps: 50_000, batch: 2, context: 64 };
  const { id } = await call<Run>('runs.start', { name: 'mine', model: 'tiny', dataset: 'sums', config });
  await call<Run>('runs.start', { name: 'next', model: 'tiny', dataset: 'sums', config });
  const step = async () => (await call<Run>('runs.get', { run: id })).step;
  await expect.poll(step, { timeout: 60_000 }).toBeGreaterThan(3);

  const { code, errors } = await server.stop();
  expect(code).toBe(0);
  expect(errors).toContain('Pausing the run with a checkpoint.');
  expect(errors).not.toMatch(/error|not open/i);

  const core = createCore({ home, project: 'default', mode: 'write' });
  const run = core.runs.get('mine');
  expect(run).toMatchObject({ state: 'paused', resumable: true, error: null });
  expect(checkpointStep(core.runs.checkpoint(run)!)).toBe(run.step);
  expect(core.runs.curves('mine').steps.at(-1)!.step).toBe(run.step);
  expect(core.runs.queue.state().waiting.map(({ name }) => name)).toEqual(['next']);
  core.close();
});

it('serves by TLS, and by the token that a file keeps', async () => {
  const file = (name: string) => join(fixtures, 'tls', name);
  const tokenFile = join(home, 'deep', 'token');
  const server = await startStudio({
    args: ['--tls-cert', file('cert.pem'), '--tls-key', file('key.pem'), '--token-file', tokenFile],
  });
  const { protocol, searchParams } = new URL(server.url);
  expect(protocol).toBe('https:');
  expect(readFileSync(tokenFile, 'utf8').trim()).toBe(searchParams.get('token'));
  expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
  await server.stop();
  removeHome(server.home);
});

it.each([
  [['--tls-key', 'key.pem'], '--tls-key is given without --tls-cert'],
  [['--tls-cert', 'no.pem', '--tls-key', 'no.pem'], '--tls-cert no.pem cannot be read'],
  [['--public-address', 'studio.example'], '"studio.example" is no address of a server'],
  [['--public-address', 'https://studio.example/deep'], 'is no address of a server'],
  [['--token-file', noToken], 'holds no token'],
  [['--token-file', openToken], 'may be read by other users'],
  [['--port', '70000'], 'is no port'],
])('refuses %j', async (args, message) => {
  const { code, stderr, stdout } = await studio(['serve', '--home', home, ...args]);
  expect(code).not.toBe(0);
  expect(stderr + stdout).toContain(message);
});
