import type { Dataset } from '../entities.ts';
import { StudioError } from '../errors.ts';
import type { Split } from '../rows.ts';

type Parted = Pick<Dataset, 'rows' | 'stretches'>;

/** Where a part's rows lie among all usable rows, in order. @param split absent: all of them */
export function rangesOf({ rows, stretches }: Parted, split?: Split): { begin: number; count: number }[] {
  if (split === undefined) return [{ begin: 0, count: rows }];
  // Datasets from before there were parts are training data throughout.
  if (stretches.length === 0) return split === 'train' ? [{ begin: 0, count: rows }] : [];
  let begin = 0;
  return stretches.flatMap((stretch) => {
    const range = { begin, count: stretch.rows };
    begin += stretch.rows;
    return stretch.split === split ? [range] : [];
  });
}

/** How many usable rows a part has. */
export function countRows(dataset: Parted, split?: Split): number {
  return rangesOf(dataset, split).reduce((sum, { count }) => sum + count, 0);
}

/** Why nothing can be trained on a dataset; null where something can. */
export function trainingRefusal(
  dataset: Parted & Pick<Dataset, 'name' | 'files' | 'promptRows'>,
): StudioError | null {
  const { name, files, rows, promptRows } = dataset;
  if (rows > 0 && promptRows === rows)
    return new StudioError(
      'dataset_invalid',
      `The dataset "${name}" holds prompts without answers: there is nothing to learn.`,
      'Use it for scoring, and train on one with answers; or say which field is the answer.',
    );
  if (countRows(dataset, 'train') > 0) return null;
  const parts = [...new Set(dataset.stretches.filter((one) => one.rows > 0).map(({ split }) => split))];
  const [file] = files;
  return new StudioError(
    'dataset_invalid',
    `The dataset "${name}" is ${parts.join(' and ')} data alone${file ? ` (${file.name}: ${file.reason})` : ''}: an adapter that has seen it says nothing by its scores on it.`,
    `Choose training data. Where these rows are meant for training, say so: datasets split "${name}" --as train.`,
  );
}
