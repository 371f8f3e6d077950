import type { EvaluationItem } from '../../contract/results.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import { itemSums, scoreInterval, scoreOf } from '../../statistics/scores.ts';
import { keepItems, type ItemsKey } from '../../store/results.ts';
import type { ServiceContext } from '../context.ts';
import type { PreparedEvaluation } from './evaluationJobs.ts';
import { notRunYet } from './programs.ts';
import { notJudgedYet } from './verdicts/localJudge.ts';

/** Items wait so long at most before they are kept: a kill loses no more. */
const keepEveryMs = 1000;

/** Watches a running evaluation. */
export interface ItemWatch {
  onEvent(event: EngineEvent): void;
  onItems(items: readonly EvaluationItem[]): void;
  /** Keeps what still waits. */
  flush(): void;
}

/**
 * Keeps items as they are graded, and tells listeners how far it is, with the score so far, its interval, and the time
 * that is left at the pace until now.
 */
export function watchItems(
  context: ServiceContext,
  given: ItemsKey & { task: string; prepared: Pick<PreparedEvaluation, 'pending'> },
): ItemWatch {
  const { task, prepared } = given;
  const graded: EvaluationItem[] = [];
  /** Items whose answers wait for what grades them. */
  let answered = 0;
  let waiting: EvaluationItem[] = [];
  let lastKept = performance.now();
  const begin = performance.now();
  const flush = () => {
    if (waiting.length > 0) keepItems(context.writable(), given, waiting);
    waiting = [];
    lastKept = performance.now();
  };
  return {
    onEvent(event) {
      // Until the first item is graded the engine tells how far it is.
      if (event.type === 'progress' && graded.length === 0) context.emit({ ...event, task });
    },
    onItems(items) {
      for (const item of items) {
        if (item.remark === notRunYet || item.remark === notJudgedYet) answered++;
        else graded.push(item);
        waiting.push(item);
      }
      const now = performance.now();
      if (now - lastKept >= keepEveryMs) flush();
      if (graded.length === 0) {
        // They are answered first, all of them, and graded then.
        context.emit({ type: 'progress', task, label: 'Answers', done: answered, total: prepared.pending });
        return;
      }
      context.emit({
        type: 'progress',
        task,
        label: `${scoreSoFar(graded)} so far`,
        done: graded.length,
        total: prepared.pending,
        secondsLeft: ((now - begin) / 1000 / graded.length) * (prepared.pending - graded.length),
      });
    },
    flush,
  };
}

function scoreSoFar(items: readonly EvaluationItem[]): string {
  const sums = itemSums(items);
  const [low, high] = scoreInterval(sums, items.length).map((bound) => (100 * bound).toFixed(0));
  return `${(100 * scoreOf(sums, items.length)).toFixed(1)} % right (${low} to ${high} %)`;
}
