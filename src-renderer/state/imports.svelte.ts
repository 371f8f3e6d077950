import { getContext, setContext } from 'svelte';
import type { Dataset, Model } from '../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { ProcedureInput } from '../../src-main/contract/procedures.ts';
import type { StudioClient } from '../rpc/client.ts';
import { stored } from './stored.svelte.ts';

/** One import under way or ended; it goes on when its page is left. */
interface Import {
  /** The folder or file that is being imported; null: none. */
  path: string | null;
  /** Why the last one failed. */
  error: PlainError | null;
}

interface SavedDraft {
  way?: 'files' | 'hub';
  paths?: string;
  repository?: string;
  revision?: string;
}

/** A file of this computer, with its path from the folder that was chosen or dropped. */
export interface LocalFile {
  file: File;
  name: string;
}

/** Imports of models and datasets, by a form or by a drop on any page. */
export class Imports {
  readonly model: Import = $state({ path: null, error: null });
  readonly dataset: Import = $state({ path: null, error: null });
  /** Where the next dataset comes from, and what is said of it: files and folders, one a line; or the Hub. */
  readonly draft = stored('studio.data', (saved: SavedDraft) => ({
    way: saved.way === 'hub' ? ('hub' as const) : ('files' as const),
    paths: typeof saved.paths === 'string' ? saved.paths : '',
    repository: typeof saved.repository === 'string' ? saved.repository : '',
    revision: typeof saved.revision === 'string' ? saved.revision : '',
  }));
  /** Files of this computer that were sent for the next dataset: their path for the core, and their names. */
  sent: { path: string; names: string[] } | null = $state(null);
  /** What was downloaded from the Hub for the next dataset: its path for the core, and what it is. */
  fetched: { path: string; title: string } | null = $state(null);
  readonly #client: StudioClient;
  #adding: AbortController | null = null;
  #addingDataset: AbortController | null = null;

  constructor(client: StudioClient) {
    this.#client = client;
  }

  /** Null where it failed or another model is still being added. */
  addModel(options: { folder: string; copy: boolean }): Promise<Model | null> {
    this.#adding ??= new AbortController();
    const { signal } = this.#adding;
    return this.#run(this.model, options.folder, () =>
      this.#client.call('models.add', options, { signal }),
    ).finally(() => (this.#adding = null));
  }

  /** Names files and folders of the core's machine for the next dataset. */
  namePaths(paths: readonly string[]): void {
    this.draft.way = 'files';
    const named = this.draft.paths.split('\n').filter((line) => line.trim() !== '');
    this.draft.paths = [...named, ...paths.filter((path) => !named.includes(path))].join('\n');
    this.dataset.error = null;
  }

  /** Sends files of this computer to a core that may be on another. Only where the client can upload. */
  async sendFiles(files: readonly LocalFile[]): Promise<void> {
    const upload = this.#client.uploadFile;
    if (!upload || files.length === 0) return;
    this.draft.way = 'files';
    // Not randomUUID: a page from another machine is no secure context.
    const batch =
      this.sent?.path.replace(/^upload:/, '') ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
    for (const { file, name } of files) {
      const path = await this.#runDataset(name, (signal) => upload(file, { batch, name }, signal));
      if (path === null) return;
      const names = (this.sent?.names ?? []).filter((other) => other !== name);
      this.sent = { path, names: [...names, name] };
    }
  }

  /** Downloads what was chosen of a dataset of the Hub, which is then looked at and imported as files are. */
  async fetchFromHub(wanted: ProcedureInput<'datasets.hubFetch'>, title: string): Promise<void> {
    const { repository } = wanted;
    const found = await this.#runDataset(repository, (signal) => {
      // The core goes on without the page: that it is to end has to be said.
      signal.addEventListener('abort', () => {
        void this.#client.call('datasets.hubCancel', { repository }).catch(() => undefined);
      });
      return this.#client.call('datasets.hubFetch', { ...wanted, label: title }, { signal });
    });
    if (found) this.fetched = { path: found.path, title };
  }

  /** Finds what was begun before the page was loaded anew: waits for it, shows it, or says why it failed. */
  async findFetches(): Promise<void> {
    const [first] = await this.#client.call('datasets.hubFetches', {}).catch(() => []);
    if (!first || this.fetched || this.dataset.path !== null) return;
    const { wanted, path, error } = first;
    this.draft.way = 'hub';
    if (error) this.dataset.error = error;
    else if (path === null) await this.fetchFromHub(wanted, wanted.label);
    else this.fetched = { path, title: wanted.label };
  }

  /** Takes back what was sent or downloaded for the next dataset. */
  discard(what: 'sent' | 'fetched'): void {
    const waiting = this[what];
    this[what] = this.dataset.error = null;
    // What is left of uploads is cleared when the studio starts again.
    if (waiting)
      void this.#client.call('datasets.discardArrived', { path: waiting.path }).catch(() => undefined);
  }

  /** Says at the form of models why something that was dropped cannot become one. */
  refuseModel(message: string, remedy: string): void {
    this.model.error = { code: 'usage', message, remedy };
  }

  /** The failure of one way of adding says nothing of another way. */
  forgetFailure(): void {
    this.model.error = null;
  }

  cancelModel(): void {
    this.#adding?.abort();
  }

  /** Null where it failed, was cancelled, or another dataset is still being added. */
  addDataset(options: ProcedureInput<'datasets.add'>): Promise<Dataset | null> {
    return this.#runDataset(options.paths?.[0] ?? '', (signal) =>
      this.#client.call('datasets.add', options, { signal }),
    );
  }

  cancelDataset(): void {
    this.#addingDataset?.abort();
  }

  #runDataset<T>(path: string, work: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    this.#addingDataset ??= new AbortController();
    const { signal } = this.#addingDataset;
    return this.#run(this.dataset, path, () => work(signal)).finally(() => (this.#addingDataset = null));
  }

  async #run<T>(entry: Import, path: string, work: () => Promise<T>): Promise<T | null> {
    if (entry.path !== null) return null;
    Object.assign(entry, { path, error: null });
    try {
      return await work();
    } catch (thrown) {
      const error = toPlainError(thrown);
      if (error.code !== 'cancelled') entry.error = error;
      return null;
    } finally {
      entry.path = null;
    }
  }
}

const key = Symbol('imports');

export function provideImports(imports: Imports): void {
  setContext(key, imports);
}

export function useImports(): Imports {
  return getContext<Imports>(key);
}
