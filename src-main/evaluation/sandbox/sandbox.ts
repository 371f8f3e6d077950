import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { programLimits } from '../../contract/evaluation/grading.ts';
import { StudioError } from '../../contract/errors.ts';

/** As in lm-evaluation-harness. */
export const usualTimeoutSeconds: number = programLimits.seconds;

/** A program whose tests decide whether it is right. Both are strangers' code. */
export interface Program {
  id: string;
  /** Python; runs first. */
  source: string;
  /** Python; runs behind it in a copy of its names. The program passes where both end without an error. */
  tests: string;
}

export const outcomes = ['passed', 'failed', 'timed_out', 'out_of_memory', 'killed'] as const;
export type Outcome = (typeof outcomes)[number];

/** How a program ended. */
export interface Verdict {
  outcome: Outcome;
  /** The last lines of its error, or why it was ended; null where it passed. */
  error: string | null;
  /** Wall time that it took. */
  seconds: number;
}

export interface RunOptions {
  /** Wall time that a program may take; its processor time is limited to hardly more. */
  timeoutSeconds: number;
  /** Aborting kills it at once. */
  signal: AbortSignal;
}

/** A place in which strangers' code can do no harm. Each program has a fresh one, of which nothing is left. */
export interface Sandbox {
  kind: 'bubblewrap' | 'pyodide';
  /** For people: `bubblewrap 0.8.0, Python 3.11.2`. */
  description: string;
  /** Version of Python, which decides on some verdicts. */
  python: string;
  /** @throws StudioError cancelled */
  run(program: Program, options: RunOptions): Promise<Verdict>;
}

/** What a program may use. */
export const limits = {
  memoryBytes: programLimits.memoryBytes,
  processes: programLimits.processes,
  files: 64,
  fileBytes: 2 ** 20,
  temporaryBytes: programLimits.temporaryBytes,
  outputBytes: 2 ** 20,
} as const;

/**
 * Runs programs in a sandbox, several at once, each in a fresh one. When it is over, also by an error, none runs any
 * more and nothing is left of them.
 * @param options.parallel how many at once; absent: one for each core
 * @param options.onVerdict told of each as it ends, in no order
 * @returns verdicts in the order of the programs
 * @throws StudioError cancelled; what `onVerdict` throws
 */
export async function runPrograms(
  sandbox: Sandbox,
  programs: readonly Program[],
  options: {
    signal: AbortSignal;
    parallel?: number;
    timeoutSeconds?: number;
    onVerdict?: (program: Program, verdict: Verdict) => void;
  },
): Promise<Verdict[]> {
  const { parallel = availableParallelism(), timeoutSeconds = usualTimeoutSeconds, onVerdict } = options;
  const failing = new AbortController();
  const signal = AbortSignal.any([options.signal, failing.signal]);
  // One listener for each that runs.
  setMaxListeners(0, signal);
  const verdicts: Verdict[] = [];
  let next = 0;
  let failure: unknown = null;
  const work = async () => {
    while (next < programs.length && !signal.aborted) {
      const index = next++;
      const program = programs[index]!;
      const verdict = await sandbox.run(program, { timeoutSeconds, signal });
      verdicts[index] = verdict;
      onVerdict?.(program, verdict);
    }
  };
  const workers = Array.from({ length: Math.max(1, Math.min(parallel, programs.length)) }, () =>
    work().catch((error: unknown) => {
      failure ??= error;
      failing.abort();
    }),
  );
  await Promise.all(workers);
  if (failure !== null) throw failure;
  if (options.signal.aborted) throw cancelled();
  return verdicts;
}

/** Null where a sandbox tells right from wrong, else what happened. */
export async function trySandbox(sandbox: Sandbox, signal: AbortSignal): Promise<string | null> {
  const options = { timeoutSeconds: 10, signal };
  const source = 'def one():\n    return 1\n';
  for (const [tests, outcome] of [
    ['assert one() == 1', 'passed'],
    ['assert one() == 2', 'failed'],
  ]) {
    const verdict = await sandbox.run({ id: 'probe', source, tests: tests! }, options);
    if (verdict.outcome !== outcome) return verdict.error ?? `a program that is wrong ${verdict.outcome}`;
  }
  return null;
}

export function cancelled(): StudioError {
  return new StudioError('cancelled', 'The programs were cancelled.', 'Start them again.');
}
