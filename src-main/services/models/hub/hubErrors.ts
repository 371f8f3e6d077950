import { StudioError } from '../../../contract/errors.ts';
import type { TokenSource } from './hubToken.ts';

/** What the Hub refuses, by name and with what to do. */

const localWork = 'Everything else in the studio works without the Hub.';

/** A connection that did not come about, or broke. */
export function unreachable(endpoint: string, cause: unknown): StudioError {
  return new StudioError(
    'hub_unreachable',
    `The Hub (${endpoint}) cannot be reached: ${reasonOf(cause)}.`,
    `Check the network, then try again. Behind a proxy, set HTTPS_PROXY and NODE_USE_ENV_PROXY=1 and start the studio anew. ${localWork}`,
    { cause },
  );
}

export function switchedOff(): StudioError {
  return new StudioError(
    'hub_unreachable',
    'HF_HUB_OFFLINE is set: the studio asks nothing of the Hub.',
    `Start the studio without HF_HUB_OFFLINE to use the Hub. ${localWork}`,
  );
}

export function invalidAnswer(what: string, cause?: unknown): StudioError {
  return new StudioError(
    'hub_invalid',
    `The Hub’s answer cannot be used: ${what}.`,
    'Try again later, or download the model with another program and add its folder.',
    { cause },
  );
}

/** The error of an answer that is no success. @param subject what was asked for, for example `The model org/name` */
export function statusError(
  response: Response,
  subject: string,
  repository: string | null,
  endpoint: string,
  token: TokenSource | null,
): StudioError {
  const { status } = response;
  const reason = response.headers.get('x-error-code') ?? '';
  if (reason === 'RevisionNotFound' || reason === 'EntryNotFound' || status === 404)
    return reason === 'RevisionNotFound'
      ? new StudioError('not_found', `${subject} has no such revision.`, 'Leave the revision empty for main.')
      : notFound(subject, token);
  if (reason === 'RepoNotFound') return notFound(subject, token);
  if (status === 401 || status === 403) return denied(reason, subject, repository, endpoint, token);
  if (status === 429) return rateLimited(response.headers.get('retry-after'), token);
  if (status >= 500)
    return new StudioError(
      'hub_unreachable',
      `The Hub answers with an error of its own (status ${status}).`,
      `Try again in a few minutes. ${localWork}`,
    );
  return invalidAnswer(`status ${status} for ${subject}`);
}

function notFound(subject: string, token: TokenSource | null): StudioError {
  return new StudioError(
    'not_found',
    `${subject} is not on the Hub, or is private.`,
    token
      ? 'Check the spelling (organisation/name), and that your account may see it.'
      : 'Check the spelling (organisation/name). A private one needs an access token: give it in Settings.',
  );
}

function denied(
  reason: string,
  subject: string,
  repository: string | null,
  endpoint: string,
  token: TokenSource | null,
): StudioError {
  const page = repository === null ? endpoint : `${endpoint}/${repository}`;
  if (reason === 'GatedRepo' || (token && reason !== 'InvalidToken'))
    return new StudioError(
      'hub_denied',
      `${subject} is given only to accounts that have accepted its terms.`,
      token
        ? `Open ${page} in a browser with the account of your token, accept the terms (some owners answer by hand), then try again.`
        : `Open ${page} in a browser, accept the terms, make an access token in your account’s settings and give it in the studio’s Settings.`,
    );
  return new StudioError(
    'hub_denied',
    token ? `The Hub does not take the access token.` : `${subject} is given only with an access token.`,
    token
      ? 'Make a new token in your account’s settings on the Hub and give it in the studio’s Settings.'
      : 'Make an access token in your account’s settings on the Hub and give it in the studio’s Settings.',
  );
}

function rateLimited(retryAfter: string | null, token: TokenSource | null): StudioError {
  const seconds = Number(retryAfter);
  const when =
    retryAfter !== null && Number.isFinite(seconds) && seconds > 0
      ? seconds < 120
        ? `in ${Math.ceil(seconds)} s`
        : `in ${Math.ceil(seconds / 60)} min`
      : 'in a few minutes';
  return new StudioError(
    'hub_rate_limited',
    'The Hub has had too many requests from here for now.',
    `Try again ${when}.${token ? '' : ' With an access token (Settings) the limit is higher.'}`,
  );
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = (inner as NodeJS.ErrnoException | null)?.code;
  const words: Record<string, string> = {
    ENOTFOUND: 'its name is not known here (no network?)',
    EAI_AGAIN: 'its name is not known here (no network?)',
    ECONNREFUSED: 'the connection is refused',
    ECONNRESET: 'the connection broke',
    ENETUNREACH: 'there is no network',
    EHOSTUNREACH: 'there is no way to it',
    ETIMEDOUT: 'it does not answer',
    UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
    UND_ERR_SOCKET: 'the connection broke',
  };
  return (code && words[code]) ?? (inner instanceof Error ? inner.message : String(inner));
}
