import type { WebSocket } from 'ws';
import type { ProcedureHandlers } from '../contract/procedures.ts';
import { clientMessageSchema, type CoreMessage } from '../contract/transport.ts';
import type { Upload } from '../services/data/uploads.ts';
import type { EventHub } from '../services/eventHub.ts';
import { dispatch } from './dispatch.ts';

/** What hosts need of a core. */
export interface ServedCore {
  handlers: ProcedureHandlers;
  events: EventHub;
  /** Takes in a file whose bytes come from a browser. @returns what an import names it by */
  receiveFile(upload: Upload): Promise<{ path: string }>;
}

/** A client that reads so little of what it is sent is cut off: it comes back and asks for what it missed. */
const maxUnsentBytes = 64 * 1024 * 1024;

/** What a channel needs to be served: one client at its other end. */
export interface Channel {
  send(message: CoreMessage): void;
}

/**
 * Serves one client over a message channel (a child process of the Electron shell, a WebSocket).
 * @returns `receive` for each message of the client (invalid ones are dropped), `close` when it has gone
 */
export function serveChannel(
  handlers: ProcedureHandlers,
  events: EventHub,
  channel: Channel,
): { receive(message: unknown): void; close(): void } {
  const calls = new Map<number, AbortController>();
  let unsubscribe: (() => void) | null = null;
  return {
    receive(raw) {
      const parsed = clientMessageSchema.safeParse(raw);
      if (!parsed.success) return;
      const message = parsed.data;
      switch (message.kind) {
        case 'call': {
          const controller = new AbortController();
          calls.set(message.id, controller);
          void dispatch(handlers, message.name, message.input, controller.signal)
            .then((reply) => channel.send({ kind: 'reply', id: message.id, reply }))
            // An answer that cannot be sent (too large, say) is of no use to anybody else.
            .catch((error: unknown) => console.error(error))
            .finally(() => calls.delete(message.id));
          break;
        }
        case 'cancel':
          calls.get(message.id)?.abort();
          break;
        case 'ping':
          channel.send({ kind: 'pong' });
          break;
        case 'subscribe':
          unsubscribe?.();
          channel.send({ kind: 'subscribed', epoch: events.epoch, sequence: events.lastSequence() });
          unsubscribe = events.subscribe(message.after, (event) => channel.send({ kind: 'event', event }));
          break;
        default:
          throw new Error(`unknown message ${JSON.stringify(message satisfies never)}`);
      }
    },
    close() {
      // Calls go on: a client that reloads or loses its connection has not cancelled its evaluation.
      unsubscribe?.();
    },
  };
}

/** Serves a browser over its WebSocket. */
export function serveSocket(core: ServedCore, socket: WebSocket): void {
  const served = serveChannel(core.handlers, core.events, {
    send: (message) => {
      if (socket.readyState !== socket.OPEN) return;
      socket.send(JSON.stringify(message));
      if (socket.bufferedAmount > maxUnsentBytes) socket.terminate();
    },
  });
  // A frame that is too large or invalid, a connection that is reset.
  socket.on('error', () => socket.terminate());
  socket.on('message', (data) => {
    try {
      served.receive(JSON.parse(String(data)));
    } catch {
      socket.terminate();
    }
  });
  socket.on('close', () => served.close());
}
