import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { canRunElectron, electronNote, startElectron, type ElectronStudio } from './support/electron.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome } from './support/studioServer.ts';
import { patienceMs } from '../support/patience.ts';

describe.skipIf(!canRunElectron)(`the studio in a real Electron${electronNote}`, () => {
  const home = temporaryFolder();
  let electron: ElectronStudio;
  let studio: StudioPage;

  beforeAll(async () => {
    electron = await startElectron(home);
    studio = new StudioPage(electron.page);
  });
  afterAll(() => {
    electron?.kill();
    removeHome(home);
  });

  /** The core's process, a child of the shell. */
  async function corePid(): Promise<number> {
    const pid = await electron.inShell(
      `Number(process.mainModule.require('node:child_process').execSync('pgrep -P ' + process.pid + ' -f [c]ore/main.ts').toString().trim())`,
    );
    return Number(pid);
  }

  /** Drags files and folders of this computer over the window and drops them. */
  async function drop(...files: string[]): Promise<void> {
    const session = await electron.page.context().newCDPSession(electron.page);
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver'] as const)
      await session.send('Input.dispatchDragEvent', { type, x: 500, y: 400, data });
    await electron.page.getByTestId('drop-layer').waitFor();
    await session.send('Input.dispatchDragEvent', { type: 'drop', x: 500, y: 400, data });
    await session.detach();
    await electron.page.getByTestId('drop-layer').waitFor({ state: 'detached' });
  }

  it('opens a page in a sandbox that reaches Node nowhere', async () => {
    await electron.page.getByRole('heading', { name: 'Add a base model' }).waitFor();
    const reach = await electron.page.evaluate(() => ({
      require: typeof (globalThis as { require?: unknown }).require,
      process: typeof (globalThis as { process?: unknown }).process,
      bridge: Object.keys((globalThis as unknown as { studioShell: object }).studioShell).sort(),
    }));
    expect(reach.require).toBe('undefined');
    expect(reach.process).toBe('undefined');
    expect(reach.bridge).toEqual([
      'chooseFile',
      'chooseFolder',
      'onCoreState',
      'onMessage',
      'onNavigate',
      'pathOfFile',
      'restartCore',
      'send',
      'showFolder',
    ]);
  });

  it('goes nowhere else', async () => {
    await electron.page.evaluate(`location.href = 'https://example.com/'`);
    await sleep(300);
    expect(electron.page.url()).toBe('studio://app/');
    // The driver waits for the navigation that was refused until it sees another.
    await electron.page.reload();
    const opened = await electron.page.evaluate(`window.open('file:///etc/passwd') === null`);
    expect(opened).toBe(true);
  });

  it('takes a folder from the native dialog', async () => {
    const folder = JSON.stringify(join(fixtures, 'tiny-llama'));
    await electron.inShell(
      `void (electron.dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [${folder}] }))`,
    );
    await studio.goTo('Models');
    await electron.page.getByRole('button', { name: 'Browse…' }).click();
    await electron.page.getByRole('button', { name: 'Add model' }).click();
    await electron.page.getByRole('heading', { name: 'tiny-llama' }).waitFor();
  });

  it('has a menu of help, and tells what it is', async () => {
    const help = await electron.inShell(
      `electron.Menu.getApplicationMenu().items.find((item) => item.role === 'help').submenu.items.map((item) => item.role ?? item.label).join()`,
    );
    expect(help).toContain('about');
    expect(help).toContain('diagnostics');
  });

  it('shows a folder in the system’s own view, for our page alone and by a whole path', async () => {
    await electron.inShell(
      `(globalThis.shown = [], electron.shell.showItemInFolder = (path) => shown.push(path), true)`,
    );
    await electron.page.evaluate(`studioShell.showFolder('relative'); studioShell.showFolder('/tmp')`);
    await expect.poll(() => electron.inShell(`globalThis.shown.join()`)).toBe('/tmp');
  });

  it('opens pages from its menu', async () => {
    await electron.inShell(
      `electron.Menu.getApplicationMenu().items.flatMap((item) => item.submenu?.items ?? []).find((item) => item.label === 'Evaluate').click()`,
    );
    await electron.page.getByRole('heading', { level: 1, name: 'Evaluate' }).waitFor();
  });

  it('trains, and shows it live', async () => {
    const file = join(home, 'sums.jsonl');
    writeGeneratedDataset(file, 400, 1);
    await studio.addDataset(file);
    await electron.page.getByRole('heading', { name: 'sums' }).waitFor();
    await studio.configure({
      method: 'ID-LoRA',
      name: 'window-run',
      fields: { Rank: '4', Clusters: '2', Boost: '2', 'Max steps': '20000', 'Context length': '64' },
    });
    await studio.start();
    await studio.waitForStep(3);
    await takePicture(electron.page, 'electron-run');
    expect(
      await electron.inShell(
        'electron.powerSaveBlocker.isStarted(0) || electron.powerSaveBlocker.isStarted(1)',
      ),
    ).toBe(true);
  });

  it('goes on through a reload of the page, stops with a checkpoint and resumes', async () => {
    await electron.page.reload();
    const seen = await studio.shownStep();
    await studio.waitForStep(seen + 3);
    await electron.page.getByRole('button', { name: 'Stop…' }).click();
    await electron.page.getByRole('button', { name: 'Stop and save' }).click();
    await studio.waitForState('stopped');
    const stopped = await studio.shownStep();
    await electron.page.getByRole('button', { name: 'Resume' }).click();
    await studio.waitForStep(stopped + 1);
  });

  it('says within 2 s that its core died, and starts it again with everything that was saved', async () => {
    const pid = await corePid();
    const begin = Date.now();
    process.kill(pid, 'SIGKILL');
    await electron.page.getByRole('alert').filter({ hasText: 'core' }).waitFor({ timeout: 2000 });
    expect(Date.now() - begin).toBeLessThan(2000);
    await electron.page.getByRole('button', { name: 'Restart the studio’s core' }).click();
    await studio.waitForState('interrupted');
    await electron.page.getByRole('button', { name: 'Resume' }).click();
    await studio.waitForState('running');
  });

  it('says that its core hangs, goes on when it answers again, and restarts one that does not', async () => {
    const pid = await corePid();
    const alert = electron.page.getByRole('alert').filter({ hasText: 'has not answered for 5 seconds' });
    process.kill(pid, 'SIGSTOP');
    await alert.waitFor({ timeout: 10_000 });
    await expect
      .poll(() => alert.textContent())
      .toContain('Everything up to the last checkpoint of a run is saved.');
    process.kill(pid, 'SIGCONT');
    await alert.waitFor({ state: 'detached' });
    expect(await corePid()).toBe(pid);

    process.kill(pid, 'SIGSTOP');
    await alert.waitFor({ timeout: 10_000 });
    await electron.page.getByRole('button', { name: 'Restart the studio’s core' }).click();
    await studio.waitForState('interrupted');
    await electron.page.getByRole('alert').waitFor({ state: 'detached' });
    expect(await corePid()).not.toBe(pid);
    await electron.page.getByRole('button', { name: 'Resume' }).click();
    await studio.waitForState('running');
  });

  it('asks before it quits while a run trains, keeps a checkpoint, and goes on with the queue at the next start', async () => {
    await studio.waitForStep(1);
    await studio.configure({
      method: 'LoRA',
      name: 'window-next',
      fields: { Rank: '4', 'Max steps': '30', 'Context length': '64' },
    });
    await studio.start();
    await studio.waitForState('waiting');
    await electron.inShell(
      `void (electron.dialog.showMessageBox = async (_window, question) => ((globalThis.asked = question), { response: 2 }))`,
    );
    await electron.inShell('void electron.app.quit()');
    await sleep(500);
    expect(electron.process.exitCode).toBeNull();
    expect(await electron.inShell('globalThis.asked.message')).toBe(
      'A run is training, and one waits in the queue.',
    );

    await electron.inShell(`void (electron.dialog.showMessageBox = async () => ({ response: 1 }))`);
    await electron.inShell('void electron.app.quit()');
    expect(await electron.ended).toBe(0);
    expect(existsSync(join(home, 'window', 'window.json'))).toBe(true);

    electron = await startElectron(home);
    studio = new StudioPage(electron.page);
    await studio.goTo('Train');
    await electron.page.getByRole('link', { name: 'History' }).click();
    await electron.page.getByRole('link', { name: 'window-run' }).first().click();
    await studio.waitForState('paused');
    await electron.page.getByRole('button', { name: 'Resume' }).waitFor();
    await electron.page.getByRole('link', { name: 'History' }).click();
    await electron.page.getByRole('link', { name: 'window-next' }).first().click();
    await studio.waitForState('done');
  });

  it('compares the two runs and gives a verdict', async () => {
    await electron.page.getByRole('link', { name: 'Compare' }).click();
    await electron.page.getByRole('button', { name: 'Compare' }).click();
    const verdict = electron.page.getByTestId('verdict');
    await verdict.waitFor({ timeout: patienceMs });
    const sentence = await verdict.textContent();
    for (const part of ['window-run', 'window-next', '95 %']) expect(sentence).toContain(part);
    await takePicture(electron.page, 'electron-compare');
  });

  it('exports a run, and shows the folder in the system’s own view', async () => {
    await studio.goTo('Export');
    await electron.page.getByLabel('Run', { exact: true }).selectOption({ label: 'window-next' });
    await electron.page.getByRole('button', { name: 'Export and check' }).click();
    await electron.inShell(
      `(globalThis.shown = [], electron.shell.showItemInFolder = (path) => shown.push(path), true)`,
    );
    const latest = electron.page.getByRole('region', { name: /^Latest export/ });
    await latest.getByRole('button', { name: 'Show in folder' }).click({ timeout: patienceMs });
    await expect
      .poll(() => electron.inShell(`globalThis.shown.join()`))
      .toBe(join(home, 'exports', 'window-next'));
  });

  it('takes a model folder and a dataset file that are dropped on its window', async () => {
    const folder = join(fixtures, 'tiny-qwen2');
    await drop(folder);
    await electron.page.getByRole('heading', { name: 'tiny-qwen2' }).waitFor();
    await electron.page.getByText(folder).first().waitFor();
    const file = join(home, 'dropped.jsonl');
    writeGeneratedDataset(file, 12, 2);
    await drop(file);
    await electron.page.getByRole('button', { name: 'Add dataset' }).click();
    await electron.page.getByRole('heading', { name: 'dropped' }).waitFor();
    // A file of a model's folder stands for the folder.
    await drop(join(fixtures, 'tiny-mistral', 'config.json'));
    await electron.page.getByRole('heading', { name: 'tiny-mistral' }).waitFor();
  });

  it('imports files from the native dialog whose fields it has to be told, and shows what a model sees of them', async () => {
    const file = join(home, 'fragen.jsonl');
    writeFileSync(file, '{"frage":"Was ist 1 + 1?","antwort":"Zwei."}\n'.repeat(3));
    await electron.inShell(
      `void (electron.dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [${JSON.stringify(file)}] }))`,
    );
    await studio.goTo('Data');
    await electron.page.getByRole('button', { name: 'Browse…', exact: true }).click();
    await electron.page.getByText('Not recognized').waitFor();
    await electron.page.getByLabel('What frage is').selectOption({ label: 'prompt' });
    await electron.page.getByLabel('What antwort is').selectOption({ label: 'answer' });
    await takePicture(electron.page, 'electron-import');
    await electron.page.getByRole('button', { name: 'Add dataset' }).click();
    await electron.page.getByRole('heading', { name: 'fragen' }).waitFor();
    await electron.page.getByRole('link', { name: 'What the model sees' }).click();
    const rows = electron.page.getByRole('list', { name: 'Rows as the model sees them' });
    await rows.locator('mark').first().waitFor();
    expect((await rows.locator('mark').allTextContents()).join('')).toContain('Zwei.');
    await takePicture(electron.page, 'electron-seen');
  });

  it('serves browsers while they are let in, and cuts them off', async () => {
    await studio.goTo('Settings');
    const section = electron.page.getByRole('region', { name: 'Use from a browser' });
    await section.getByRole('button', { name: 'Serve browsers' }).click();
    const link = section.getByText(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{32}$/);
    await link.waitFor();
    const url = (await link.textContent())!;
    const entered = await fetch(url, { redirect: 'manual' });
    const [cookie] = entered.headers.get('set-cookie')!.split(';') as [string];
    const page = await fetch(new URL(url).origin, { headers: { cookie } });
    expect(await page.text()).toContain('<title>ID-LoRA Studio</title>');
    await takePicture(electron.page, 'electron-settings');
    await section.getByRole('button', { name: 'Stop serving browsers' }).click();
    await section.getByRole('button', { name: 'Serve browsers' }).waitFor();
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });

  it('quits at once where a run hangs that should have paused first', async () => {
    await studio.configure({
      method: 'LoRA',
      name: 'window-hangs',
      fields: { Rank: '4', 'Max steps': '100000', 'Context length': '64' },
    });
    await studio.start();
    await studio.waitForStep(1);
    const engine = Number(
      execFileSync('pgrep', ['-n', '-P', String(await corePid()), '-f', 'engine/process/child.ts'], {
        encoding: 'utf8',
      }),
    );
    process.kill(engine, 'SIGSTOP');
    await electron.inShell(
      `void (electron.dialog.showMessageBox = async (_window, question) => ((globalThis.asked = question), { response: 1 }))`,
    );
    await electron.inShell('void electron.app.quit()');
    await sleep(1000);
    expect(electron.process.exitCode).toBeNull();
    await electron.inShell('void electron.app.quit()');
    expect(await electron.ended).toBe(0);
    await expect.poll(() => existsSync(`/proc/${engine}`)).toBe(false);
  });
});
