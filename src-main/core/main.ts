import { toPlainError } from '../contract/errors.ts';
import { defaultHome } from '../services/homePaths.ts';
import { serveChannel } from './channelHost.ts';
import { createCore } from './createCore.ts';
import { outliveErrors } from './outliveErrors.ts';
import { warmUp } from './warmUp.ts';

/** Entry of the core as a child process of the Electron shell: one client, over the process channel. */
const send = (message: unknown) => {
  // Without a callback a shell that has just died would be an error thrown wherever the core is.
  if (process.connected) process.send!(message, () => undefined);
};

try {
  const core = createCore({
    home: defaultHome(),
    project: process.env['ID_LORA_STUDIO_PROJECT'] ?? null,
    mode: 'write',
  });
  outliveErrors(() => core.close());
  core.runs.queue.begin();
  core.scoring.begin();
  const served = serveChannel(core.handlers, core.events, { send });
  process.on('message', (message) => served.receive(message));
  process.on('disconnect', () => {
    served.close();
    core.close();
    process.exit(0);
  });
  send({ kind: 'ready' });
  void warmUp(core.handlers);
} catch (error) {
  send({ kind: 'failed', error: toPlainError(error) });
  process.exitCode = 1;
}
