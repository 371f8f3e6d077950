import { constants, getPriority, setPriority } from 'node:os';
import { toPlainError } from '../../contract/errors.ts';
import type { EngineInbound, EngineOutbound } from '../messages.ts';
import { asDamagedCompiled } from '../runtime/compiledFunctions.ts';
import { asOutOfMemory } from '../runtime/outOfMemory.ts';
import { createInbox, type Inbox } from './inbox.ts';

// The page must answer while TensorFlow keeps all cores busy. Set before TensorFlow starts its threads, which inherit
// it. Who has given the studio a lower one still keeps it. On a card the host only gives out launches, and each that is
// late leaves the card idle.
if (!process.env['ID_LORA_STUDIO_CARD'])
  setPriority(Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));

/**
 * Entry of an engine process: takes one request at a time from its parent and answers with events and a result. While
 * TensorFlow computes, nothing else runs here; jobs let messages in between steps. Without a parent it ends.
 */
const send = (message: EngineOutbound) => {
  // Without a callback a parent that has just died would be an error thrown in the middle of a job.
  if (process.connected) process.send!(message, () => undefined);
};

let inbox: Inbox = createInbox();

process.on('message', (message: EngineInbound) => {
  if (message.type !== 'request') {
    inbox.receive(message);
    return;
  }
  const own = createInbox();
  inbox = own;
  void import('./jobs.ts')
    .then(({ runEngineRequest }) =>
      runEngineRequest(message.request, (event) => send({ type: 'event', event }), own),
    )
    .then(
      (result) => send({ type: 'result', result }),
      (error: unknown) => {
        console.error(error);
        send({
          type: 'error',
          error: toPlainError(asDamagedCompiled(error) ?? asOutOfMemory(error) ?? error),
        });
      },
    );
});
process.on('disconnect', () => process.exit(0));
// Ctrl+C in a terminal reaches the whole group: the parent decides what happens to the job.
process.on('SIGINT', () => undefined);

send({ type: 'ready' });
