import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { filledHome } from './support/filledHome.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { leastTime } from '../support/patience.ts';

const scores = 10_000;

describe.skipIf(!chromiumPath)(`the studio by keyboard alone${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    server = await startStudio({ home: filledHome({ runs: 40, evaluations: scores }) });
    browser = await launchChromium();
    page = await openPage(browser, {
      permissions: ['clipboard-read', 'clipboard-write'],
      viewport: { width: 1360, height: 860 },
    });
    page.setDefaultTimeout(60_000);
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(server.url);
    await page.getByRole('heading', { name: 'Recent runs' }).waitFor();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const focusedText = () =>
    page.evaluate<string>("(document.activeElement.textContent ?? '').trim().replace(/\\s+/g, ' ')");
  const heading = (name: string) => page.getByRole('heading', { level: 1, name }).waitFor();

  it('skips to the content with the first stop', async () => {
    await page.keyboard.press('Tab');
    await expect.poll(() => focusedText()).toBe('Skip to content');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.evaluate('document.activeElement.id')).toBe('content');
  });

  it('finds a run in the palette and opens it; focus is at the new page', async () => {
    await page.keyboard.press('Control+k');
    await page
      .locator('input:focus')
      .and(page.getByPlaceholder(/Go to a page/))
      .waitFor();
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await page.keyboard.type('sweep 37');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/train\/runs\/run37$/);
    await heading('sweep-37');
    await expect.poll(focusedText, { timeout: 5000 }).toBe('sweep-37');
  });

  it('goes to every page by g and its letter, and not while something is typed', async () => {
    const letters = { p: 'Plan', x: 'Export', s: 'Settings', m: 'Models', d: 'Data', e: 'Evaluate' };
    for (const [letter, name] of Object.entries(letters)) {
      await page.keyboard.press('g');
      await page.keyboard.press(letter);
      await heading(name);
    }
    await page.keyboard.press('/');
    await page.keyboard.type('gh');
    expect(new URL(page.url()).pathname).toBe('/evaluate');
    await page.keyboard.press('Control+a');
    await page.keyboard.press('Delete');
  });

  it('lists the keys of the page, those of its table too, and gives the focus back', async () => {
    await page.getByRole('button', { name: 'Copy', exact: true }).focus();
    await page.keyboard.press('?');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: 'Tables' }).waitFor();
    await expect.poll(() => dialog.textContent()).toContain('Open the row');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await expect.poll(focusedText, { timeout: 5000 }).toBe('Copy');
  });

  it('walks a table of 10,000 rows of which only a window stands in the page', async () => {
    const grid = page.getByRole('grid', { name: /Scores/ });
    const row = () =>
      page.evaluate<string>("document.activeElement.getAttribute('aria-rowindex') ?? 'no row'");
    await expect.poll(() => grid.getAttribute('aria-rowcount')).toBe(String(scores + 1));
    await grid.locator('tr[tabindex="0"]').focus();
    await expect.poll(() => row()).toBe('2');
    await page.keyboard.press('ArrowDown');
    await expect.poll(row).toBe('3');
    const took = await leastTime(2000, async (attempt) => {
      await page.keyboard.press(attempt % 2 === 0 ? 'End' : 'Home');
      await expect.poll(row).toBe(attempt % 2 === 0 ? String(scores + 1) : '2');
    });
    expect(took).toBeLessThan(2000);
    await page.keyboard.press('End');
    await expect.poll(row).toBe(String(scores + 1));
    await page.keyboard.press('ArrowUp');
    await expect.poll(row).toBe(String(scores));
    await expect.poll(() => grid.locator('tbody tr').count()).toBeLessThan(80);
    await page.keyboard.press('Enter');
    // Newest first: the row before the last one is evaluation 1, of run 1.
    await page.waitForURL(/\/train\/runs\/run1$/);
    await page.goBack();
    await heading('Evaluate');
  });

  it('sorts, hides columns, resizes and keeps all that over a reload', async () => {
    const head = page.getByRole('columnheader', { name: /^Items/ });
    await head.getByRole('button').focus();
    const before = (await head.boundingBox())!.width;
    for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Enter');
    await expect.poll(() => head.getAttribute('aria-sort')).toBe('descending');
    await page.getByRole('button', { name: 'Columns' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.type('Seed');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await page.getByRole('columnheader', { name: 'Seed' }).waitFor();
    await page.reload();
    await page.getByRole('columnheader', { name: 'Seed' }).waitFor();
    await expect.poll(() => head.getAttribute('aria-sort')).toBe('descending');
    expect((await head.boundingBox())!.width).toBeGreaterThan(before + 20);
  });

  it('copies what the filter leaves as Markdown and as CSV, and confirms it', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('sweep-39');
    await page.getByText(`${scores / 40} of 10,000`).waitFor();
    for (const [format, separator] of [
      ['CSV', ','],
      ['Markdown', '| --- '],
    ] as const) {
      await page.getByRole('button', { name: 'Copy', exact: true }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('menuitem', { name: `As ${format}` }).waitFor();
      // The first entry has the focus when a menu is opened by a key.
      if (format === 'Markdown') await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByText(`Copied ${scores / 40} rows as ${format}.`).waitFor();
      await page.getByRole('menu').waitFor({ state: 'detached' });
      await expect.poll(focusedText, { timeout: 5000 }).toBe('Copy');
      const lines = (await page.evaluate<string>('navigator.clipboard.readText()')).trim().split(/\r?\n/);
      expect(lines).toHaveLength(scores / 40 + (format === 'CSV' ? 1 : 2));
      expect(lines[1]).toContain(separator);
      expect(lines.at(-1)).toContain('sweep-39');
    }
  });

  it('shows what a number means when the focus is on it', async () => {
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { level: 1 }).focus();
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await heading('Plan');
    const number = page.locator('.defined').first();
    await number.focus();
    await page.getByText('Numbers that training changes.').waitFor();
    await expect.poll(() => number.getAttribute('aria-label')).toContain('8,030,261,248');
  });

  it('has met no error in the page', () => {
    expect(errors).toEqual([]);
  });
});
