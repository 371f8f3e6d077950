import { contextBridge, ipcRenderer, webUtils } from 'electron';
import { shellChannels, type CoreProcessState, type ShellBridge } from '../contract/shellBridge.ts';
import type { CoreMessage } from '../contract/transport.ts';

/** The whole of what the page can reach outside its sandbox. */
const bridge: ShellBridge = {
  send: (message) => ipcRenderer.send(shellChannels.toCore, message),
  onMessage(listener) {
    ipcRenderer.on(shellChannels.fromCore, (_event, message: CoreMessage) => listener(message));
  },
  onCoreState(listener) {
    ipcRenderer.on(shellChannels.state, (_event, state: CoreProcessState) => listener(state));
    ipcRenderer.send(shellChannels.askState);
  },
  restartCore: () => ipcRenderer.send(shellChannels.restart),
  chooseFolder: (title) => ipcRenderer.invoke(shellChannels.chooseFolder, title) as Promise<string | null>,
  chooseFile: (title) => ipcRenderer.invoke(shellChannels.chooseFile, title) as Promise<string | null>,
  showFolder: (folder) => ipcRenderer.send(shellChannels.showFolder, folder),
  // Electron before 29 has no webUtils: files carried their path themselves.
  pathOfFile: (file) =>
    (webUtils as typeof webUtils | undefined)?.getPathForFile(file) ??
    (file as File & { path?: string }).path ??
    '',
  onNavigate(listener) {
    ipcRenderer.on(shellChannels.navigate, (_event, href: string) => listener(href));
  },
};

contextBridge.exposeInMainWorld('studioShell', bridge);
