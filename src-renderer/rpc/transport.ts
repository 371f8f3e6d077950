import type { PlainError } from '../../src-main/contract/errors.ts';
import type { CoreMessage, Reply } from '../../src-main/contract/transport.ts';
import type { StreamPlace } from './eventStream.ts';

export type ConnectionState =
  | { kind: 'connecting' }
  | { kind: 'open' }
  /** It was open, or could not be opened; tried again by itself where `retryAt` (ms since 1970) is given. */
  | { kind: 'lost'; error: PlainError; retryAt: number | null };

export interface TransportListener {
  /** The channel is open: answer with `subscribe`, from the place seen last. */
  onOpen(subscribe: (after: StreamPlace | null) => void): void;
  onMessage(message: CoreMessage): void;
  onState(state: ConnectionState): void;
}

/** Files of one batch can become one dataset. */
export interface UploadName {
  batch: string;
  /** Name of the file, or its path from a folder that was chosen. */
  name: string;
}

/** One way to the core: HTTP with a WebSocket in a browser, process messages in the desktop shell. */
export interface Transport {
  /** Never rejects: a failed connection is a Reply too. Aborting cancels the work where it can be cancelled. */
  call(name: string, input: unknown, signal?: AbortSignal): Promise<Reply>;
  /**
   * Sends a file from this computer, for import; answers with the path of its batch. Null where the core is on the same
   * computer and is given a path instead.
   */
  uploadFile: ((file: File, as: UploadName, signal: AbortSignal) => Promise<Reply>) | null;
  /** Opens the channel for events and keeps it open. Called once. */
  listen(listener: TransportListener): void;
  /** Tries again now; restarts the core where this transport owns it. */
  retry(): void;
  /** What the button for `retry` says. */
  retryLabel: string;
}

export function connectionError(message: string, remedy: string): PlainError {
  return { code: 'core_died', message, remedy };
}

/** The answer to a call whose signal was aborted. */
export const cancelled: Reply = {
  ok: false,
  error: { code: 'cancelled', message: 'Cancelled.', remedy: 'Start it again.' },
};
