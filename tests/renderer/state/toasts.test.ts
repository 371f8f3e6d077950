import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { StudioClient } from '../../../src-renderer/rpc/client.ts';
import {
  close,
  deleteWithUndo,
  latestUndoable,
  offerKeptUndos,
  toasts,
  undo,
} from '../../../src-renderer/state/toasts.svelte.ts';

const asked: unknown[] = [];
const client = {
  call: async (name: string, input: unknown) => void asked.push([name, input]),
} as unknown as StudioClient;
const deleteRun = () =>
  deleteWithUndo({
    text: 'Deleted the run first.',
    remove: async () => undefined,
    restore: { client, calls: [{ name: 'runs.restore', input: { run: 'r' } }] },
  });
/** What a reload leaves: the page's memory is gone, the tab's storage is not. */
const reload = () => toasts.splice(0);

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  asked.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  reload();
});

it('offers an undo again after a reload of the page, for what is left of its half minute', async () => {
  vi.useFakeTimers();
  await deleteRun();
  vi.advanceTimersByTime(10_000);
  reload();
  offerKeptUndos(client);
  expect(latestUndoable()).toMatchObject({ text: 'Deleted the run first.', secondsLeft: 20 });
  await undo(latestUndoable()!.id);
  expect(asked).toEqual([['runs.restore', { run: 'r' }]]);
  reload();
  offerKeptUndos(client);
  expect(latestUndoable()).toBeUndefined();
});

it('offers nothing that is over, and nothing that was closed', async () => {
  vi.useFakeTimers();
  await deleteRun();
  vi.advanceTimersByTime(31_000);
  reload();
  offerKeptUndos(client);
  expect(toasts).toEqual([]);
  await deleteRun();
  close(toasts[0]!.id);
  expect(latestUndoable()).toBeUndefined();
});
