import { join, dirname } from 'node:path';
import { BrowserWindow, screen, session, shell, Menu, type MenuItemConstructorOptions } from 'electron';
import { pageOrigin } from './pageProtocol.ts';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

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

const stateSchema = z.object({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(320),
  height: z.number().int().min(320),
  maximized: z.boolean(),
});
/** Place and size of the window on the desktop, in device-independent pixels. */
export type WindowState = z.infer<typeof stateSchema>;

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A title bar of which less than this is on a screen cannot be dragged back. */
const graspable = 80;

/**
 * The window's place when it was last closed, or null where that is unknown or on a screen that is no longer there.
 * @param screens work areas of the present screens
 */
export function readWindowState(file: string, screens: readonly Area[]): WindowState | null {
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return screens.some((screen) => isGraspable(state, screen)) ? state : null;
  } catch {
    return null;
  }
}

function isGraspable(window: Area, screen: Area): boolean {
  const overlap = Math.min(window.x + window.width, screen.x + screen.width) - Math.max(window.x, screen.x);
  return overlap >= graspable && window.y >= screen.y && window.y < screen.y + screen.height - graspable;
}

/** Keeps the window's place. Never throws: a full disk must not stop a window from closing. */
export function writeWindowState(file: string, state: WindowState): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const temporary = `${file}.partial`;
    writeFileSync(temporary, JSON.stringify(state));
    renameSync(temporary, file);
  } catch (error) {
    console.error('The window’s place could not be kept:', error);
  }
}

/** Pages of the menu, with the key that opens each. */
const pages: readonly { label: string; href: string }[] = [
  { label: 'Home', href: '/' },
  { label: 'Models', href: '/models' },
  { label: 'Data', href: '/data' },
  { label: 'Plan', href: '/plan' },
  { label: 'Train', href: '/train' },
  { label: 'Runs', href: '/train/runs' },
  { label: 'Evaluate', href: '/evaluate' },
  { label: 'Export', href: '/export' },
  { label: 'Settings', href: '/settings' },
];

/** Sets the application's menu. */
export function setMenu(navigate: (href: string) => void): void {
  const isMac = process.platform === 'darwin';
  const go: MenuItemConstructorOptions[] = pages.map(({ label, href }, index) => ({
    label,
    accelerator: `CmdOrCtrl+${index + 1}`,
    click: () => navigate(href),
  }));
  const template: MenuItemConstructorOptions[] = [
    ...(isMac ? [{ role: 'appMenu' } as const] : []),
    {
      label: 'File',
      submenu: [
        { label: 'Add a model…', accelerator: 'CmdOrCtrl+O', click: () => navigate('/models') },
        { label: 'Add a dataset…', accelerator: 'CmdOrCtrl+Shift+O', click: () => navigate('/data') },
        { label: 'New run…', accelerator: 'CmdOrCtrl+N', click: () => navigate('/train') },
        { type: 'separator' },
        isMac ? { role: 'close' } : { role: 'quit' },
      ],
    },
    { role: 'editMenu' },
    { label: 'Go', submenu: go },
    {
      label: 'View',
      submenu: [
        { role: 'reload' },
        { type: 'separator' },
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { type: 'separator' },
        { role: 'togglefullscreen' },
        { role: 'toggleDevTools' },
      ],
    },
    { role: 'windowMenu' },
    {
      role: 'help',
      submenu: [
        { label: 'First steps', click: () => navigate('/') },
        { label: 'Machine, storage and diagnostics', click: () => navigate('/settings') },
        { type: 'separator' },
        { role: 'about' },
      ],
    },
  ];
  Menu.setApplicationMenu(Menu.buildFromTemplate(template));
}
