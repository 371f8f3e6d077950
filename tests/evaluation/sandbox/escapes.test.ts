import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runPrograms, type Verdict } from '../../../src-main/evaluation/sandbox/sandbox.ts';
import { sandboxesHere } from '../../support/evaluation/sandboxes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { escapeAttempts, type Attempt } from './escapes.ts';
import { forgeries } from './forgeries.ts';

const run = promisify(execFile);
const { signal } = new AbortController();
const folder = temporaryFolder();
const secret = `secret-${randomBytes(8).toString('hex')}`;
const mark = `esc${randomBytes(5).toString('hex')}`;
const socketPath = join(folder, 'server.sock');
let connections = 0;
const servers: Server[] = [];

function listen(where: number | string): Promise<Server> {
  const server = createServer((socket) => {
    connections++;
    socket.end();
  });
  servers.push(server);
  return new Promise((resolve) => server.listen(where, () => resolve(server)));
}

const server = await listen(0);
if (process.platform !== 'win32') await listen(socketPath);
writeFileSync(join(folder, 'secret.txt'), secret);
process.env['STUDIO_TEST_SECRET'] = secret;
const address = server.address();
const port = typeof address === 'object' && address !== null ? address.port : 0;
const attempts = [...escapeAttempts({ folder, secret, port, socketPath, mark }), ...forgeries()];

afterAll(() => {
  for (const one of servers) one.close();
});

/** Processes of this machine that gave themselves the name. */
function markedProcesses(): string[] {
  if (!existsSync('/proc/self/comm')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/comm`, 'utf8').startsWith(mark);
      } catch {
        return false;
      }
    });
}

const sandboxes = await sandboxesHere();

for (const { kind, sandbox, note } of sandboxes)
  describe.skipIf(sandbox === null)(`generated code in ${kind}${note}`, () => {
    const verdicts = new Map<Attempt, Verdict>();
    let connected = 0;

    beforeAll(async () => {
      const before = connections;
      const runAll = async (some: readonly Attempt[], timeoutSeconds: number) => {
        const programs = some.map(({ name, source, tests }) => ({ id: name, source, tests }));
        const found = await runPrograms(sandbox!, programs, { signal, timeoutSeconds, parallel: 2 });
        some.forEach((attempt, i) => verdicts.set(attempt, found[i]!));
      };
      await runAll(
        attempts.filter(({ isEndless }) => isEndless),
        1,
      );
      // Those that end by themselves are given time: the machine may do much else.
      await runAll(
        attempts.filter(({ isEndless }) => !isEndless),
        20,
      );
      connected = connections - before;
    });

    it.each(attempts)('$name: in vain', (attempt) => {
      const { outcome, error } = verdicts.get(attempt)!;
      expect(outcome, error ?? undefined).not.toBe('passed');
      if (attempt.outcome) expect(outcome, error ?? undefined).toMatch(attempt.outcome);
    });

    it('leaves no process, no file and no connection', async () => {
      await expect.poll(markedProcesses).toEqual([]);
      expect(readdirSync(folder).sort()).toEqual(['secret.txt', 'server.sock']);
      expect(connected).toBe(0);
    });
  });

describe('the attempts themselves', () => {
  const sound = attempts.filter(({ succeedsOutside }) => succeedsOutside);
  const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((path) => existsSync(path));

  it.skipIf(python === undefined)('succeed without a sandbox, where they do no harm', async () => {
    for (const { source, tests } of sound) {
      const { stderr } = await run(python!, ['-c', `${source}\n${tests}`], {
        env: { ...process.env, STUDIO_TEST_SECRET: secret },
      });
      expect(stderr).toBe('');
    }
    // The link that one of them made.
    rmSync(`/tmp/${mark}`, { force: true });
    expect(connections).toBeGreaterThanOrEqual(2);
  });

  it('are more than twenty', () => {
    expect(new Set(attempts.map(({ name }) => name)).size).toBeGreaterThanOrEqual(30);
  });
});
