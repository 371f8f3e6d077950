import { setImmediate } from 'node:timers/promises';
import type { AskedContext } from '../jobContext.ts';
import type { ChatAsk, EngineInbound } from '../messages.ts';

/** What reaches a job while it runs. */
export interface Inbox extends Pick<AskedContext, 'stopRequested' | 'nextAsk' | 'isInterrupted'> {
  receive(message: Exclude<EngineInbound, { type: 'request' }>): void;
}

/** Keeps messages for the job of one request, until it looks for them. */
export function createInbox(): Inbox {
  let stop: { save: boolean } | null = null;
  let interrupted: number | null = null;
  const asks: ChatAsk[] = [];
  /** Called when something came, while the job waits. */
  let wake: (() => void) | null = null;
  return {
    receive(message) {
      switch (message.type) {
        case 'stop':
          stop = { save: message.save };
          break;
        case 'ask':
          asks.push(message.ask);
          break;
        case 'interrupt':
          interrupted = message.ask;
          break;
        default:
          throw new Error(`unknown message ${JSON.stringify(message satisfies never)}`);
      }
      wake?.();
    },
    async stopRequested() {
      await setImmediate();
      return stop;
    },
    async nextAsk() {
      for (;;) {
        const next = stop ? null : asks.shift();
        if (next !== undefined) return next;
        await new Promise<void>((resolve) => (wake = resolve));
        wake = null;
      }
    },
    async isInterrupted(ask) {
      await setImmediate();
      return stop !== null || interrupted === ask;
    },
  };
}
