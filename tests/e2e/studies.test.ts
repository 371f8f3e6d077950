import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { patienceMs } from '../support/patience.ts';

describe.skipIf(!chromiumPath)(`studies in a browser${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  const errors: string[] = [];
  const open = (path: string) => page.goto(new URL(path, server.url).href);

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 900 } });
    studio = new StudioPage(page);
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(server.url);
    await page.getByRole('heading', { level: 1 }).waitFor();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  it('says what is missing first', async () => {
    await open('/plan/studies');
    await page.getByRole('heading', { name: 'No studies yet' }).waitFor();
    await page.getByText('Choose a model. Choose a dataset').waitFor();
    await expect.poll(() => page.getByRole('button', { name: /in the queue/ }).isDisabled()).toBe(true);
    await studio.addModel(join(fixtures, 'tiny-llama'));
    await page.getByRole('heading', { name: 'tiny-llama' }).waitFor();
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 200, 1);
    await studio.addDataset(file);
    await page.getByRole('heading', { name: 'sums' }).waitFor();
    await studio.configure({
      method: 'LoRA',
      name: '',
      fields: { Rank: '2', 'Max steps': '4', 'Context length': '64' },
    });
  });

  it('plans methods at one budget, says at the field what is wrong, and why a method cannot take part', async () => {
    await open('/plan/studies');
    await page.getByLabel('A number alone is in').selectOption({ label: 'million parameters' });
    const budget = page.getByRole('combobox', { name: /^Budget/ });
    await budget.fill('0.006');
    await page.getByLabel('Seeds').fill('0, x');
    await page.getByText('“x” is no whole number').waitFor();
    await page.getByLabel('Seeds').fill('0, 1');
    await page.getByRole('button', { name: 'Put 4 runs in the queue' }).waitFor();
    await page.getByRole('checkbox', { name: 'Full' }).check();
    await page.getByText(/cannot take part: The nearest possible is [\d,]+ trainable parameters/).waitFor();
    await page.getByText(/4 runs, 2 settings × 2 seeds:\s+about .* in all/).waitFor();
    // The form is there again after a reload.
    await page.reload();
    await page.getByRole('button', { name: 'Put 4 runs in the queue' }).waitFor();
    await page.getByRole('checkbox', { name: 'Full' }).uncheck();
    await budget.fill('0.000001');
    await page.getByText(/None of the settings can be trained.* LoRA: The nearest possible is/).waitFor();
    await budget.fill('0.006');
    await page.getByRole('button', { name: 'Put 4 runs in the queue' }).waitFor();
  });

  it.each([
    [360, 'light'],
    [1360, 'dark'],
  ] as const)('fits %d px and passes axe, %s', async (width, colorScheme) => {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await open('/plan/studies');
    await page.getByRole('button', { name: 'Put 4 runs in the queue' }).waitFor();
    const overflow = () =>
      page.locator('html').evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    await expect.poll(overflow).toBe(0);
    await expect.poll(() => page.locator('button.primary, a.primary').count()).toBe(1);
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, `plan-studies-${width}-${colorScheme}`);
  });

  it('plans a table of the paper, says what is not the paper’s, and what the model rules out', async () => {
    await page.setViewportSize({ width: 1360, height: 900 });
    await page.getByRole('button', { name: /Plan it: Table 7/ }).click();
    await page.getByText('The paper trains LLaMA-3-8B; this is tiny-llama').waitFor();
    await page
      .getByText(/cannot take part: ID-LoRA needs clusters x rank/)
      .first()
      .waitFor();
    await page.getByLabel('Study', { exact: true }).selectOption('budget');
  });

  it('puts all runs in the queue, trains them to the end and compares them seed by seed', async () => {
    await page.getByLabel('Study name').fill('pair');
    await page.getByRole('button', { name: 'Put 4 runs in the queue' }).click();
    await page.getByRole('heading', { level: 1, name: 'pair' }).waitFor();
    // Not by "4 of 4": each run has four steps, too, and says so.
    await expect.poll(() => page.getByRole('row', { name: /done/ }).count(), { timeout: patienceMs }).toBe(4);
    await page.getByRole('rowheader', { name: /LoRA r\d+ less ID-LoRA r\d+/ }).waitFor();
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'study-1360-dark');
    await page.setViewportSize({ width: 360, height: 900 });
    await page.emulateMedia({ colorScheme: 'light' });
    const overflow = () =>
      page.locator('html').evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    await expect.poll(overflow).toBe(0);
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'study-360-light');
    await page.setViewportSize({ width: 1360, height: 900 });
  });

  it('leads from a run to its study, and is deleted and brought back', async () => {
    await page.getByRole('rowheader').getByRole('link').first().click();
    await page.getByText('of the study').waitFor();
    await page.getByRole('link', { name: 'pair', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'pair' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'No studies yet' }).waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'pair' }).waitFor();
    expect(errors).toEqual([]);
  });
});
