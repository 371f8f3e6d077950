import { StudioError } from '../../contract/errors.ts';
import type { ChatAsk, ChatRow, EngineEvent } from '../../engine/messages.ts';
import type { ChatRequest } from '../../engine/protocol.ts';
import type { EngineJob } from '../../engine/process/supervisor.ts';
import type { ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';

/** A model that nobody has asked for so long gives its memory back. */
const idleMs = 15 * 60_000;

/** What an ask hears while it is answered. */
type OnText = (rows: Extract<EngineEvent, { type: 'answering' }>['rows']) => void;

/** The process that keeps the model of a chat in memory. */
export interface ChatEngine {
  /** Whether its model is in memory. */
  readonly isOpen: boolean;
  /**
   * Loads the model, where it is neither in memory nor on its way there.
   * @returns tokens of a conversation at most
   * @throws StudioError as the engine does; cancelled where the signal is aborted, which ends the process
   */
  open(request: Omit<ChatRequest, 'kind'>, report: ReportPart, signal: AbortSignal): Promise<number>;
  /** @throws StudioError where the process ends: the next ask needs it opened again */
  ask(ask: ChatAsk, onText: OnText): Promise<ChatRow[]>;
  interrupt(ask: number): void;
  close(): void;
}

interface Running {
  job: EngineJob<'chat'> | null;
  end: AbortController;
  /** Tokens of a conversation at most, once the model is in memory. */
  opened: { promise: Promise<number>; resolve(context: number): void; reject(error: unknown): void };
  context: number | null;
  /** Who waits for an answer. */
  waiting: { resolve(rows: ChatRow[]): void; reject(error: unknown): void; onText: OnText } | null;
}

/** @param onClosed is told when the process is no longer in use, for whatever reason */
export function createChatEngine(
  { engine }: Pick<ServiceContext, 'engine'>,
  onClosed: () => void,
): ChatEngine {
  /** The process that is in use; one that was closed is not, though it may take a while to end. */
  let running: Running | null = null;
  /** Until the process before has given its memory back. */
  let gone: Promise<unknown> = Promise.resolve();
  /** Closings so far: what waits to be opened while one comes is not opened. */
  let closings = 0;
  let idle: NodeJS.Timeout | undefined;
  const rest = () => {
    clearTimeout(idle);
    idle = setTimeout(close, idleMs).unref();
  };

  /** Takes a process out of use, with what waits for it. */
  function leave(process: Running, error: unknown): void {
    process.opened.reject(error);
    process.waiting?.reject(error);
    process.waiting = null;
    if (running !== process) return;
    running = null;
    clearTimeout(idle);
    onClosed();
  }

  function close(): void {
    closings++;
    if (!running) return;
    running.end.abort();
    leave(running, closed());
  }

  return {
    get isOpen() {
      return running !== null && running.context !== null;
    },
    async open(request, report, signal) {
      const before = closings;
      if (!running) await gone;
      if (signal.aborted || closings !== before) throw closed();
      // Somebody else has begun to load it: both wait for that.
      if (running) return running.opened.promise;
      const process: Running = {
        job: null,
        end: new AbortController(),
        opened: opening(),
        context: null,
        waiting: null,
      };
      running = process;
      const job = engine.start(
        { kind: 'chat', ...request },
        {
          signal: process.end.signal,
          onEvent(event) {
            if (event.type === 'progress') report(event.label, event.done, event.total);
            else if (event.type === 'opened') {
              process.context = event.context;
              process.opened.resolve(event.context);
            } else if (event.type === 'answering') process.waiting?.onText(event.rows);
            else if (event.type === 'answered') {
              process.waiting?.resolve(event.rows);
              process.waiting = null;
            }
          },
        },
      );
      process.job = job;
      gone = job.result.then(
        () => leave(process, closed()),
        (error: unknown) => leave(process, error),
      );
      signal.addEventListener('abort', close, { once: true });
      try {
        await process.opened.promise;
      } finally {
        signal.removeEventListener('abort', close);
      }
      rest();
      return process.opened.promise;
    },
    async ask(ask, onText) {
      const process = running;
      if (!process?.job || process.context === null) throw closed();
      clearTimeout(idle);
      const answered = new Promise<ChatRow[]>((resolve, reject) => {
        process.waiting = { resolve, reject, onText };
      });
      process.job.tell({ type: 'ask', ask });
      try {
        return await answered;
      } finally {
        if (running === process) rest();
      }
    },
    interrupt: (ask) => running?.job?.tell({ type: 'interrupt', ask }),
    close,
  };
}

function opening(): Running['opened'] {
  let settle: Omit<Running['opened'], 'promise'>;
  const promise = new Promise<number>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle! };
}

function closed(): StudioError {
  return new StudioError('cancelled', 'The chat was closed.', 'Ask again: the model is loaded anew.');
}
