import { StudioError } from '../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import type { ProcedureInput, ProcedureName, ProcedureOutput } from '../../src-main/contract/procedures.ts';
import { createEventStream } from './eventStream.ts';
import type { ConnectionState, Transport } from './transport.ts';

export interface StudioClient {
  /** @throws StudioError as the core says */
  call<N extends ProcedureName>(
    name: N,
    input: ProcedureInput<N>,
    options?: { signal?: AbortSignal },
  ): Promise<ProcedureOutput<N>>;
  /** Starts the stream of events. */
  listen(listener: {
    onEvent(event: StudioEvent): void;
    /** The stream is open for the first time, or events were missed: load everything. */
    onReload(): void;
    onState(state: ConnectionState): void;
  }): void;
  retry(): void;
  retryLabel: string;
}

/** The contract's procedures over any transport. Values are checked by the core, which is of the same version. */
export function createClient(transport: Transport): StudioClient {
  return {
    retry: () => transport.retry(),
    retryLabel: transport.retryLabel,
    async call(name, input, options = {}) {
      const reply = await transport.call(name, input, options.signal);
      if (!reply.ok) throw StudioError.fromPlain(reply.error);
      return reply.value as ProcedureOutput<typeof name>;
    },
    listen({ onEvent, onReload, onState }) {
      const stream = createEventStream({ onEvent, onGap: onReload });
      transport.listen({
        onState,
        onOpen: (subscribe) => subscribe(stream.place()),
        onMessage(message) {
          if (message.kind === 'event') stream.event(message.event);
          if (message.kind === 'subscribed') {
            const isFirst = stream.place() === null;
            stream.subscribed(message);
            if (isFirst) onReload();
          }
        },
      });
    },
  };
}
