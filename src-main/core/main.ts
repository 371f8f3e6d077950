import { existsSync } from 'node:fs';
import { toPlainError } from '../contract/errors.ts';
import { installedBinding, isPackaged } from '../setup/paths.mjs';
import { tensorflowFailure } from '../setup/tensorflow/failure.mjs';
import { defaultHome } from '../services/homePaths.ts';
import { serveChannel } from './channelHost.ts';
import { createCore } from './createCore.ts';
import { dispatch } from './dispatch.ts';
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
  const ending = new AbortController();
  process.on('disconnect', () => {
    ending.abort();
    served.close();
    core.close();
    process.exit(0);
  });
  send({ kind: 'ready' });
  void warmUp(core.handlers);
  // At the first start of an application TensorFlow is fetched, as set-up does in a checkout: the studio is open
  // meanwhile, and its pages show how far it is. What has failed once is left to the button that repairs.
  if (isPackaged && !existsSync(installedBinding) && tensorflowFailure() === null)
    void dispatch(core.handlers, 'studio.repair', {}, ending.signal);
} catch (error) {
  send({ kind: 'failed', error: toPlainError(error) });
  process.exitCode = 1;
}
