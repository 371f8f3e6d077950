import type { Run } from '../contract/entities.ts';
import type { BenchmarkName } from '../contract/evaluation/benchmarks.ts';
import type { EvaluationItem } from '../contract/results.ts';
import { StudioError } from '../contract/errors.ts';
import { alignItems, type ScoredItem } from '../statistics/alignment.ts';
import { kindOf, valueOf } from '../statistics/itemScore.ts';
import type { ScoreKind } from '../statistics/pairOutcome.ts';
import type { ScoredBase } from './confounders.ts';

/** A subject's graded items. */
export interface Graded {
  name: string;
  /** What was trained; null: the base model, or an adapter from elsewhere. */
  run: Run | null;
  base: ScoredBase;
  /** Hash of the data it was graded on. */
  dataHash: string;
  items: readonly EvaluationItem[];
}

/** Subjects whose items were brought together by their ids. */
export interface GradedTable {
  benchmark: BenchmarkName;
  /** What they were graded on, in words. */
  data: string;
  kind: ScoreKind;
  subjects: readonly Graded[];
  /** Of each item what it belongs to. */
  groups: readonly (string | null)[];
  /** Of each subject its items, all in one order. */
  columns: readonly (readonly ScoredItem[])[];
  /** Of each subject one value an item; NaN: not graded. */
  values: readonly Float64Array[];
}

/**
 * @throws StudioError usage where the subjects were graded on different items, with the first id that differs;
 * loss_not_finite
 */
export function tabulate(benchmark: BenchmarkName, data: string, subjects: readonly Graded[]): GradedTable {
  const [first] = subjects;
  for (const other of subjects)
    if (first && other.dataHash !== first.dataHash)
      throw new StudioError(
        'usage',
        `${first.name} and ${other.name} were not graded on the same items (${first.items.length} and ${other.items.length}): their data differ.`,
        'Evaluate both with the same data, limit and shots.',
      );
  // Where one was scored before items had ids, the place in the file tells all of them: their data are the same.
  const isByIndex = subjects.some(({ items }) => items.some(({ id }) => id === ''));
  const { groups, columns } = alignItems(
    subjects.map(({ name, items }) => ({ name, items: items.map((item) => scoredItem(item, isByIndex)) })),
  );
  const kind = kindOf(columns.flat(), benchmark === 'perplexity');
  const values = columns.map((column, i) =>
    Float64Array.from(column, (item) => {
      const value = valueOf(kind, item);
      if (kind === 'loss' && item.state === 'graded' && !Number.isFinite(value))
        throw new StudioError(
          'loss_not_finite',
          `${subjects[i]!.name} has no finite loss on item ${item.id}: it cannot be compared.`,
          'Train it again with a lower learning rate.',
        );
      return value;
    }),
  );
  return { benchmark, data, kind, subjects, groups, columns, values };
}

/** What statistics need of an item. */
function scoredItem(item: EvaluationItem, isByIndex: boolean): ScoredItem {
  const { id, index, group, state, correct, share, loss, target, tokens } = item;
  return {
    id: isByIndex ? String(index) : id,
    group,
    state,
    correct: share ?? correct,
    loss,
    target,
    tokens,
  };
}
