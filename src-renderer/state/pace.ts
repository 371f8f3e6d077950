/** How fast a run goes, from the moments at which its steps arrived here. */
export interface Pace {
  /** Milliseconds since 1970, and the step reached then; oldest first. */
  seen: readonly { at: number; step: number }[];
}

/** Seconds looked back: long enough to even out evaluations, short enough to follow a change. */
const windowMs = 60_000;

export function withStep(pace: Pace, step: number, at: number): Pace {
  const last = pace.seen.at(-1);
  // A run that went back to a checkpoint starts anew.
  const kept = last && step < last.step ? [] : pace.seen.filter((entry) => at - entry.at <= windowMs);
  return { seen: [...kept, { at, step }] };
}

/** Milliseconds until the last step; null where nothing can be said yet. */
export function remainingMs(pace: Pace, totalSteps: number | null): number | null {
  const [first, last] = [pace.seen[0], pace.seen.at(-1)];
  if (!first || !last || totalSteps === null || last.step <= first.step || last.at <= first.at) return null;
  return ((totalSteps - last.step) * (last.at - first.at)) / (last.step - first.step);
}

/** Nobody wonders earlier, and evaluations and checkpoints take their time between two steps. */
const shortestStallMs = 10_000;
const usualStepsOfAStall = 5;

/**
 * How long no step has come from a run that trains, where that is unusual, and what is usual: a step that takes long is
 * no fault by itself.
 * @returns milliseconds; null where nothing is unusual, or nothing can be said yet
 */
export function stallOf(pace: Pace, now: number): { sinceMs: number; usualMs: number } | null {
  const [first, last] = [pace.seen[0], pace.seen.at(-1)];
  if (!first || !last || last.step <= first.step) return null;
  const usualMs = (last.at - first.at) / (last.step - first.step);
  const sinceMs = now - last.at;
  return sinceMs > Math.max(shortestStallMs, usualStepsOfAStall * usualMs) ? { sinceMs, usualMs } : null;
}
