import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

describe.skipIf(!chromiumPath)(`taking a deletion back${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 860 } });
    const studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 50, 1);
    await studio.addDataset(file);
    await page.getByRole('heading', { name: 'sums' }).waitFor();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const row = () => page.getByRole('rowheader', { name: 'sums' });

  async function remove(): Promise<void> {
    if (!page.url().includes('/data/')) await row().getByRole('link').click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByText('No datasets yet').waitFor();
  }

  it('says politely what is gone, and brings it back by the button', async () => {
    await remove();
    const toast = page.getByRole('status').filter({ hasText: 'Removed the dataset sums.' });
    await toast.waitFor();
    await takePicture(page, 'toast-undo');
    await toast.getByRole('button', { name: 'Undo' }).click();
    await row().waitFor();
    await page.getByText('Taken back.').waitFor();
  });

  it('brings it back by Ctrl+Z, and not while something is typed', async () => {
    await remove();
    await page.getByLabel('Files or folders').focus();
    await page.keyboard.press('Control+z');
    await page.getByText('No datasets yet').waitFor();
    await page.getByRole('heading', { level: 1 }).focus();
    await page.keyboard.press('Control+z');
    await row().waitFor();
  });

  it('offers it again after a reload of the page', async () => {
    await remove();
    await page.reload();
    await page.getByText('Removed the dataset sums.').waitFor();
    await page.getByRole('button', { name: /^Undo/ }).click();
    await row().waitFor();
  });

  it('takes a file of this computer under a name of its own, and calls it otherwise', async () => {
    const file = join(server.home, 'train.jsonl');
    writeGeneratedDataset(file, 20, 2);
    // By the button, as a person does.
    const choosing = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Choose files…' }).click();
    await (await choosing).setFiles(file);
    await page.getByText('From this computer: train.jsonl').waitFor();
    const name = page.getByRole('textbox', { name: 'Name' });
    await name.fill('sums');
    await page.getByText('There is already a dataset of that name.').waitFor();
    await name.fill('more sums');
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'more sums' }).waitFor();
    await page.getByRole('button', { name: 'Rename…' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('harder sums');
    await page.getByRole('button', { name: 'Rename', exact: true }).click();
    await page.getByRole('heading', { name: 'harder sums' }).waitFor();
    await takePicture(page, 'data-renamed');
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('heading', { name: 'harder sums' }).waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: /^Close: Removed/ }).click();
    await row().waitFor();
  });

  it('lets time stand still while the focus is on it', async () => {
    await remove();
    const undo = page.getByRole('button', { name: /^Undo/ });
    const seconds = async () => Number(/(\d+) s/.exec((await undo.textContent()) ?? '')?.[1]);
    await undo.focus();
    const before = await seconds();
    await page.waitForTimeout(2500);
    expect(await seconds()).toBe(before);
    await page.getByRole('heading', { level: 1 }).focus();
    await expect.poll(seconds, { timeout: 4000 }).toBeLessThan(before);
  });
});
