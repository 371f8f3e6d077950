import { parentPort } from 'node:worker_threads';
import type { Comparison } from '../../../contract/evaluation/comparison.ts';
import type { BenchmarkName } from '../../../contract/evaluation/benchmarks.ts';
import { toPlainError, type PlainError } from '../../../contract/errors.ts';
import type { EvaluationItem } from '../../../contract/results.ts';
import { compareAll, compareSubjects, type ComparisonOptions } from '../../../evaluation/compare.ts';
import type { Graded } from '../../../evaluation/gradedTable.ts';
import { emptyItem } from '../evaluationJobs.ts';

/** What tests read of a subject's items, in columns: a copy of them takes milliseconds, one of items a hundred. */
export interface SentSubject extends Omit<Graded, 'items'> {
  ids: string[];
  groups: (string | null)[];
  targets: (string | null)[];
  states: EvaluationItem['state'][];
  /** NaN: null. */
  correct: Float64Array;
  share: Float64Array;
  loss: Float64Array;
  tokens: Int32Array;
}

export type JudgeMessage =
  | { kind: 'subject'; subject: SentSubject }
  /** `all`: pairs with what they say together; `pairs`: pairs alone. */
  | {
      kind: 'all' | 'pairs';
      benchmark: BenchmarkName;
      data: string;
      options: ComparisonOptions;
    };

export type JudgeAnswer =
  | { kind: 'done'; value: ReturnType<typeof compareAll> | Comparison[] }
  | { kind: 'failed'; error: PlainError };

const subjects: Graded[] = [];

/** Entry of the thread in which subjects of many items are compared: samples are drawn ten thousand times. */
parentPort!.on('message', (message: JudgeMessage) => {
  if (message.kind === 'subject') {
    subjects.push(received(message.subject));
    return;
  }
  const { benchmark, data, options } = message;
  const compare = message.kind === 'all' ? compareAll : compareSubjects;
  try {
    say({ kind: 'done', value: compare(benchmark, data, subjects, options) });
  } catch (error) {
    say({ kind: 'failed', error: toPlainError(error) });
  }
});

function received({
  ids,
  groups,
  targets,
  states,
  correct,
  share,
  loss,
  tokens,
  ...rest
}: SentSubject): Graded {
  const known = (value: number) => (Number.isNaN(value) ? null : value);
  const items = ids.map((id, index): EvaluationItem => ({
    ...emptyItem,
    index,
    id,
    group: groups[index]!,
    target: targets[index]!,
    state: states[index]!,
    correct: Number.isNaN(correct[index]!) ? null : correct[index] === 1,
    share: known(share[index]!),
    loss: known(loss[index]!),
    tokens: tokens[index]!,
  }));
  return { ...rest, items };
}

function say(answer: JudgeAnswer): void {
  parentPort!.postMessage(answer);
}
