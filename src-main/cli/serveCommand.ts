import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StudioError } from '../contract/errors.ts';
import type { ServedPlace } from '../core/serverAccess.ts';
import { number, parseOptions, text, usageError, type Values } from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import type { Core } from '../core/createCore.ts';
import type { Output } from './output.ts';
import { outliveErrors } from '../core/outliveErrors.ts';
import { warmUp } from '../core/warmUp.ts';

/**
 * serve [--host 127.0.0.1 --port 0 --public-address URL --tls-cert FILE --tls-key FILE --token-file FILE]
 *
 * Runs until Ctrl+C, and pauses the runs that train before the database is closed.
 */
export async function serveCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    host: { type: 'string' },
    port: { type: 'string' },
    'public-address': { type: 'string' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
    'token-file': { type: 'string' },
  });
  const place = servedPlace(values);
  const serve = async (core: Core, output: Output) => {
    outliveErrors(() => core.close());
    const { serving } = await core.browsers.serve({ ...place, canEnd: false });
    const { url, otherUrls } = serving!;
    core.runs.queue.begin();
    core.scoring.begin();
    output.result({ url, otherUrls }, () =>
      [`The studio is at ${url}`, ...otherUrls.map((other) => `For other computers: ${other}`)].join('\n'),
    );
    if (otherUrls.length > 0 && !place.tls)
      output.progress(
        'Whoever reads this address, or the traffic of the network, can use the studio. Where you do not trust the network, serve without --host and use a tunnel (ssh -L 8000:localhost:PORT) or TLS (docs/remote.md).',
      );
    void warmUp(core.handlers);
    await new Promise<void>((resolve) => command.onInterrupt(resolve));
    const training = core.runs.queue.state().running.length;
    if (training > 0)
      output.progress(
        `Pausing the ${training === 1 ? 'run' : `${training} runs`} with a checkpoint. Press Ctrl+C again to end at once: the last checkpoint stays.`,
      );
    // A run that cannot be recorded any more has said so itself.
    await core.runs.suspend().catch(() => undefined);
    output.progress('Closing.');
    await core.browsers.end();
  };
  await withCore(values, 'write', serve, 'last');
}

/** @throws StudioError usage, not_found */
function servedPlace(values: Values): ServedPlace {
  const port = number(values, 'port') ?? 0;
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw usageError(`--port ${port} is no port (0 to 65535).`);
  const [cert, key] = ['tls-cert', 'tls-key'].map((option) => text(values, option));
  if ((cert === undefined) !== (key === undefined))
    throw usageError(
      `--tls-${cert === undefined ? 'key' : 'cert'} is given without --tls-${cert === undefined ? 'cert' : 'key'}.`,
      'Give both, or neither for plain HTTP.',
    );
  const tokenFile = text(values, 'token-file');
  return {
    host: text(values, 'host') ?? '127.0.0.1',
    port,
    tls: cert && key ? { cert: readGiven('tls-cert', cert), key: readGiven('tls-key', key) } : undefined,
    publicAddress: publicAddress(text(values, 'public-address')),
    token: tokenFile === undefined ? undefined : keptToken(tokenFile),
  };
}

function publicAddress(given: string | undefined): URL | undefined {
  if (given === undefined) return undefined;
  const url = URL.parse(given);
  const isPlain = url && ['http:', 'https:'].includes(url.protocol) && url.pathname === '/';
  if (!isPlain || url.username || url.search || url.hash)
    throw usageError(
      `--public-address "${given}" is no address of a server.`,
      'Write it as https://studio.example or https://studio.example:8443, without a path: the studio stands at the top.',
    );
  return url;
}

function readGiven(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new StudioError(
      'not_found',
      `--${option} ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      'Give a file in PEM that this user may read.',
    );
  }
}

/** The token of a file, which is made with a new one where it is not there. */
function keptToken(file: string): string {
  if (!existsSync(file)) {
    mkdirSync(dirname(resolve(file)), { recursive: true });
    writeFileSync(`${file}.partial`, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
    renameSync(`${file}.partial`, file);
  }
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
    throw usageError(
      `--token-file ${file} may be read by other users of this computer.`,
      `Take that from them (chmod 600 ${file}), or delete it: a new one is made.`,
    );
  const token = readGiven('token-file', file).trim();
  if (!/^[0-9a-f]{32}$/.test(token))
    throw usageError(
      `--token-file ${file} holds no token (32 hexadecimal digits).`,
      'Name a file that is not there yet: it is made.',
    );
  return token;
}
