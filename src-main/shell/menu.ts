import { Menu, type MenuItemConstructorOptions } from 'electron';

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
  ];
  Menu.setApplicationMenu(Menu.buildFromTemplate(template));
}
