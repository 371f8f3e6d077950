import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants, getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const entry = fileURLToPath(new URL('../../../src-main/engine/process/child.ts', import.meta.url));

it('computes below normal priority, so that the page answers meanwhile, and ends without its parent', async () => {
  const child = fork(entry);
  const ended = once(child, 'exit');
  expect(await once(child, 'message')).toEqual([{ type: 'ready' }, undefined]);
  expect(getPriority(child.pid)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
  child.disconnect();
  expect(await ended).toEqual([0, null]);
});
