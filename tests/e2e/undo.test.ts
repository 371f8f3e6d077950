import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../../src-main/services/projects/generatedModel.ts';
import { chromiumNote, chromiumPath, launchChromium } from './support/chromium.ts';
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
    page = await (await browser.newContext({ viewport: { width: 1360, height: 860 } })).newPage();
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
    await page.getByLabel('Dataset file').focus();
    await page.keyboard.press('Control+z');
    await page.getByText('No datasets yet').waitFor();
    await page.getByRole('heading', { level: 1 }).focus();
    await page.keyboard.press('Control+z');
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
