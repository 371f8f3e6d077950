import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StudioError } from '../../contract/errors.ts';
import type { StudioEvent } from '../../contract/events.ts';
import { readLines } from '../../engine/process/readLines.ts';
import { endProgress } from '../progress.ts';

/** What repairs the runtime: a program of its own, so that it can be ended and a crash stays its own. */
const repairProgram = [
  process.execPath,
  fileURLToPath(new URL('../../setup/tensorflow/repair.mjs', import.meta.url)),
] as const;
const task = 'repair';
const tryAgain = 'Try the repair again, with a connection to the internet.';

/**
 * Puts right what is wrong with TensorFlow, with its steps as progress of the task `repair`. What is complete stays
 * when it is cancelled.
 * @param program for tests: what to run instead, which says its steps on stderr and ends with 0 where all is well
 * @throws StudioError runtime_missing, cancelled
 */
export function repairRuntime(
  emit: (event: StudioEvent) => void,
  signal: AbortSignal,
  program: readonly [string, ...string[]] = repairProgram,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own: pip and the compiler must end with it.
    const child = spawn(program[0], program.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
    });
    let [reason, last] = ['', 'looking at what is there'];
    emit(progressOf(last));
    const end = () => {
      if (child.pid === undefined) return;
      if (process.platform === 'win32') child.kill();
      else process.kill(-child.pid, 'SIGTERM');
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    readLines(child.stdout, (line) => (reason += `${line}\n`));
    readLines(child.stderr, (text) => {
      const line = text.replace(/^set-up: /, '').trim();
      if (line === '') return;
      last = line;
      emit(progressOf(line));
    });
    child.on('error', (error) => (last = error.message));
    child.on('close', (code) => {
      signal.removeEventListener('abort', end);
      endProgress({ emit }, task);
      if (signal.aborted)
        reject(
          new StudioError(
            'cancelled',
            'The repair was cancelled.',
            'Start it again: what was complete is kept.',
          ),
        );
      else if (code === 0) resolve();
      else reject(failureOf(reason, last));
    });
  });
}

/**
 * `downloading X: 120 of 273 MB (43 %), 5.0 MB/s, about 31 s left` as progress; a step without numbers as its words.
 */
export function progressOf(line: string): StudioEvent {
  const share = /\((\d+) %\)/.exec(line)?.[1];
  const left = /about (\d+) (s|min) left/.exec(line);
  return {
    type: 'progress',
    task,
    label: line,
    done: share === undefined ? 0 : Number(share),
    total: share === undefined ? null : 100,
    secondsLeft: left ? Number(left[1]) * (left[2] === 'min' ? 60 : 1) : null,
  };
}

function failureOf(reason: string, last: string): StudioError {
  try {
    const { message, remedy } = JSON.parse(reason) as { message: string; remedy: string };
    return new StudioError('runtime_missing', message, remedy);
  } catch {
    return new StudioError('runtime_missing', `TensorFlow could not be repaired: ${last}`, tryAgain);
  }
}
