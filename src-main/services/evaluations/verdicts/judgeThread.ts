import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { BenchmarkName } from '../../../contract/evaluation/benchmarks.ts';
import type { Comparison } from '../../../contract/evaluation/comparison.ts';
import { StudioError } from '../../../contract/errors.ts';
import {
  compareAllInTurn,
  compareSubjects,
  type compareAll,
  type ComparisonOptions,
} from '../../../evaluation/compare.ts';
import type { Graded } from '../../../evaluation/gradedTable.ts';
import type { JudgeAnswer, JudgeMessage, SentSubject } from './judgeWorker.ts';

type Together = ReturnType<typeof compareAll>;
type Asked = [benchmark: BenchmarkName, data: string, subjects: readonly Graded[]];

/** From so many items on samples are drawn apart: with fewer a thread takes longer to begin than they do. */
const fewestApart = 500;

/**
 * Compares subjects as `compareAll` does, and never holds up who asks: grades that are shares are drawn anew ten
 * thousand times, which takes a second for ten thousand items, in a thread of its own.
 * @throws StudioError as compareAll
 */
export async function compareAllApart(
  ...[benchmark, data, subjects, options = {}]: [...Asked, options?: Omit<ComparisonOptions, 'chosenOf'>]
): Promise<Together> {
  if (!drawsLong(subjects)) return compareAllInTurn(benchmark, data, subjects, options);
  const value = await inThread(subjects, { kind: 'all', benchmark, data, options });
  return value as Together;
}

/** The same for `compareSubjects`. @throws StudioError as compareSubjects */
export async function compareSubjectsApart(
  ...[benchmark, data, subjects, options = {}]: [...Asked, options?: ComparisonOptions]
): Promise<Comparison[]> {
  if (!drawsLong(subjects)) return compareSubjects(benchmark, data, subjects, options);
  const value = await inThread(subjects, { kind: 'pairs', benchmark, data, options });
  return value as Comparison[];
}

/** Only shares are drawn anew; right and wrong, and losses, have formulas. */
function drawsLong(subjects: readonly Graded[]): boolean {
  return subjects.some(
    ({ items }) => items.length >= fewestApart && items.some(({ share }) => share !== null),
  );
}

async function inThread(
  subjects: readonly Graded[],
  work: Exclude<JudgeMessage, { kind: 'subject' }>,
): Promise<unknown> {
  const worker = new Worker(new URL('./judgeWorker.ts', import.meta.url));
  const send = (message: JudgeMessage) => worker.postMessage(message);
  try {
    const answered = new Promise<unknown>((resolve, reject) => {
      worker.on('message', (answer: JudgeAnswer) => {
        if (answer.kind === 'done') resolve(answer.value);
        else reject(StudioError.fromPlain(answer.error));
      });
      worker.on('error', reject);
    });
    for (const subject of subjects) {
      send({ kind: 'subject', subject: sent(subject) });
      // To copy the items of many subjects takes a while, too.
      await setImmediate();
    }
    send(work);
    return await answered;
  } finally {
    void worker.terminate();
  }
}

function sent({ items, ...rest }: Graded): SentSubject {
  const number = (value: number | boolean | null) => (value === null ? NaN : Number(value));
  return {
    ...rest,
    ids: items.map(({ id, index }) => (id === '' ? String(index) : id)),
    groups: items.map(({ group }) => group),
    targets: items.map(({ target }) => target),
    states: items.map(({ state }) => state),
    correct: Float64Array.from(items, ({ correct }) => number(correct)),
    share: Float64Array.from(items, ({ share }) => number(share)),
    loss: Float64Array.from(items, ({ loss }) => number(loss)),
    tokens: Int32Array.from(items, ({ tokens }) => tokens),
  };
}
