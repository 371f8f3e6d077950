import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StudioError } from '../../contract/errors.ts';
import type { ChatMessage, EngineEvent, EngineInbound, EngineOutbound } from '../messages.ts';
import type { EngineRequest, EngineResults } from '../protocol.ts';
import { outOfMemoryRemedy, saysOutOfMemory } from '../runtime/outOfMemory.ts';
import { readLines } from './readLines.ts';

export interface EngineRunOptions {
  /** What it throws ends the job: its process is killed, and the result rejects with it. */
  onEvent?: (event: EngineEvent) => void;
  /** Lines that the process prints (TensorFlow's warnings, stack traces). */
  onLog?: (line: string) => void;
  /** Aborting kills the process. */
  signal?: AbortSignal;
}

export interface EngineJob<K extends EngineRequest['kind']> {
  /** Ends with the result, or a StudioError: the job's own, `engine_died`, `out_of_memory` or `cancelled`. */
  result: Promise<EngineResults[K]>;
  /** Asks a training job to stop after the current step; others are abandoned. */
  stop(options: { save: boolean }): void;
  /** Tells a chat what comes next; to others it says nothing. */
  tell(message: ChatMessage): void;
}

/** Starts engine processes. Each job gets one of its own: it may crash or be killed, and nothing else is lost. */
export interface EngineHost {
  start<R extends EngineRequest>(request: R, options?: EngineRunOptions): EngineJob<R['kind']>;
  /** Kills all running jobs: they end as cancelled. */
  close(): void;
}

/** Lines of the stack that a native crash prints: they would push out what led to it. */
const nativeFrame = /^\s*\d+: (0x)?[0-9a-f]+|^-----/;

/** How many of the last lines of a dead process go into its error. */
const keptLines = 8;

/** @param entry module that the process runs; tests give their own */
export function createEngineHost(
  options: { nodePath?: string; entry?: string; env?: NodeJS.ProcessEnv } = {},
): EngineHost {
  const entry = options.entry ?? fileURLToPath(new URL('./child.ts', import.meta.url));
  const closing = new AbortController();
  return {
    start(request, { signal, ...listeners } = {}) {
      const child = fork(entry, [], {
        execPath: options.nodePath ?? process.execPath,
        serialization: 'advanced',
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        // One heap for all threads: with glibc's several, freed tensors of one thread are not reused by the next (4 %
        // more memory).
        env: { MALLOC_ARENA_MAX: '1', ...process.env, ...options.env },
      });
      const send = (message: EngineInbound) => {
        // A process that dies meanwhile says so itself: without a callback the error would be thrown.
        if (child.connected) child.send(message, () => undefined);
      };
      // What arrives before the request is held back and sent after it.
      const held: EngineInbound[] = [];
      let hasRequest = false;
      const tell = (message: EngineInbound) => {
        if (hasRequest) send(message);
        else held.push(message);
      };
      const begin = () => {
        send({ type: 'request', request });
        hasRequest = true;
        for (const message of held.splice(0)) send(message);
      };
      return {
        result: follow(child, begin, listeners, [closing.signal, ...(signal ? [signal] : [])]),
        stop: ({ save }) => tell({ type: 'stop', save }),
        tell,
      };
    },
    close: () => closing.abort(),
  };
}

/**
 * What TensorFlow says at every start, whatever its log level: that it logs, and that its CPU kernels may round
 * otherwise than others.
 */
const banner =
  /^WARNING: All log messages before absl::InitializeLog\(\)|port\.cc:\d+\] oneDNN custom operations are on\./;

/**
 * @param begin is called once the process listens
 * @param signals the job is cancelled by the first that is aborted
 */
function follow<K extends EngineRequest['kind']>(
  child: ChildProcess,
  begin: () => void,
  { onEvent, onLog }: Omit<EngineRunOptions, 'signal'>,
  signals: readonly AbortSignal[],
): Promise<EngineResults[K]> {
  return new Promise((resolve, reject) => {
    const kill = () => child.kill('SIGKILL');
    const isAborted = () => signals.some(({ aborted }) => aborted);
    for (const signal of signals) signal.addEventListener('abort', kill, { once: true });
    if (isAborted()) kill();
    let isSettled = false;
    const settle = (action: () => void) => {
      isSettled = true;
      for (const signal of signals) signal.removeEventListener('abort', kill);
      action();
      // The answer is complete: the process has nothing left to do.
      if (child.connected) child.disconnect();
    };
    /** What a listener threw (a full disk, say): the job ends with it, once its process is gone. */
    let thrown: Error | null = null;
    const guarded = (action: () => void) => {
      if (isSettled || thrown) return;
      try {
        action();
      } catch (error) {
        thrown = error instanceof Error ? error : new Error(String(error));
        kill();
      }
    };
    const lastLines: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      readLines(stream!, (line) => {
        if (line.trim() === '' || banner.test(line)) return;
        if (!nativeFrame.test(line)) lastLines.push(line);
        if (lastLines.length > keptLines) lastLines.shift();
        guarded(() => onLog?.(line));
      });
    function receive(message: EngineOutbound): void {
      switch (message.type) {
        case 'ready':
          begin();
          break;
        case 'event':
          onEvent?.(message.event);
          break;
        case 'result':
          settle(() => resolve(message.result as EngineResults[K]));
          break;
        case 'error':
          settle(() => reject(StudioError.fromPlain(message.error)));
          break;
        default:
          throw new Error(`unknown engine message ${JSON.stringify(message satisfies never)}`);
      }
    }
    child.on('message', (message: EngineOutbound) => guarded(() => receive(message)));
    // A process that could not be started has no 'close'; one that could has, whatever else goes wrong.
    child.on('error', (error) => {
      if (child.pid === undefined) settle(() => reject(error));
    });
    // Not 'exit': the last lines of a dying process arrive after it.
    child.once('close', (code, exitSignal) =>
      settle(() => reject(thrown ?? deathOf(code, exitSignal, isAborted(), lastLines))),
    );
  });
}

function deathOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  aborted: boolean,
  lastLines: readonly string[],
): StudioError {
  if (aborted) return new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
  const said = lastLines.length > 0 ? ` It last said: ${lastLines.join(' | ').slice(-600)}` : '';
  if (signal === 'SIGKILL' || code === 137 || saysOutOfMemory(said))
    return new StudioError(
      'out_of_memory',
      `The engine process was killed, most likely for want of memory.${said}`,
      outOfMemoryRemedy,
    );
  return new StudioError(
    'engine_died',
    `The engine process ended unexpectedly (${signal ?? `code ${code}`}).${said}`,
    'Resume from the last checkpoint; if it happens again, report it with the log.',
  );
}
