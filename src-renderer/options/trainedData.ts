import { countRows } from '../../src-main/contract/datasets/parts.ts';
import type { Dataset } from '../../src-main/contract/entities.ts';
import { snapshotDatasets, type Mix, type MixSnapshot } from '../../src-main/contract/mixing/mixes.ts';

/** What a run can be trained on, as the page knows it: a dataset, or a mix of some. */
export interface TrainedData {
  id: string;
  name: string;
  /** Rows to train on or to hold out; null: a mix, whose rows are counted with a model. */
  rows: number | null;
  /** The dataset, or those of the mix and of the mixes in it, each once. */
  datasets: readonly Dataset[];
  mix: Mix | null;
}

/** What datasets and mixes there are. */
export interface DataLibrary {
  datasets: readonly Dataset[];
  mixes: readonly Mix[];
}

/** What has an id; null where there is none, or where a dataset of the mix is gone. */
export function trainedData(id: string | null, library: DataLibrary): TrainedData | null {
  if (id === null) return null;
  const dataset = library.datasets.find((known) => known.id === id);
  if (dataset)
    return { id, name: dataset.name, rows: countRows(dataset, 'train'), datasets: [dataset], mix: null };
  const mix = library.mixes.find((known) => known.id === id);
  if (!mix) return null;
  const inner: MixSnapshot['inner'] = {};
  const gather = ({ sources }: Pick<Mix, 'sources'>): void => {
    for (const { kind, id: wanted } of sources) {
      const other = kind === 'mix' && !inner[wanted] && library.mixes.find((known) => known.id === wanted);
      if (!other) continue;
      inner[wanted] = { name: other.name, recipe: other };
      gather(other);
    }
  };
  gather(mix);
  const ids = new Set(snapshotDatasets({ recipe: mix, inner }));
  const datasets = library.datasets.filter((known) => ids.has(known.id));
  return datasets.length === ids.size ? { id, name: mix.name, rows: null, datasets, mix } : null;
}
