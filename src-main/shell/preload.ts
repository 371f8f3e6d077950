import { contextBridge, ipcRenderer } from 'electron';
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
};

contextBridge.exposeInMainWorld('studioShell', bridge);
