import { expect, it } from 'vitest';
import type { ShellBridge } from '../../../src-main/contract/shellBridge.ts';
import type { ClientMessage } from '../../../src-main/contract/transport.ts';
import { createShellTransport } from '../../../src-renderer/rpc/shellTransport.ts';

/** A transport over a shell that notes what it is sent, and the shell's news of the core. */
function shell() {
  const sent: ClientMessage[] = [];
  let tell: Parameters<ShellBridge['onCoreState']>[0] = () => undefined;
  const bridge = {
    // As the window's bridge does it.
    send: (message: ClientMessage) => sent.push(structuredClone(message)),
    onMessage: () => undefined,
    onCoreState: (listener: typeof tell) => (tell = listener),
  } as unknown as ShellBridge;
  const transport = createShellTransport(bridge);
  const listener = { onOpen: () => undefined, onMessage: () => undefined, onState: () => undefined };
  transport.listen(listener);
  return { sent, transport, tell: (state: Parameters<typeof tell>[0]) => tell(state) };
}
const codeOf = (reply: Awaited<ReturnType<ReturnType<typeof shell>['transport']['call']>>) =>
  reply.ok ? null : reply.error.code;

it('says that a call was cancelled, not that the core is lost', async () => {
  const { transport, sent, tell } = shell();
  tell({ kind: 'ready' });
  expect(codeOf(await transport.call('models.add', {}, AbortSignal.abort()))).toBe('cancelled');
  expect(sent).toEqual([]);
});

it('never sends a call that was cancelled before the core was ready', async () => {
  const { transport, sent, tell } = shell();
  tell({ kind: 'starting' });
  const controller = new AbortController();
  const reply = transport.call('models.add', {}, controller.signal);
  const kept = transport.call('models.list', {});
  controller.abort();
  expect(codeOf(await reply)).toBe('cancelled');
  tell({ kind: 'ready' });
  expect(sent).toEqual([expect.objectContaining({ kind: 'call', name: 'models.list' })]);
  void kept;
});

it('cancels a call that the core works on', () => {
  const { transport, sent, tell } = shell();
  tell({ kind: 'ready' });
  const controller = new AbortController();
  void transport.call('models.add', {}, controller.signal);
  controller.abort();
  expect(sent.map(({ kind }) => kind)).toEqual(['call', 'cancel']);
});

it('sends what the page keeps in states, which cannot be cloned, as it was when it was called', () => {
  const { transport, sent, tell } = shell();
  tell({ kind: 'starting' });
  const sources = new Proxy([{ id: 'a', amount: undefined as number | undefined }], {});
  void transport.call('mixes.count', { sources });
  sources[0]!.id = 'b';
  tell({ kind: 'ready' });
  expect(sent).toEqual([expect.objectContaining({ input: { sources: [{ id: 'a' }] } })]);
});
