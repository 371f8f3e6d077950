import type { Queue, Run } from '../../../../src-main/contract/entities.ts';

/** What a run that neither trains nor waits can say of itself beside its state; null: nothing more. */
export function restingWords(run: Run): string | null {
  const { state, resumable, resumesAnew, step } = run;
  if (state === 'done') return null;
  const why =
    state === 'interrupted'
      ? 'the studio ended while it ran; the queue does not start it again by itself'
      : null;
  const next = !resumable
    ? state === 'failed'
      ? null
      : 'no checkpoint was kept'
    : step === 0
      ? 'it starts at its beginning'
      : resumesAnew
        ? 'no checkpoint was kept: it begins anew, with the same seed'
        : 'a checkpoint is kept: resuming continues exactly there';
  return [why, next].filter(Boolean).join('; ') || null;
}

/** Where a waiting run stands: `2nd of 3 in the queue`. */
export function placeWords(queue: Queue, runId: string): string {
  const place = queue.waiting.findIndex(({ id }) => id === runId) + 1;
  const held = queue.isHeld ? ', which is held' : '';
  return `${ordinal(place)} of ${queue.waiting.length} in the queue${held}`;
}

function ordinal(place: number): string {
  const lastTwo = place % 100;
  const ending = lastTwo >= 11 && lastTwo <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][place % 10] ?? 'th');
  return `${place}${ending}`;
}
