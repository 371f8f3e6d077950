import { performance } from 'node:perf_hooks';
import { StudioError, toPlainError } from '../../src-main/contract/errors.ts';

/** What came of one case: a job, or several that are compared. */
export interface CaseResult {
  name: string;
  state: 'passed' | 'failed' | 'skipped' | 'left out';
  /** Why it failed or was not made. */
  reason?: string;
  seconds: number;
  /** What was measured. */
  figures?: Record<string, unknown>;
}

/** Says why a case was not made: nothing of it was measured, and nothing is wrong. */
export class Skipped extends Error {}

/** How long there is left. */
export interface Deadline {
  secondsLeft(): number;
  signal: AbortSignal;
}

/** @param within an earlier one, which holds as well */
export function deadlineIn(seconds: number, within?: Deadline): Deadline {
  const limit = Math.max(0, Math.min(seconds, within?.secondsLeft() ?? Infinity));
  const end = performance.now() + 1000 * limit;
  return {
    secondsLeft: () => Math.max(0, (end - performance.now()) / 1000),
    signal: AbortSignal.timeout(Math.ceil(1000 * limit)),
  };
}

/**
 * Makes a case. What it throws is its result: `Skipped` with its reason, the end of its time as left out, else a
 * failure.
 * @param needed seconds that it takes at least: with less left it is not begun
 * @param work gives what was measured; `fail` lets it have failed in spite of that
 */
export async function runCase(
  name: string,
  deadline: Deadline,
  needed: number,
  work: (fail: (reason: string) => void) => Promise<Record<string, unknown>>,
): Promise<CaseResult> {
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 100) / 10;
  const left = deadline.secondsLeft();
  if (left < needed)
    return {
      name,
      state: 'left out',
      reason: `time: it takes about ${Math.ceil(needed)} s, ${Math.floor(left)} s were left`,
      seconds: 0,
    };
  const faults: string[] = [];
  try {
    const figures = await work((reason) => faults.push(reason));
    return faults.length > 0
      ? { name, state: 'failed', reason: faults.join('; '), seconds: seconds(), figures }
      : { name, state: 'passed', seconds: seconds(), figures };
  } catch (error) {
    if (error instanceof Skipped)
      return { name, state: 'skipped', reason: error.message, seconds: seconds() };
    if (deadline.signal.aborted && error instanceof StudioError && error.code === 'cancelled')
      return {
        name,
        state: 'left out',
        reason: `time: it was stopped after ${seconds()} s`,
        seconds: seconds(),
      };
    const { code, message } = toPlainError(error);
    return { name, state: 'failed', reason: `${code}: ${message}`.slice(0, 800), seconds: seconds() };
  }
}
