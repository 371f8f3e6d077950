import type { Dataset, SharedRows } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';

/** Data that a study of the paper trains on. */
export interface PaperData {
  label: string;
  /** In the names of a dataset or its file. */
  pattern: RegExp;
}

/** A dataset as far as it tells what it holds. */
type Described = Pick<Dataset, 'name' | 'sourcePath' | 'benchmarkRows' | 'rows'>;

/** Names of splits that are scored, as words of a name. */
const scoredSplit = /(?:^|[^a-z])(?:test|valid|validation|dev|eval|evaluation|held-?out)(?:[^a-z]|$)/i;

/** Whether a name says that a dataset is there to be scored. */
export function isScoredSplit({ name, sourcePath }: Pick<Dataset, 'name' | 'sourcePath'>): boolean {
  const file = sourcePath.split(/[/\\]/).at(-1) ?? '';
  return scoredSplit.test(name) || scoredSplit.test(file);
}

/** Benchmarks' test sets that make up half of a dataset or more: it is one of them, whatever it is called. */
function testSetsOf({ benchmarkRows }: Pick<Dataset, 'benchmarkRows'>): SharedRows[] {
  return benchmarkRows.filter(({ rows, of }) => 2 * rows >= of);
}

/** By name, where neither name nor rows say that it is there to be scored. */
export function isPaperData({ pattern }: PaperData, dataset: Described): boolean {
  if (isScoredSplit(dataset) || testSetsOf(dataset).length > 0) return false;
  const place = dataset.sourcePath.split(/[/\\]/).slice(-2).join('/');
  return pattern.test(dataset.name) || pattern.test(place);
}

/**
 * Refuses to train a study on what its adapters are scored with.
 * @param scoredWith the benchmarks, in words
 * @throws StudioError config_invalid
 */
export function checkStudyData(scoredWith: string, dataset: Described): void {
  const found = testSetsOf(dataset).find(({ with: name }) => scoredWith.includes(name));
  if (!found) return;
  throw new StudioError(
    'config_invalid',
    `${sharedSentence(dataset, found)} The study is scored with them.`,
    'Choose the training split, for example train.jsonl of the same benchmark.',
  );
}

/**
 * Rows of a study's data that stand where adapters are scored: in benchmarks' test sets, in datasets that were scored,
 * and in those whose names say so.
 * @param scored names and paths of what was scored
 */
export function leakNotes(
  dataset: Pick<Dataset, 'name'>,
  shared: readonly SharedRows[],
  library: readonly Pick<Dataset, 'name' | 'sourcePath'>[],
  scored: ReadonlySet<string>,
): string[] {
  const known = new Map(library.map((other) => [other.name, other]));
  return shared
    .filter(({ with: name }) => {
      const other = known.get(name);
      return !other || isScoredSplit(other) || scored.has(name) || scored.has(other.sourcePath);
    })
    .map((rows) => sharedSentence(dataset, rows));
}

/** 1,319 of 1,319 rows (100 %) of "test" stand in GSM8K test, too. */
export function sharedSentence(
  { name }: Pick<Dataset, 'name'>,
  { with: other, rows, of }: SharedRows,
): string {
  const share = (100 * rows) / of;
  const percent = share < 10 ? share.toPrecision(2) : share.toFixed(0);
  const count = new Intl.NumberFormat('en-US');
  return `${count.format(rows)} of ${count.format(of)} rows (${percent} %) of "${name}" stand in ${other}, too.`;
}
