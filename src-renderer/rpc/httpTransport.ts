import { silenceError } from '../../src-main/channel/heartbeat.ts';
import { coreMessageSchema, replySchema, type Reply } from '../../src-main/contract/transport.ts';
import { openSocket } from './liveSocket.ts';
import { cancelled, connectionError, type Transport, type TransportListener } from './transport.ts';

/** Waits between attempts to reconnect; the last one repeats. */
const retryDelaysMs = [250, 500, 1000, 2000, 5000];
const remedy =
  'Everything up to the last checkpoint of a run is saved. Look whether the studio still runs where it was started; this page goes on by itself.';
const silent = silenceError('This page keeps asking, and goes on by itself.');
const newToken = connectionError(
  'The studio was started anew, with a new address.',
  'Open the address that it printed. Everything up to the last checkpoint of a run is saved.',
);

/** Calls by `POST /rpc/<name>`, events by the WebSocket `/channel`, both on the server that sent this page. */
export function createHttpTransport(origin: string): Transport {
  let listener: TransportListener | null = null;
  let attempts = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let leave: () => void = () => undefined;

  function open(): void {
    clearTimeout(timer);
    leave();
    leave = openSocket(`${origin.replace(/^http/, 'ws')}/channel`, {
      onOpen(send) {
        attempts = 0;
        listener?.onState({ kind: 'open' });
        listener?.onOpen((after) => send({ kind: 'subscribe', after }));
      },
      onMessage(text) {
        const parsed = coreMessageSchema.safeParse(JSON.parse(text));
        if (parsed.success) listener?.onMessage(parsed.data);
      },
      onSilent: () => listener?.onState({ kind: 'lost', error: silent, retryAt: null }),
      onHeard: () => listener?.onState({ kind: 'open' }),
      onClose() {
        const delayMs = retryDelaysMs[Math.min(attempts++, retryDelaysMs.length - 1)]!;
        listener?.onState({
          kind: 'lost',
          error: connectionError('The connection to the studio is lost.', remedy),
          retryAt: Date.now() + delayMs,
        });
        timer = setTimeout(open, delayMs);
        if (attempts > 1) void sayIfStartedAnew(delayMs);
      },
    });
  }

  /** A WebSocket does not say why it was refused; a call does. */
  async function sayIfStartedAnew(delayMs: number): Promise<void> {
    const response = await fetch(`${origin}/rpc/studio.info`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    }).catch(() => null);
    if (response?.status === 401)
      listener?.onState({ kind: 'lost', error: newToken, retryAt: Date.now() + delayMs });
  }

  return {
    retryLabel: 'Try now',
    retry: open,
    listen(given) {
      listener = given;
      open();
    },
    async uploadFile(file, as, signal): Promise<Reply> {
      try {
        const response = await fetch(`${origin}/upload/file?${new URLSearchParams({ ...as })}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/octet-stream' },
          body: file,
          signal,
        });
        return await replyOf(response);
      } catch (error) {
        if (signal.aborted) return cancelled;
        return notReached(error);
      }
    },
    async call(name, input, signal): Promise<Reply> {
      // Not randomUUID: a page from another machine is no secure context.
      const key = crypto.getRandomValues(new Uint32Array(4)).join('-');
      signal?.addEventListener('abort', () => void fetch(`${origin}/cancel/${key}`, { method: 'POST' }));
      try {
        const response = await fetch(`${origin}/rpc/${encodeURIComponent(name)}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'X-Studio-Call': key },
          body: JSON.stringify(input),
          ...(signal ? { signal } : {}),
        });
        return await replyOf(response);
      } catch (error) {
        if (signal?.aborted) return cancelled;
        return notReached(error);
      }
    },
  };
}

async function replyOf(response: Response): Promise<Reply> {
  if (response.status === 401) return { ok: false, error: newToken };
  if (!response.ok) return failed(`The studio answered with status ${response.status}.`, remedy);
  return replySchema.parse(await response.json());
}

function notReached(error: unknown): Reply {
  const detail = error instanceof Error ? error.message : String(error);
  return failed(`The studio could not be reached (${detail}).`, remedy);
}

function failed(message: string, what: string): Reply {
  return { ok: false, error: connectionError(message, what) };
}
