import { join } from 'node:path';
import { BrowserWindow, screen, session, shell } from 'electron';
import { pageOrigin } from './pageProtocol.ts';
import { readWindowState, writeWindowState } from './windowState.ts';

/** Opens the studio's window: a page in a sandbox that can go nowhere else. */
export function openStudioWindow(options: {
  preload: string;
  /** Where the window's place is kept. */
  stateFolder: string;
  icon: string;
}): BrowserWindow {
  const stateFile = join(options.stateFolder, 'window.json');
  const kept = readWindowState(
    stateFile,
    screen.getAllDisplays().map(({ workArea }) => workArea),
  );
  const window = new BrowserWindow({
    ...(kept
      ? { x: kept.x, y: kept.y, width: kept.width, height: kept.height }
      : { width: 1360, height: 900 }),
    minWidth: 320,
    minHeight: 320,
    show: false,
    title: 'ID-LoRA Studio',
    icon: options.icon,
    webPreferences: {
      preload: options.preload,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      spellcheck: false,
    },
  });
  if (kept?.maximized) window.maximize();
  window.once('ready-to-show', () => window.show());
  window.on('close', () => {
    const { x, y, width, height } = window.getNormalBounds();
    writeWindowState(stateFile, { x, y, width, height, maximized: window.isMaximized() });
  });
  keepInside(window);
  void window.loadURL(`${pageOrigin}/`);
  return window;
}

/** No page but ours, no second window, no permission; links to the web open in the person's own browser. */
function keepInside(window: BrowserWindow): void {
  const contents = window.webContents;
  contents.on('will-navigate', (event, address) => {
    if (new URL(address).origin !== pageOrigin && !address.startsWith(`${pageOrigin}/`))
      event.preventDefault();
  });
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    if (url.startsWith('https://')) void shell.openExternal(url);
    return { action: 'deny' };
  });
  const granted = new Set(['clipboard-sanitized-write']);
  session.defaultSession.setPermissionRequestHandler((_contents, permission, callback) =>
    callback(granted.has(permission)),
  );
  session.defaultSession.setPermissionCheckHandler((_contents, permission) => granted.has(permission));
  // A page that died (out of memory, a driver's fault) comes back: its state is in the core and in its storage.
  contents.on('render-process-gone', (_event, { reason }) => {
    if (reason !== 'clean-exit') contents.reload();
  });
}
