import { StudioError } from '../../../contract/errors.ts';
import { cancelled } from '../../machine/disk.ts';
import { invalidAnswer, statusError, switchedOff, unreachable } from './hubErrors.ts';
import type { HubToken } from './hubToken.ts';

/** How the Hub is reached. */
export interface HubAccess {
  /** Origin and perhaps a path, without a slash at the end. */
  endpoint: string;
  /** Asked for each request: a person may change it meanwhile. */
  token(): HubToken | null;
  isOffline: boolean;
  /** Longest wait for an answer's head, and between two parts of its body. */
  timeoutMs: number;
}

const publicEndpoint = 'https://huggingface.co';
const mostRedirects = 6;
/** Answers that are read whole are no longer than this. */
const mostTextBytes = 32 * 1024 * 1024;

/**
 * Access as the environment says: HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT. @throws StudioError
 * config_invalid
 */
export function hubAccess(
  token: () => HubToken | null,
  env: Readonly<Record<string, string | undefined>> = process.env,
): HubAccess {
  const endpoint = (env['HF_ENDPOINT'] || publicEndpoint).replace(/\/+$/, '');
  if (!/^https?:\/\/[^\s]+$/.test(endpoint) || !URL.canParse(endpoint))
    throw new StudioError(
      'config_invalid',
      `HF_ENDPOINT "${endpoint}" is no address of a web server.`,
      `Unset it for ${publicEndpoint}, or give an address that begins with https://.`,
    );
  const isOffline = /^(1|true|yes|on)$/i.test(env['HF_HUB_OFFLINE'] ?? '');
  const seconds = Number(env['HF_HUB_DOWNLOAD_TIMEOUT']);
  return { endpoint, token, isOffline, timeoutMs: seconds > 0 ? 1000 * seconds : 30_000 };
}

export interface HubAnswer {
  response: Response;
  /** Headers of the endpoint itself, before it sent the request on to another host. */
  first: Headers;
}

/**
 * Asks the Hub for a path and follows redirects. The token goes to the endpoint's own origin and nowhere else.
 * @param about.subject what is asked for, for the error's words
 * @throws StudioError hub_unreachable, hub_denied, hub_rate_limited, hub_invalid, not_found, cancelled
 */
export async function askHub(
  access: HubAccess,
  path: string,
  about: { subject: string; repository: string | null; headers?: Record<string, string> },
  signal: AbortSignal,
): Promise<HubAnswer> {
  if (access.isOffline) throw switchedOff();
  const token = access.token();
  const origin = new URL(access.endpoint).origin;
  let url = new URL(`${access.endpoint}${path}`);
  let first: Headers | null = null;
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const response = await fetchHead(
      access,
      url,
      {
        ...about.headers,
        ...(token && url.origin === origin ? { Authorization: `Bearer ${token.value}` } : {}),
        'User-Agent': 'id-lora-studio',
        // A compressed body could not be resumed, and its length would say nothing.
        'Accept-Encoding': 'identity',
      },
      signal,
    );
    if (url.origin === origin || first === null) first = response.headers;
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || response.status === 304 || location === null) {
      if (response.ok) return { response, first };
      await response.body?.cancel().catch(() => undefined);
      throw statusError(response, about.subject, about.repository, access.endpoint, token?.source ?? null);
    }
    await response.body?.cancel().catch(() => undefined);
    url = nextAddress(url, location);
  }
  throw invalidAnswer(`it sends the request on more than ${mostRedirects} times`);
}

function nextAddress(from: URL, location: string): URL {
  if (!URL.canParse(location, from.href)) throw invalidAnswer('it sends the request on to no address');
  const next = new URL(location, from);
  if (next.protocol !== 'https:' && !(next.protocol === 'http:' && from.protocol === 'http:'))
    throw invalidAnswer(`it sends the request on to ${next.protocol}//${next.host}, which is not encrypted`);
  return next;
}

/** Up to the answer's head; its body comes as it is read. */
async function fetchHead(
  access: HubAccess,
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), access.timeoutMs);
  try {
    return await fetch(url, {
      headers,
      redirect: 'manual',
      credentials: 'omit',
      signal: AbortSignal.any([signal, late.signal]),
    });
  } catch (error) {
    if (signal.aborted) throw cancelled('Asking the Hub');
    throw unreachable(access.endpoint, late.signal.aborted ? new Error('it does not answer') : error);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The parts of an answer's body. @throws StudioError hub_unreachable where the connection breaks or nothing comes for
 * too long
 */
export async function* bodyParts(
  access: HubAccess,
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), access.timeoutMs, signal);
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (signal.aborted) throw cancelled('Asking the Hub');
    throw error instanceof StudioError ? error : unreachable(access.endpoint, error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function inTime<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop: (() => void) | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing comes any more')), timeoutMs);
    stop = () => reject(new Error('aborted'));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop!);
  }
}

/** A whole answer as text. @throws StudioError hub_invalid where it is longer than `mostBytes` */
export async function bodyText(
  access: HubAccess,
  { response }: HubAnswer,
  signal: AbortSignal,
  mostBytes = mostTextBytes,
): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of bodyParts(access, response, signal)) {
    size += part.length;
    if (size > mostBytes) throw invalidAnswer(`it is longer than ${mostBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
