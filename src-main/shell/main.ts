import { isAbsolute, join } from 'node:path';
import type { BrowserWindow } from 'electron';
import { app, dialog, ipcMain, Notification, powerSaveBlocker, shell } from 'electron';
import { shellChannels } from '../contract/shellBridge.ts';
import { clientMessageSchema } from '../contract/transport.ts';
import { readOptions, windowFolder } from './arguments.ts';
import { startCoreProcess, type CoreProcess } from './coreProcess.ts';
import { declarePageProtocol, pageOrigin, servePage } from './pageProtocol.ts';
import { watchJobs, type JobNotice } from './longJobs.ts';
import { findStudio, keptBeside } from './studioFolder.ts';
import { quitAtOnceQuestion, quitQuestion } from './quitQuestion.ts';
import { watchRuns } from './runWatch.ts';
import { openStudioWindow, setMenu } from './studioWindow.ts';

/** What is built: this file is main/main.cjs of it. */
const built = join(__dirname, '..');
const studio = findStudio(built, process.resourcesPath, process.env);
const options = readOptions(process.argv, process.env);
if (options.home !== undefined) app.setPath('userData', windowFolder(options.home));

let window: BrowserWindow | null = null;
let core: CoreProcess | null = null;
let blocker: number | null = null;
/** Training and scoring go on without a window; the studio ends when they are through. */
let isInBackground = false;
/** Whether the studio ends as soon as the run has paused. */
let isPausing = false;
let mayQuit = false;

const runs = watchRuns({
  onBusy(busy) {
    if (busy && blocker === null) blocker = powerSaveBlocker.start('prevent-app-suspension');
    if (!busy && blocker !== null) {
      powerSaveBlocker.stop(blocker);
      blocker = null;
    }
    if (!busy && isInBackground) app.quit();
  },
  onEnded: (run) =>
    notify({
      title: run.state === 'done' ? `Run “${run.name}” is done` : `Run “${run.name}” has failed`,
      body:
        run.state === 'done'
          ? `${run.step} steps, last loss ${run.lastLoss?.toPrecision(4) ?? 'unknown'} nats per token`
          : (run.error?.message ?? 'See its page for the reason.'),
      href: `/train/runs/${run.id}`,
    }),
});
const jobs = watchJobs(notify);

declarePageProtocol();
if (!app.requestSingleInstanceLock()) app.exit(0);
else {
  app.on('second-instance', showWindow);
  app.on('activate', showWindow);
  // Closing the window asks what quitting asks; on a Mac the application stays.
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin' && !isInBackground) app.quit();
  });
  app.on('before-quit', (event) => {
    if (mayQuit) return;
    event.preventDefault();
    void quit();
  });
  void app.whenReady().then(start);
}

function start(): void {
  servePage(join(built, 'renderer'));
  setMenu(openPage);
  core = startCoreProcess({
    folder: studio.folder,
    node: studio.node,
    env: {
      ...process.env,
      ...(studio.isPackaged ? keptBeside(app.getPath('userData')) : {}),
      ...(options.home === undefined ? {} : { ID_LORA_STUDIO_HOME: options.home }),
      ...(options.project === undefined ? {} : { ID_LORA_STUDIO_PROJECT: options.project }),
    },
    onMessage(message) {
      runs.see(message);
      jobs.answered(message);
      if (message.kind === 'event' && message.event.event.type === 'scoring')
        jobs.seeScoring(message.event.event.queue);
      if (message.kind === 'event' && message.event.event.type === 'downloads.changed' && core)
        void seeDownloads(core);
      window?.webContents.send(shellChannels.fromCore, message);
    },
    onState(state) {
      if (state.kind === 'failed') runs.forget();
      if (state.kind === 'ready' && core) void seeRuns(core);
      window?.webContents.send(shellChannels.state, state);
    },
  });
  serveChannels(core);
  showWindow();
}

/** A core that dies meanwhile says so itself. */
async function seeRuns(process: CoreProcess): Promise<void> {
  const [queue, scoring] = await Promise.all([
    process.call('runs.queue', {}).catch(() => null),
    process.call('scoring.queue', {}).catch(() => null),
  ]);
  if (queue && scoring) runs.seeAll(queue, scoring);
}

async function seeDownloads(process: CoreProcess): Promise<void> {
  const downloads = await process.call('models.downloads', {}).catch(() => null);
  if (downloads) jobs.seeDownloads(downloads);
}

/** What the page can ask of the shell. Only our own page is listened to. */
function serveChannels(process: CoreProcess): void {
  const isOurs = (event: Electron.IpcMainEvent | Electron.IpcMainInvokeEvent) =>
    event.senderFrame !== null && event.senderFrame.url.startsWith(`${pageOrigin}/`);
  ipcMain.on(shellChannels.toCore, (event, raw: unknown) => {
    const message = clientMessageSchema.safeParse(raw);
    if (!isOurs(event) || !message.success) return;
    jobs.called(message.data);
    process.send(message.data);
  });
  ipcMain.on(shellChannels.askState, (event) => {
    if (isOurs(event)) event.sender.send(shellChannels.state, process.state());
  });
  ipcMain.on(shellChannels.restart, (event) => {
    if (isOurs(event)) process.restart();
  });
  // Showing opens nothing: a path to a program is safe here.
  ipcMain.on(shellChannels.showFolder, (event, folder: unknown) => {
    if (isOurs(event) && typeof folder === 'string' && isAbsolute(folder)) shell.showItemInFolder(folder);
  });
  const choose = (channel: string, property: 'openDirectory' | 'openFile') =>
    ipcMain.handle(channel, async (event, title: unknown) => {
      if (!isOurs(event) || window === null || typeof title !== 'string') return null;
      const chosen = await dialog.showOpenDialog(window, { title, properties: [property] });
      return chosen.canceled ? null : (chosen.filePaths[0] ?? null);
    });
  choose(shellChannels.chooseFolder, 'openDirectory');
  choose(shellChannels.chooseFile, 'openFile');
}

function showWindow(): void {
  if (!app.isReady()) return;
  isInBackground = false;
  if (window) {
    if (window.isMinimized()) window.restore();
    window.show();
    window.focus();
    return;
  }
  const opened = openStudioWindow({
    preload: join(built, 'preload', 'preload.cjs'),
    stateFolder: app.getPath('userData'),
    icon: join(studio.folder, 'resources', 'icons', 'icon.png'),
  });
  window = opened;
  opened.on('close', (event) => {
    if (mayQuit || isInBackground || process.platform === 'darwin' || !runs.isBusy()) return;
    event.preventDefault();
    void quit();
  });
  opened.on('closed', () => (window = null));
}

/** Shows a page of the studio, for example `/train/runs/ab12`. */
function openPage(href: string): void {
  showWindow();
  const contents = window!.webContents;
  const send = () => contents.send(shellChannels.navigate, href);
  if (contents.isLoading()) contents.once('did-finish-load', send);
  else send();
}

/** Says what has ended to somebody who looks elsewhere. */
function notify({ title, body, href }: JobNotice): void {
  if (window?.isFocused() || !Notification.isSupported()) return;
  const notification = new Notification({ title, body });
  notification.on('click', () => openPage(href));
  notification.show();
}

/** Ends the studio; asks first where a run would be cut short. */
async function quit(): Promise<void> {
  if (isPausing) {
    const { response } = await ask({ ...quitAtOnceQuestion, defaultId: 0, cancelId: 0 });
    if (response === 1) await end();
    return;
  }
  if (runs.isBusy() && core?.state().kind === 'ready') {
    const choice = await askAboutRuns();
    if (choice === 'cancel') return;
    if (choice === 'background') {
      isInBackground = true;
      window?.close();
      return;
    }
    // One that cannot be paused any more needs nothing: it has ended, or its last checkpoint stays.
    isPausing = true;
    await core.call('runs.suspend', {}).catch(() => undefined);
  }
  await end();
}

async function end(): Promise<void> {
  await core?.end();
  mayQuit = true;
  app.quit();
}

async function askAboutRuns(): Promise<'background' | 'stop' | 'cancel'> {
  const answers = ['background', 'stop', 'cancel'] as const;
  const { response } = await ask({ ...quitQuestion(runs.counts()), defaultId: 1, cancelId: 2 });
  return answers[response] ?? 'cancel';
}

function ask(question: Electron.MessageBoxOptions): Promise<Electron.MessageBoxReturnValue> {
  const whole = { ...question, type: 'question' as const, title: 'ID-LoRA Studio' };
  return window ? dialog.showMessageBox(window, whole) : dialog.showMessageBox(whole);
}
