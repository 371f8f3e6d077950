import { parentPort, workerData } from 'node:worker_threads';
import { toPlainError, type PlainError } from '../../contract/errors.ts';
import type { RowStatistics } from '../../contract/datasets/statistics.ts';
import type { Row } from '../../contract/rows.ts';
import { readRows, type StoredDataset } from '../../data/readRows.ts';
import { createRowFindings, wordStretches, type KnownItems } from '../../data/statistics/rowFindings.ts';

/** What the thread looks at: the dataset, and others of whose test items its rows may hold words. */
export interface StatisticsWork {
  folder: string;
  dataset: StoredDataset;
  tests: readonly StoredDataset[];
}

export type StatisticsAnswer =
  | { kind: 'progress'; done: number }
  | { kind: 'done'; value: RowStatistics }
  | { kind: 'failed'; error: PlainError };

const reportedRows = 1000;

/** Entry of the thread in which a dataset's rows are looked at: it takes seconds to minutes. */
async function look({ folder, dataset, tests }: StatisticsWork): Promise<RowStatistics> {
  const known: KnownItems[] = [];
  for (const test of tests) known.push({ name: test.name, stretches: await itemsOf(folder, test) });
  const findings = createRowFindings(known);
  let done = 0;
  for await (const { index, row } of readRows(folder, dataset)) {
    findings.add(index, row);
    if (++done % reportedRows === 0) say({ kind: 'progress', done });
  }
  return findings.result();
}

async function itemsOf(folder: string, test: StoredDataset): Promise<ReadonlySet<number>> {
  const stretches = new Set<number>();
  const split = test.stretches.length === 0 ? undefined : ('test' as const);
  for await (const { row } of readRows(folder, test, { split })) {
    for (const stretch of wordStretches(itemText(row))) stretches.add(stretch);
  }
  return stretches;
}

/** What an item asks. */
function itemText(row: Row): string {
  if (row.kind === 'text') return row.text;
  if (row.kind === 'verbatim') return row.prompt;
  return row.turns.findLast(({ role }) => role === 'user')?.content ?? '';
}

function say(answer: StatisticsAnswer): void {
  parentPort!.postMessage(answer);
}

look(workerData as StatisticsWork).then(
  (value) => say({ kind: 'done', value }),
  (error: unknown) => say({ kind: 'failed', error: toPlainError(error) }),
);
