import { expect, it } from 'vitest';
import type { CoreMessage } from '../../../src-main/contract/transport.ts';
import { createClient } from '../../../src-renderer/rpc/client.ts';
import type { Transport } from '../../../src-renderer/rpc/transport.ts';

/** A client whose core is the test. */
function listen() {
  let send: (message: CoreMessage) => void = () => undefined;
  const seen: string[] = [];
  const transport: Transport = {
    uploadFile: null,
    retryLabel: 'Try again',
    retry: () => undefined,
    call: () => Promise.reject(new Error('no call is expected')),
    listen: (listener) => (send = (message) => listener.onMessage(message)),
  };
  createClient(transport).listen({
    onEvent: (event) => seen.push(event.type),
    onReload: () => seen.push('reload'),
    onState: () => undefined,
  });
  const event = (sequence: number, epoch = 'a') =>
    send({ kind: 'event', event: { epoch, sequence, event: { type: 'models.changed' } } });
  const subscribed = (sequence: number, epoch = 'a') => send({ kind: 'subscribed', epoch, sequence });
  return { seen, event, subscribed };
}

it('loads everything once the core has answered, also when events of the page before a reload come first', () => {
  const { seen, event, subscribed } = listen();
  event(6);
  event(7);
  expect(seen).toEqual([]);
  subscribed(7);
  expect(seen).toEqual(['reload']);
  event(8);
  expect(seen).toEqual(['reload', 'models.changed']);
});

it('passes each event on once over a reconnect, and loads anew where some were missed or the core is another', () => {
  const { seen, event, subscribed } = listen();
  subscribed(1);
  event(2);
  subscribed(2);
  event(2);
  event(3);
  expect(seen.splice(0)).toEqual(['reload', 'models.changed', 'models.changed']);
  event(5);
  expect(seen.splice(0)).toEqual(['reload', 'models.changed']);
  subscribed(1, 'b');
  event(2, 'b');
  expect(seen).toEqual(['reload', 'models.changed']);
});
