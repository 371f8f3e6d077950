import { StudioError } from '../../contract/errors.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ChatAsk, ChatRequest, ChatRow } from '../../engine/protocol.ts';
import type { EngineJob } from '../../engine/process/supervisor.ts';
import type { ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';

/** A model that nobody has asked for so long gives its memory back. */
const idleMs = 15 * 60_000;

/** What an ask hears while it is answered. */
type OnText = (rows: Extract<EngineEvent, { type: 'answering' }>['rows']) => void;

/** The process that keeps the model of a chat in memory. */
export interface ChatEngine {
  readonly isOpen: boolean;
  /**
   * Loads the model, where it is not in memory.
   * @returns tokens of a conversation at most
   * @throws StudioError as the engine does; cancelled where the signal is aborted, which ends the process
   */
  open(request: Omit<ChatRequest, 'kind'>, report: ReportPart, signal: AbortSignal): Promise<number>;
  /** @throws StudioError where the process ends: the next ask needs it opened again */
  ask(ask: ChatAsk, onText: OnText): Promise<ChatRow[]>;
  interrupt(ask: number): void;
  close(): void;
}

/** @param onClosed is told when the process has ended, for whatever reason */
export function createChatEngine(
  { engine }: Pick<ServiceContext, 'engine'>,
  onClosed: () => void,
): ChatEngine {
  let running: { tell: EngineJob<'chat'>['tell']; end: AbortController } | null = null;
  let context = 0;
  /** What waits for the process: its opening, or an answer. */
  let waiting: { resolve(rows: ChatRow[]): void; reject(error: unknown): void; onText: OnText } | null = null;
  let idle: NodeJS.Timeout | undefined;
  const rest = () => {
    clearTimeout(idle);
    idle = setTimeout(close, idleMs).unref();
  };
  const wait = (onText: OnText) =>
    new Promise<ChatRow[]>((resolve, reject) => (waiting = { resolve, reject, onText }));
  const settle = (rows: ChatRow[]) => {
    waiting?.resolve(rows);
    waiting = null;
  };

  function close(): void {
    clearTimeout(idle);
    running?.end.abort();
  }

  return {
    get isOpen() {
      return running !== null;
    },
    async open(request, report, signal) {
      if (running) return context;
      signal.throwIfAborted();
      const end = new AbortController();
      const opening = wait(() => undefined);
      const job = engine.start(
        { kind: 'chat', ...request },
        {
          signal: end.signal,
          onEvent(event) {
            if (event.type === 'progress') report(event.label, event.done, event.total);
            else if (event.type === 'opened') {
              context = event.context;
              settle([]);
            } else if (event.type === 'answering') waiting?.onText(event.rows);
            else if (event.type === 'answered') settle(event.rows);
          },
        },
      );
      running = { tell: job.tell, end };
      const ended = (error: unknown) => {
        running = null;
        clearTimeout(idle);
        waiting?.reject(error);
        waiting = null;
        onClosed();
      };
      job.result.then(() => ended(closed()), ended);
      signal.addEventListener('abort', close, { once: true });
      try {
        await opening;
      } finally {
        signal.removeEventListener('abort', close);
      }
      rest();
      return context;
    },
    async ask(ask, onText) {
      if (!running) throw closed();
      clearTimeout(idle);
      const answered = wait(onText);
      running.tell({ type: 'ask', ask });
      try {
        return await answered;
      } finally {
        if (running) rest();
      }
    },
    interrupt: (ask) => running?.tell({ type: 'interrupt', ask }),
    close,
  };
}

function closed(): StudioError {
  return new StudioError('cancelled', 'The chat was closed.', 'Ask again: the model is loaded anew.');
}
