import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { ProcedureInput } from '../../src-main/contract/procedures.ts';
import type { StudioClient } from '../rpc/client.ts';

/** Seconds for which a deletion can be undone. */
export const undoSeconds = 30;
/** Seconds for which a plain confirmation stands. */
const confirmSeconds = 6;

export interface Toast {
  readonly id: number;
  readonly text: string;
  /** Takes back what was done; null: nothing to take back. */
  readonly undo: (() => Promise<void>) | null;
  secondsLeft: number;
  isUndoing: boolean;
  /** Why the undo failed: the toast is where it happened, and it stays until it is closed. */
  error: PlainError | null;
}

let lastId = 0;
/**
 * What stands at the edge of the page now, oldest first. Toasts only confirm; failures are told where they happened.
 */
export const toasts = $state<Toast[]>([]);

/** Confirms something that was done. */
export function confirmDone(text: string): void {
  add(text, null, confirmSeconds);
}

/**
 * Deletes something and offers to take it back for half a minute. What fails in `remove` is thrown, for the caller to
 * show in place.
 * @param options.text what is gone, for example `Deleted the run lora-r8.`
 * @throws StudioError as `remove` does
 */
export async function deleteWithUndo(options: {
  text: string;
  remove: () => Promise<unknown>;
  /** Calls of the core outlive a reload of the page. */
  restore: (() => Promise<unknown>) | RestoreCalls;
}): Promise<void> {
  const { text, remove, restore } = options;
  await remove();
  if (typeof restore === 'function') return add(text, async () => void (await restore()), undoSeconds);
  const kept: KeptUndo = { text, calls: restore.calls, until: Date.now() + 1000 * undoSeconds };
  addKept(restore.client, kept);
}

type Restore = 'runs.restore' | 'models.restore' | 'datasets.restore' | 'studies.restore' | 'mixes.restore';
export interface RestoreCalls {
  client: StudioClient;
  calls: { [N in Restore]: { name: N; input: ProcedureInput<N> } }[Restore][];
}

interface KeptUndo {
  text: string;
  calls: RestoreCalls['calls'];
  /** Milliseconds since 1970. */
  until: number;
}
const keptKey = 'studio.undo';

function keptUndos(): KeptUndo[] {
  try {
    const kept = JSON.parse(sessionStorage.getItem(keptKey) ?? '[]') as KeptUndo[];
    return kept.filter(({ until }) => until > Date.now());
  } catch {
    return [];
  }
}

function keepUndos(kept: readonly KeptUndo[]): void {
  try {
    sessionStorage.setItem(keptKey, JSON.stringify(kept));
  } catch {
    // Without a storage the undo ends with the page.
  }
}

function addKept(client: StudioClient, kept: KeptUndo): void {
  keepUndos([...keptUndos(), kept]);
  const takeBack = async () => {
    await Promise.all(kept.calls.map(({ name, input }) => client.call(name, input)));
    keepUndos(keptUndos().filter(({ text, until }) => text !== kept.text || until !== kept.until));
  };
  add(kept.text, takeBack, Math.ceil((kept.until - Date.now()) / 1000));
}

/** Offers again what could be undone before a reload of the page. */
export function offerKeptUndos(client: StudioClient): void {
  const kept = keptUndos();
  keepUndos([]);
  for (const entry of kept) addKept(client, entry);
}

export function close(id: number): void {
  const at = toasts.findIndex((toast) => toast.id === id);
  if (at >= 0) toasts.splice(at, 1);
}

/** Takes back what a toast told of, and says so. */
export async function undo(id: number): Promise<void> {
  const toast = toasts.find((entry) => entry.id === id);
  if (!toast?.undo || toast.isUndoing) return;
  toast.isUndoing = true;
  toast.error = null;
  try {
    await toast.undo();
    close(id);
    confirmDone('Taken back.');
  } catch (thrown) {
    toast.error = toPlainError(thrown);
  } finally {
    toast.isUndoing = false;
  }
}

/** The newest deletion that can be taken back, for Ctrl+Z. */
export function latestUndoable(): Toast | undefined {
  return [...toasts].reverse().find((toast) => toast.undo !== null && !toast.isUndoing);
}

/** One second has passed for those that nobody is looking at closely. */
export function passSecond(): void {
  for (const toast of toasts) if (!toast.isUndoing && !toast.error) toast.secondsLeft--;
  for (const { id } of toasts.filter(({ secondsLeft }) => secondsLeft <= 0)) close(id);
}

function add(text: string, takeBack: (() => Promise<void>) | null, secondsLeft: number): void {
  toasts.push({ id: ++lastId, text, undo: takeBack, secondsLeft, isUndoing: false, error: null });
}
