import { StudioError } from '../contract/errors.ts';
import {
  deleteTrashed,
  listTrash,
  putInTrash,
  takeFromTrash,
  type RemovableKind,
  type TrashedEntry,
} from '../store/trash.ts';
import { freeName, type ServiceContext, type Trash } from './context.ts';

/**
 * Milliseconds for which a removal can be undone: longer than the page offers it (30 s), where time stands still under
 * the pointer.
 */
const keptMs = 60_000;

export function createTrash(store: Pick<ServiceContext, 'database' | 'writable'>): Trash {
  const deleters = new Map<RemovableKind, (entity: unknown) => void>();
  const timers = new Map<string, NodeJS.Timeout>();

  const find = (id: string) => listTrash(store.database).find((entry) => entry.id === id);

  function stopTimer(id: string): void {
    clearTimeout(timers.get(id));
    timers.delete(id);
  }

  /** Files first: what is interrupted is still in the trash, and is deleted again at the next start. */
  function deleteForGood(entry: TrashedEntry): void {
    stopTimer(entry.id);
    try {
      deleters.get(entry.kind)?.(entry.entity);
      deleteTrashed(store.writable(), entry);
    } catch (error) {
      console.error(error);
    }
  }

  return {
    ofKind: (kind, deleteFiles) => void deleters.set(kind, deleteFiles),
    put(kind, id) {
      putInTrash(store.writable(), kind, id);
      const timer = setTimeout(() => {
        const entry = find(id);
        if (entry) deleteForGood(entry);
      }, keptMs);
      timers.set(id, timer.unref());
    },
    restore(kind, id, isTaken) {
      const entry = find(id);
      if (entry?.kind !== kind)
        throw new StudioError(
          'not_found',
          'It cannot be brought back: it is deleted for good, or was never removed.',
          'Add it again, or train it again.',
        );
      stopTimer(id);
      takeFromTrash(
        store.writable(),
        entry,
        freeName(entry.name, (name) => isTaken(name, entry.entity)),
      );
    },
    empty: () => listTrash(store.database).forEach(deleteForGood),
  };
}
