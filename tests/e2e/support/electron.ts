import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium, type Page } from 'playwright-core';
import WebSocket from 'ws';
import { projectFolder } from '../../support/paths.ts';
import { tellAtFailure } from './shownAtFailure.ts';

/** Folder of a real, old Electron, as the test command found it; null: tests of the window are skipped. */
export const electronFolder = process.env['ELECTRON_DIR'] ?? null;
const xvfb = '/usr/bin/Xvfb';
export const canRunElectron =
  electronFolder !== null &&
  existsSync(join(electronFolder, 'electron')) &&
  (Boolean(process.env['DISPLAY']) || existsSync(xvfb));
export const electronNote = canRunElectron ? '' : ' (skipped: no Electron; set ELECTRON_DIR)';

export interface ElectronStudio {
  page: Page;
  process: ChildProcess;
  /** Resolves with the exit code when the studio has ended. */
  ended: Promise<number | null>;
  /** Runs an expression in the shell's own process, where `electron` is Electron's module; promises are awaited. */
  inShell(expression: string): Promise<unknown>;
  kill(): void;
}

/** Starts the built shell in a real Electron on a display of its own. */
export async function startElectron(home: string): Promise<ElectronStudio> {
  const folder = electronFolder!;
  // A packaged Electron takes no path argument: the application is what lies in its resources.
  const application = join(folder, 'resources', 'app');
  mkdirSync(application, { recursive: true });
  writeFileSync(
    join(application, 'package.json'),
    JSON.stringify({ name: 'id-lora-studio', main: 'main.cjs' }),
  );
  writeFileSync(join(application, 'main.cjs'), 'require(process.env.STUDIO_SHELL);\n');
  const inspectPort = await freePort();
  const shell = await startShell(join(folder, 'electron'), home, [`--inspect=127.0.0.1:${inspectPort}`], {
    STUDIO_SHELL: join(projectFolder, 'out', 'main', 'main.cjs'),
    ID_LORA_STUDIO_NODE: process.execPath,
  });
  return { ...shell, inShell: (expression) => evaluateIn(inspectPort, expression) };
}

/** A shell that shows its page on a display of its own, without a way into its own process. */
export type ShellWindow = Omit<ElectronStudio, 'inShell'>;

/** Starts a program of Electron that has the studio in it, and waits for its page. */
export async function startShell(
  program: string,
  home: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ShellWindow> {
  const portFile = join(home, 'window', 'DevToolsActivePort');
  rmSync(portFile, { force: true });
  const display = await openDisplay();
  // As openPage has it: nothing moves for nobody.
  const still = '--force-prefers-reduced-motion';
  const child = spawn(
    program,
    [...args, '--remote-debugging-port=0', '--no-sandbox', '--disable-gpu', still, '--home', home],
    { env: { ...process.env, DISPLAY: display.name, ...env }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let errors = '';
  child.stderr.on('data', (part: Buffer) => (errors = (errors + String(part)).slice(-4000)));
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (code) => {
      display.close();
      resolve(code);
    }),
  );
  for (let attempt = 0; attempt < 200 && !existsSync(portFile); attempt++) await sleep(100);
  if (!existsSync(portFile)) throw new Error(`Electron did not start:\n${errors}`);
  const pagePort = Number(readFileSync(portFile, 'utf8').split('\n')[0]);
  await waitForPage(pagePort);
  // An Electron this old refuses the settings that the driver would make.
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${pagePort}`, { noDefaults: true });
  const [context] = browser.contexts();
  const page = context!.pages()[0] ?? (await context!.waitForEvent('page'));
  tellAtFailure(page);
  return {
    page,
    process: child,
    ended,
    kill() {
      child.kill('SIGKILL');
      display.close();
    },
  };
}

/** The display of this session, or a virtual one. */
async function openDisplay(): Promise<{ name: string; close(): void }> {
  if (process.env['DISPLAY']) return { name: process.env['DISPLAY'], close: () => undefined };
  const server = spawn(xvfb, ['-displayfd', '3', '-screen', '0', '1400x900x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const number = await new Promise<string>((resolve, reject) => {
    server.stdio[3]!.once('data', (data: Buffer) => resolve(String(data).trim()));
    server.once('error', reject);
  });
  return { name: `:${number}`, close: () => server.kill() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A driver that attaches while the first page is still on its way to an old Electron waits forever. */
async function waitForPage(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`).catch(() => null);
    const targets = response ? ((await response.json()) as { url: string; title: string }[]) : [];
    if (targets.some(({ url, title }) => url.startsWith('studio:') && title.includes('·'))) return;
    await sleep(100);
  }
  throw new Error('The window showed no page within 10 s.');
}

/**
 * Evaluates an expression in a Node process through its inspector. A connection that stayed would keep the process from
 * ending.
 */
async function evaluateIn(port: number, expression: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/json/list`);
  const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target!.webSocketDebuggerUrl, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const wrapped = `(async () => { const electron = process.mainModule.require('electron'); return (${expression}); })()`;
  const params = { expression: wrapped, awaitPromise: true, returnByValue: true };
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params }));
  const answer = await new Promise<Buffer>((resolve) => socket.once('message', resolve));
  socket.close();
  const { result } = JSON.parse(String(answer)) as {
    result: { result: { value?: unknown }; exceptionDetails?: { exception?: { description?: string } } };
  };
  if (result.exceptionDetails)
    throw new Error(result.exceptionDetails.exception?.description ?? 'failed in the shell');
  return result.result.value;
}
