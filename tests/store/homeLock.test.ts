import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { lockHome } from '../../src-main/store/homeLock.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const parents: ChildProcess[] = [];
afterEach(() => parents.splice(0).forEach((parent) => parent.kill('SIGKILL')));

/** A process that has locked a data folder, whose parent never asks what became of it. @returns its id */
async function lockedByOther(home: string): Promise<number> {
  const module = pathToFileURL(join(projectFolder, 'src-main/store/homeLock.ts')).href;
  const program = `import { lockHome } from '${module}'; lockHome('${home}'); console.log(process.pid); setInterval(() => {}, 1000);`;
  const parent = spawn(
    'sh',
    ['-c', '"$0" --input-type=module -e "$1" & exec sleep 60', process.execPath, program],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  parents.push(parent);
  return Number(String((await once(parent.stdout!, 'data'))[0]));
}

it('gives a data folder to one process at a time, and names it to others', () => {
  const home = temporaryFolder();
  const unlock = lockHome(home);
  expect(() => lockHome(home)).toThrow(new RegExp(`process ${process.pid}`));
  unlock();
  lockHome(home)();
});

it('is not held up by an id that another process has got meanwhile', () => {
  const home = temporaryFolder();
  writeFileSync(join(home, 'studio.lock'), String(process.ppid));
  lockHome(home)();
});

it.runIf(process.platform === 'linux')(
  'is free at once when its owner is killed, also where nobody collects the dead process',
  async () => {
    const home = temporaryFolder();
    const owner = await lockedByOther(home);
    expect(() => lockHome(home)).toThrow(
      expect.objectContaining({
        code: 'home_locked',
        message: expect.stringContaining(`process ${owner})`) as string,
      }),
    );
    process.kill(owner, 'SIGKILL');
    const state = () => readFileSync(`/proc/${owner}/stat`, 'utf8').split(') ')[1]![0];
    await expect.poll(state).toBe('Z');
    lockHome(home)();
  },
);
