import type { ShellBridge } from '../../src-main/contract/shellBridge.ts';
import type { Reply } from '../../src-main/contract/transport.ts';
import { cancelled, type Transport, type TransportListener } from './transport.ts';

/** Calls and events as messages through the desktop shell, which owns the core's process. */
export function createShellTransport(bridge: ShellBridge): Transport {
  const waiting = new Map<number, (reply: Reply) => void>();
  let listener: TransportListener | null = null;
  let isReady = false;
  let unsent: (() => void)[] = [];
  // Answers to calls of this page before a reload must not meet those of the new one.
  let nextId = Math.floor(Math.random() * 2 ** 40);

  bridge.onMessage((message) => {
    if (message.kind === 'reply') {
      waiting.get(message.id)?.(message.reply);
      waiting.delete(message.id);
    } else listener?.onMessage(message);
  });

  return {
    uploadFile: null,
    retryLabel: 'Restart the studio’s core',
    retry: () => bridge.restartCore(),
    listen(given) {
      listener = given;
      bridge.onCoreState((state) => {
        isReady = state.kind === 'ready';
        switch (state.kind) {
          case 'starting':
            given.onState({ kind: 'connecting' });
            break;
          case 'ready':
            given.onState({ kind: 'open' });
            given.onOpen((after) => bridge.send({ kind: 'subscribe', after }));
            for (const send of unsent.splice(0)) send();
            break;
          case 'silent':
            // Still asked by the shell: what is called meanwhile goes out when it answers again.
            given.onState({ kind: 'lost', error: state.error, retryAt: null });
            break;
          case 'failed': {
            unsent = [];
            given.onState({ kind: 'lost', error: state.error, retryAt: null });
            const reply: Reply = { ok: false, error: state.error };
            for (const answer of waiting.values()) answer(reply);
            waiting.clear();
            break;
          }
          default:
            throw new Error(`unknown state ${String(state satisfies never)}`);
        }
      });
    },
    call(name, input, signal) {
      return new Promise((resolve) => {
        const id = nextId++;
        if (signal?.aborted) {
          resolve(cancelled);
          return;
        }
        waiting.set(id, resolve);
        // As HTTP sends it: the window's bridge clones no state of the page, which is a proxy.
        const plain: unknown = JSON.parse(JSON.stringify(input));
        const send = () => bridge.send({ kind: 'call', id, name, input: plain });
        signal?.addEventListener('abort', () => {
          if (!unsent.includes(send)) return bridge.send({ kind: 'cancel', id });
          // The core has not heard of it: a cancel sent now would arrive before the call.
          unsent = unsent.filter((other) => other !== send);
          waiting.delete(id);
          resolve(cancelled);
        });
        if (isReady) send();
        else unsent.push(send);
      });
    },
  };
}
