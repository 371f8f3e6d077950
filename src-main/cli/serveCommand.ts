import { parseCommand, number, text, usageError } from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import type { Core } from '../core/createCore.ts';
import type { Output } from './output.ts';
import { outliveErrors } from '../core/outliveErrors.ts';
import { warmUp } from '../core/warmUp.ts';

/**
 * serve [--host 127.0.0.1 --port 0]: runs until Ctrl+C, and pauses the run that trains before the database is closed.
 */
export async function serveCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values } = parseCommand(args, { host: { type: 'string' }, port: { type: 'string' } });
  const port = number(values, 'port') ?? 0;
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw usageError(`--port ${port} is no port (0 to 65535).`);
  const serve = async (core: Core, output: Output) => {
    const host = text(values, 'host') ?? '127.0.0.1';
    outliveErrors(() => core.close());
    const { serving } = await core.browsers.serve({ host, port, canEnd: false });
    const { url, otherUrls } = serving!;
    core.runs.queue.begin();
    core.scoring.begin();
    output.result({ url, otherUrls }, () =>
      [`The studio is at ${url}`, ...otherUrls.map((other) => `For other computers: ${other}`)].join('\n'),
    );
    if (otherUrls.length > 0)
      output.progress(
        'Whoever reads this address, or the traffic of the network, can use the studio. Where you do not trust the network, serve without --host and use a tunnel: ssh -L 8000:localhost:PORT.',
      );
    void warmUp(core.handlers);
    await new Promise<void>((resolve) => command.onInterrupt(resolve));
    if (core.runs.queue.state().running)
      output.progress(
        'Pausing the run with a checkpoint. Press Ctrl+C again to end at once: the last checkpoint stays.',
      );
    // A run that cannot be recorded any more has said so itself.
    await core.runs.suspend().catch(() => undefined);
    output.progress('Closing.');
    await core.browsers.end();
  };
  await withCore(values, 'write', serve, 'last');
}
