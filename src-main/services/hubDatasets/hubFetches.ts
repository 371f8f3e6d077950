import type { HubFetch } from '../../contract/datasets/datasetProcedures.ts';
import { toPlainError } from '../../contract/errors.ts';
import type { Split } from '../../contract/rows.ts';

/** What of a dataset is downloaded. */
export interface HubWish {
  repository: string;
  revision?: string | undefined;
  config?: string | undefined;
  /** Absent: all parts. */
  splits?: readonly Split[] | undefined;
}

/** A wish with what a page calls it. */
type TitledWish = HubFetch['wanted'];

interface Fetch {
  wanted: TitledWish;
  controller: AbortController;
  ended: Promise<{ path: string }>;
  /** Of what is complete; null: it is under way. */
  path: string | null;
}

/** Downloads that pages begin. They are the core's: a page that is loaded anew or left finds them again. */
export interface HubFetches {
  /** Begins a download, or waits for the same one that is under way. */
  begin(wanted: TitledWish): Promise<{ path: string }>;
  /** Ends the downloads of a repository; what came is kept. */
  cancel(repository: string): Promise<void>;
  /** Those under way, those that wait to be imported, and those that failed since they were told last. */
  list(): HubFetch[];
  /** Ends all. */
  close(): void;
}

/**
 * @param fetch downloads @param isThere whether what was downloaded still waits to be imported
 */
export function createHubFetches(
  fetch: (wanted: HubWish, signal: AbortSignal) => Promise<{ path: string }>,
  isThere: (path: string) => boolean,
): HubFetches {
  const fetches = new Map<string, Fetch>();
  const failed: HubFetch[] = [];
  const keyOf = ({ label: _label, ...wish }: TitledWish) => JSON.stringify(wish);

  return {
    begin(wanted) {
      const key = keyOf(wanted);
      const known = fetches.get(key);
      if (known && known.path === null) return known.ended;
      const controller = new AbortController();
      const { label: _label, ...wish } = wanted;
      const entry: Fetch = { wanted, controller, ended: fetch(wish, controller.signal), path: null };
      fetches.set(key, entry);
      entry.ended.then(
        ({ path }) => (entry.path = path),
        (error: unknown) => {
          fetches.delete(key);
          if (!controller.signal.aborted) failed.push({ wanted, path: null, error: toPlainError(error) });
        },
      );
      return entry.ended;
    },
    async cancel(repository) {
      const mine = [...fetches.values()].filter(
        ({ wanted, path }) => wanted.repository === repository && path === null,
      );
      for (const { controller } of mine) controller.abort();
      await Promise.allSettled(mine.map(({ ended }) => ended));
    },
    list() {
      for (const [key, { path }] of fetches) if (path !== null && !isThere(path)) fetches.delete(key);
      const found = [...fetches.values()].map(({ wanted, path }): HubFetch => ({
        wanted,
        path,
        error: null,
      }));
      return [...found, ...failed.splice(0)];
    },
    close() {
      for (const { controller } of fetches.values()) controller.abort();
    },
  };
}
