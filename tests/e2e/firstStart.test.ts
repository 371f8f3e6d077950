import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { enginesOf, removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { patienceMs } from '../support/patience.ts';

describe.skipIf(!chromiumPath)(`the first start${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let folder: string;
  let isBroken: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'id-lora-broken-'));
    isBroken = join(folder, 'broken');
    writeFileSync(isBroken, '');
    // A machine whose TensorFlow cannot be loaded, for as long as the file is there.
    const preload = join(folder, 'preload.cjs');
    writeFileSync(
      preload,
      `const Module = require('node:module');
       const resolve = Module._resolveFilename;
       Module._resolveFilename = function (request, ...rest) {
         if (request === '@tensorflow/tfjs-node-gpu' && require('node:fs').existsSync(${JSON.stringify(isBroken)}))
           throw new Error('libtensorflow.so.2: cannot open shared object file');
         return resolve.call(this, request, ...rest);
       };`,
    );
    server = await startStudio({ env: { NODE_OPTIONS: `--require ${preload}` } });
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 860 } });
    page.setDefaultTimeout(60_000);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
    rmSync(folder, { recursive: true, force: true });
  });

  it('opens without an engine, says what is missing, and repairs it in the page', async () => {
    await page.goto(server.url);
    await page.getByText('cannot open shared object file').waitFor();
    await page.getByRole('link', { name: /engine is missing/ }).waitFor();
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'first-start-broken');
    rmSync(isBroken);
    await page.getByRole('button', { name: 'Repair' }).click();
    await page.getByText('The engine is ready.').waitFor({ timeout: patienceMs });
    await page.getByText(/device (cpu|gpu)/).waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Repair' }).count()).toBe(0);
    await page.getByText(/engine\s*\d+ cores/).waitFor();
  });

  it('prepares a first run on a model of its own, which the person starts', async () => {
    await takePicture(page, 'first-start');
    const prepare = page.getByRole('button', { name: 'Prepare a first run' });
    // It fails half-way, with the model there already.
    const error = { code: 'disk_full', message: 'The disk is full.', remedy: 'Make room.' };
    const fail = async (route: Route) => {
      await route.fetch();
      await route.fulfill({ json: { ok: false, error } });
    };
    await page.route('**/rpc/studio.addStarter', fail, { times: 1 });
    await prepare.click();
    await page.getByText('The disk is full.').waitFor();
    await prepare.click();
    await page.waitForURL(/\/train$/);
    await page.getByText('The form is filled').waitFor();
    const studio = new StudioPage(page);
    await page.getByText('No value differs from the preset.').waitFor();
    // Long enough for all that follows.
    await page.locator('input[type=number]').and(page.getByLabel('Max steps')).fill('20000');
    await page.keyboard.press('Control+Enter');
    await page.waitForURL(/\/train\/runs\/.+/);
    await studio.waitForStep(5);
    await page.getByRole('link', { name: /^job/ }).waitFor();
  });

  it('keeps another project apart from it: its runs, its question, also after a reload', async () => {
    await page.getByRole('button', { name: /^Project/ }).click();
    await page.getByRole('menuitem', { name: /New project/ }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('Arithmetic');
    await page.getByRole('button', { name: 'Make and open it' }).click();
    await page.getByRole('button', { name: 'Project: Arithmetic' }).waitFor();
    await page.getByRole('heading', { name: 'Which adapter is best?' }).waitFor();
    await expect.poll(() => page.getByRole('heading', { name: 'Recent runs' }).count()).toBe(0);
    // The job of the other project goes on, and is shown.
    await page.getByRole('link', { name: /^job/ }).waitFor();
    await page.getByRole('button', { name: 'Ask your own' }).click();
    await page.getByLabel('At most').fill('10');
    await page.getByLabel('Benchmark').selectOption('gsm8k');
    await page.getByRole('button', { name: 'Keep it' }).click();
    const question = page.getByRole('heading', {
      name: 'Which adapter is best on gsm8k under 10.0 M parameters?',
    });
    await question.waitFor();
    await page.reload();
    await question.waitFor();
    await page.getByRole('button', { name: /^Project/ }).click();
    await page.getByRole('menuitemradio', { name: /default/ }).click();
    await page.getByRole('button', { name: 'Project: default' }).waitFor();
    await page.getByRole('heading', { name: 'Recent runs' }).waitFor();
  });

  it('leads from an address of a run to the project that it belongs to', async () => {
    const run = await page.getByRole('table').getByRole('link').first().getAttribute('href');
    await page.getByRole('button', { name: /^Project/ }).click();
    await page.getByRole('menuitemradio', { name: /Arithmetic/ }).click();
    await page.getByRole('heading', { name: /under 10.0 M/ }).waitFor();
    await page.goto(new URL(run!, server.url).href);
    await page.getByRole('button', { name: 'Open default' }).click();
    await page.getByTestId('run-state').waitFor();
  });

  it('says within 2 s that the engine died, and what is saved', async () => {
    const studio = new StudioPage(page);
    await studio.waitForState('running');
    const engines = enginesOf(server);
    expect(engines.length).toBeGreaterThan(0);
    for (const pid of engines) process.kill(pid, 'SIGKILL');
    await page
      .getByRole('alert')
      .filter({ hasText: /engine/i })
      .waitFor({ timeout: 2000 });
    await studio.waitForState('failed');
  });
});
