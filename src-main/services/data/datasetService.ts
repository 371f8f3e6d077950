import type { z } from 'zod';
import type { DatasetRow, Inspection, RowChange } from '../../contract/datasets/datasetProcedures.ts';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { UnusedRow } from '../../contract/datasets/unusable.ts';
import type { Dataset, DatasetFormat, SharedRows } from '../../contract/entities.ts';
import type { procedures } from '../../contract/procedures.ts';
import type { Split } from '../../contract/rows.ts';
import type { NumberedRow, RowRange } from '../../data/readRows.ts';
import type { BrowsedRows, WhichRows } from './rowBrowser.ts';

export type AddOptions = z.input<(typeof procedures)['datasets.add']['input']>;
export type InspectOptions = z.input<(typeof procedures)['datasets.inspect']['input']>;

/** What others ask of the library's datasets. */
export interface DatasetService {
  list(): Dataset[];
  get(reference: string): Dataset;
  /** A name or id of the library, or a file or folder, which is then imported. */
  getOrAdd(reference: string, signal?: AbortSignal): Promise<Dataset>;
  /** What files hold, before anything is imported. */
  inspect(options: InspectOptions): Promise<Inspection>;
  add(options: AddOptions, signal?: AbortSignal): Promise<Dataset>;
  /** Deletes files that a browser sent, or that came from the Hub, and that are not imported. */
  discardArrived(path: string): void;
  /** Calls it otherwise. @throws StudioError name_taken */
  rename(reference: string, name: string): Dataset;
  /** Says what each field is. */
  setMapping(
    reference: string,
    mapping: { mappings: readonly Mapping[]; format?: DatasetFormat | undefined },
    signal?: AbortSignal,
  ): Promise<Dataset>;
  /** Says what part of the data rows are. */
  setSplit(reference: string, as: Split, from?: Split, signal?: AbortSignal): Promise<Dataset>;
  edit(reference: string, changes: readonly RowChange[], signal?: AbortSignal): Promise<Dataset>;
  /** Reads the files again that it was made of, to which rows were added; edits and mapping stay. */
  readAnew(reference: string, signal?: AbortSignal): Promise<Dataset>;
  /** Takes the last edit back. @throws StudioError not_found where there is none */
  undoEdit(reference: string, signal?: AbortSignal): Promise<Dataset>;
  /** Its usable rows. */
  read(dataset: Dataset, range?: RowRange): AsyncIterable<NumberedRow>;
  /** Its rows that stand in benchmarks' test sets or in other datasets. */
  shared(reference: string): Promise<SharedRows[]>;
  /** Rows as they are shown, those included that are not used. */
  rows(
    reference: string,
    range: Omit<BrowsedRows, 'which'> & { which?: WhichRows },
  ): Promise<{ total: number; rows: DatasetRow[] }>;
  /** Rows with a text; `next`: where to go on, null at the end. */
  find(
    reference: string,
    search: { text: string; from: number; limit: number },
  ): Promise<{ indices: number[]; next: number | null }>;
  /** Rows that were set aside. */
  unused(
    reference: string,
    range: { offset: number; limit: number },
  ): Promise<{ total: number; rows: UnusedRow[] }>;
  /** Removes it; for a minute it can be restored. @throws StudioError in_use where runs need it */
  remove(reference: string): void;
  /**
   * Brings back a dataset that was removed less than a minute ago, under another name where its own was taken
   * meanwhile.
   */
  restore(id: string): Dataset;
  /** Deletes copies that a process left behind that died while it imported. */
  recover(): void;
}
