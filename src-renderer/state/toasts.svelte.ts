import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';

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
  restore: () => Promise<unknown>;
}): Promise<void> {
  await options.remove();
  add(options.text, async () => void (await options.restore()), undoSeconds);
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
