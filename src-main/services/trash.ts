import { StudioError } from '../contract/errors.ts';
import type { ReadableDatabase, WritableDatabase } from '../store/database.ts';
import {
  deleteTrashed,
  listTrash,
  putInTrash,
  takeFromTrash,
  type RemovableKind,
  type TrashedEntry,
} from '../store/trash.ts';
import { freeName } from './context.ts';

/**
 * Milliseconds for which a removal can be undone: longer than the page offers it (30 s), where time stands still under
 * the pointer.
 */
const keptMs = 60_000;

/**
 * Runs, models, datasets and studies that were removed: gone from all lists, and brought back whole within a minute.
 */
export interface Trash {
  /** Says what files an entry of that kind has; its rows the trash deletes itself. */
  ofKind(kind: RemovableKind, deleteFiles: (entity: unknown) => void): void;
  put(kind: RemovableKind, id: string): void;
  /**
   * Brings an entry back, under its name where that is still free.
   * @param isTaken whether another entry like it has a name
   * @throws StudioError not_found where it is not in the trash (any more)
   */
  restore(kind: RemovableKind, id: string, isTaken: (name: string, entity: unknown) => boolean): void;
  /** Deletes for good what lies in it: when the studio ends, and what a dead process left when it begins. */
  empty(): void;
}

export function createTrash(store: { database: ReadableDatabase; writable(): WritableDatabase }): Trash {
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
