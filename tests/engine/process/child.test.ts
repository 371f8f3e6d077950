import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants, getPriority, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const entry = fileURLToPath(new URL('../../../src-main/engine/process/child.ts', import.meta.url));

const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority;

/** Its priority once it is ready; then its parent leaves, with which it ends. */
async function priorityOf(child: ChildProcess): Promise<number> {
  const ended = once(child, 'exit');
  expect(await once(child, 'message')).toEqual([{ type: 'ready' }, undefined]);
  const priority = getPriority(child.pid);
  child.disconnect();
  expect(await ended).toEqual([0, null]);
  return priority;
}

it('computes below normal priority, so that the page answers meanwhile, and ends without its parent', async () => {
  expect(await priorityOf(fork(entry))).toBe(Math.max(getPriority(), PRIORITY_BELOW_NORMAL));
});

it.skipIf(platform() === 'win32')('keeps a lower priority that it was started with', async () => {
  const child = fork(entry, {
    execPath: 'nice',
    execArgv: ['-n', '15', process.execPath, ...process.execArgv],
  });
  expect(await priorityOf(child)).toBe(Math.min(getPriority() + 15, PRIORITY_LOW));
});
