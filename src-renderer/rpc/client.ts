import { StudioError } from '../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import type { ProcedureInput, ProcedureName, ProcedureOutput } from '../../src-main/contract/procedures.ts';
import type { Reply } from '../../src-main/contract/transport.ts';
import { createEventStream } from './eventStream.ts';
import type { ConnectionState, Transport, UploadName } from './transport.ts';

export interface StudioClient {
  /** @throws StudioError as the core says */
  call<N extends ProcedureName>(
    name: N,
    input: ProcedureInput<N>,
    options?: { signal?: AbortSignal },
  ): Promise<ProcedureOutput<N>>;
  /**
   * Sends a file of this computer to the core. Null in the desktop shell, which knows paths.
   * @returns the path by which imports name its batch
   * @throws StudioError disk_full, cancelled, or where it does not come whole
   */
  uploadFile: ((file: File, as: UploadName, signal: AbortSignal) => Promise<string>) | null;
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
  const upload = transport.uploadFile;
  return {
    retry: () => transport.retry(),
    retryLabel: transport.retryLabel,
    uploadFile:
      upload &&
      (async (file, as, signal) => (valueOf(await upload(file, as, signal)) as { path: string }).path),
    async call(name, input, options = {}) {
      return valueOf(await transport.call(name, input, options.signal)) as ProcedureOutput<typeof name>;
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

/** @throws StudioError where the core says so */
function valueOf(reply: Reply): unknown {
  if (!reply.ok) throw StudioError.fromPlain(reply.error);
  return reply.value;
}
