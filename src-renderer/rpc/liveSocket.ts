import { beatMs, createHeartbeat, silentAfterBeats } from '../../src-main/channel/heartbeat.ts';
import type { ClientMessage } from '../../src-main/contract/transport.ts';

/** Beats of silence after which a connection that once stood is given up: its other end may be gone without a word. */
const givenUpAfterBeats = 20;

export interface SocketListener {
  onOpen(send: (message: ClientMessage) => void): void;
  onMessage(text: string): void;
  /** The other side does not answer any more; it is still asked. */
  onSilent(): void;
  /** It answers again. */
  onHeard(): void;
  /** The connection is lost, could not be made, or was given up. Nothing comes after it. */
  onClose(): void;
}

/** A WebSocket that notices when its other end hangs. @returns what leaves it without a word */
export function openSocket(address: string, listener: SocketListener): () => void {
  const socket = new WebSocket(address);
  const heartbeat = createHeartbeat();
  let isSilent = false;
  const send = (message: ClientMessage) => socket.send(JSON.stringify(message));
  const abort = new AbortController();
  const { signal } = abort;

  function leave(): void {
    clearInterval(timer);
    abort.abort();
    // Without its listeners: a close that the other end does not answer would come much later.
    socket.close();
  }
  function close(): void {
    leave();
    listener.onClose();
  }
  function heard(): void {
    heartbeat.heard();
    if (!isSilent) return;
    isSilent = false;
    listener.onHeard();
  }

  const timer = setInterval(() => {
    const { asks, owed } = heartbeat.beat(Date.now());
    const isOpen = socket.readyState === WebSocket.OPEN;
    if (isOpen && asks) send({ kind: 'ping' });
    if (owed < silentAfterBeats) return;
    // A process that is stopped does not refuse connections: its system takes them, and nobody answers.
    if (!isOpen || owed >= givenUpAfterBeats) close();
    else if (!isSilent) {
      isSilent = true;
      listener.onSilent();
    }
  }, beatMs);
  socket.addEventListener(
    'open',
    () => {
      heard();
      listener.onOpen(send);
    },
    { signal },
  );
  socket.addEventListener(
    'message',
    ({ data }) => {
      heard();
      listener.onMessage(String(data));
    },
    { signal },
  );
  // A refused connection ends in `close` too.
  socket.addEventListener('close', close, { signal });
  return leave;
}
