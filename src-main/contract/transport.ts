import { z } from 'zod';
import { plainErrorSchema } from './errors.ts';
import { sequencedEventSchema } from './events.ts';

/** Messages between a client and the core over a channel (Electron IPC, a child process); HTTP has its own shape. */
export const clientMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('call'), id: z.number().int(), name: z.string(), input: z.unknown() }),
  z.object({ kind: z.literal('cancel'), id: z.number().int() }),
  /** Asks for events after a place in the stream, or only for new ones. */
  z.object({
    kind: z.literal('subscribe'),
    after: z.object({ epoch: z.string(), sequence: z.number().int() }).nullable(),
  }),
  /** Asks whether the core still answers. */
  z.object({ kind: z.literal('ping') }),
]);
export type ClientMessage = z.infer<typeof clientMessageSchema>;

export const replySchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: plainErrorSchema }),
]);
/** The answer to a call; the body of an HTTP response. */
export type Reply = z.infer<typeof replySchema>;

export const coreMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('reply'), id: z.number().int(), reply: replySchema }),
  z.object({ kind: z.literal('event'), event: sequencedEventSchema }),
  /** Sent once after `subscribe`: the stream's epoch and last number, so that a client can notice a gap. */
  z.object({ kind: z.literal('subscribed'), epoch: z.string(), sequence: z.number().int() }),
  /** The answer to `ping`. */
  z.object({ kind: z.literal('pong') }),
]);
export type CoreMessage = z.infer<typeof coreMessageSchema>;
