import { getContext, setContext } from 'svelte';
import type { Dataset, DatasetFormat, Model } from '../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { StudioClient } from '../rpc/client.ts';

/** One import under way or ended; it goes on when its page is left. */
interface Import {
  /** The folder or file that is being imported; null: none. */
  path: string | null;
  /** Why the last one failed. */
  error: PlainError | null;
}

/** Imports of models and datasets, by a form or by a drop on any page. */
export class Imports {
  readonly model: Import = $state({ path: null, error: null });
  readonly dataset: Import = $state({ path: null, error: null });
  readonly #client: StudioClient;
  #adding: AbortController | null = null;

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

  /** A file of this computer, for a core that may be on another. Only where the client can upload. */
  uploadDataset(file: File, name = ''): Promise<Dataset | null> {
    const upload = this.#client.uploadDataset;
    if (!upload) return Promise.resolve(null);
    return this.#run(this.dataset, file.name, async () => {
      const added = await upload(file);
      return name === '' ? added : this.#client.call('datasets.rename', { dataset: added.id, name });
    });
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

  addDataset(options: {
    path: string;
    name?: string;
    format: DatasetFormat | 'auto';
    encoding?: string;
  }): Promise<Dataset | null> {
    return this.#run(this.dataset, options.path, () => this.#client.call('datasets.add', options));
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
