import type { PlainError } from './errors.ts';
import type { ClientMessage, CoreMessage } from './transport.ts';

/** The core process as the desktop shell sees it. */
export type CoreProcessState =
  | { kind: 'starting' }
  | { kind: 'ready' }
  /** It runs, and does not answer. */
  | { kind: 'silent'; error: PlainError }
  /** It said why it cannot start (data folder locked, database from the future), or ended on its own. */
  | { kind: 'failed'; error: PlainError };

/**
 * What the desktop shell offers to the page as `window.studioShell`: messages to and from the core, its state, and the
 * dialogs that a page in a sandbox cannot open by itself. Absent in a browser.
 */
export interface ShellBridge {
  send(message: ClientMessage): void;
  onMessage(listener: (message: CoreMessage) => void): void;
  /** Called with the present state at once, then at each change. */
  onCoreState(listener: (state: CoreProcessState) => void): void;
  restartCore(): void;
  /** Null: the person cancelled. */
  chooseFolder(title: string): Promise<string | null>;
  chooseFile(title: string): Promise<string | null>;
  /** Shows a folder in the file manager of the system. */
  showFolder(folder: string): void;
  /**
   * Where a file or folder lies that was dropped on the page; empty for what lies nowhere (an image out of another
   * page).
   */
  pathOfFile(file: File): string;
  /** Called when a menu entry or a notification asks for a page, with its address. */
  onNavigate(listener: (href: string) => void): void;
}

/** Names of the channels between page and shell. */
export const shellChannels = {
  toCore: 'studio:to-core',
  fromCore: 'studio:from-core',
  askState: 'studio:ask-state',
  state: 'studio:state',
  restart: 'studio:restart-core',
  chooseFolder: 'studio:choose-folder',
  chooseFile: 'studio:choose-file',
  showFolder: 'studio:show-folder',
  navigate: 'studio:navigate',
} as const;
