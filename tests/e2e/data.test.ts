import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../src-main/contract/entities.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

const lines = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n');
const question = (i: number) => ({
  frage: `Was ist ${i} + ${i}?`,
  antwort: `Es ist ${2 * i}.`,
  quelle: 'selbst',
});

describe.skipIf(!chromiumPath)(`data in a browser${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  const errors: string[] = [];
  const folder = () => join(server.home, 'files');
  const datasets = () => studio.call<Dataset[]>('datasets.list', {});
  const named = async (name: string) => (await datasets()).find((dataset) => dataset.name === name)!;

  beforeAll(async () => {
    server = await startStudio();
    mkdirSync(join(folder(), 'sums'), { recursive: true });
    browser = await launchChromium();
    const context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
    page = await context.newPage();
    page.on('pageerror', (error) => errors.push(error.message));
    studio = new StudioPage(page);
    await page.goto(server.url);
    await studio.goTo('Data');
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  /** The page at all widths, light and dark, with what axe finds. */
  async function look(name: string): Promise<void> {
    const problems: string[] = [];
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      for (const problem of await seriousProblems(page)) problems.push(`${theme} ${problem}`);
      await takePicture(page, `${name}-${theme}`);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    for (const width of [390, 1024, 1280]) {
      await page.setViewportSize({ width, height: 860 });
      await takePicture(page, `${name}-${width}`);
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      if (overflow > 0) problems.push(`${overflow} px wider than ${width} px`);
    }
    await page.setViewportSize({ width: 1360, height: 860 });
    expect(problems).toEqual([]);
  }

  it('shows what files hold before they are imported: parts, format, problem rows', async () => {
    const train = [0, 1, 2, 3].map((i) => ({
      instruction: `Say ${i}`,
      input: '',
      output: i === 2 ? '' : `${i}`,
    }));
    writeFileSync(join(folder(), 'sums', 'train.jsonl'), lines(train) + '\nno JSON\n');
    writeFileSync(join(folder(), 'sums', 'test.jsonl'), lines(train.slice(0, 2)));
    const paths = page.getByLabel('Files or folders');
    await paths.fill(join(folder(), 'nothing'));
    await page.getByText(/There is no file or folder/).waitFor();
    await paths.fill(`"${join(folder(), 'sums')}"`);
    await page.getByText('1 train, 1 test').waitFor();
    await page
      .getByText('the fields are those of Alpaca')
      .or(page.getByText('alpaca', { exact: true }))
      .first()
      .waitFor();
    await page
      .getByText(/has an empty "output"/)
      .first()
      .waitFor();
    await page.getByText('Each file, and why').click();
    await page.getByText('its name says "test"').waitFor();
    await look('data-import');
    await page.getByLabel('Import nothing if one row cannot be used').check();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('alert').filter({ hasText: 'The dataset was not added.' }).waitFor();
    await page.getByLabel('Import nothing if one row cannot be used').uncheck();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'sums' }).waitFor();
    expect(await named('sums')).toMatchObject({ rows: 5, unused: { rows: 2 } });
  });

  it('asks which field is what where nothing says so, in the heads of the columns', async () => {
    await page.getByRole('link', { name: 'All datasets' }).click();
    const paths = page.getByLabel('Files or folders');
    await expect.poll(() => paths.inputValue()).toBe('');
    writeFileSync(join(folder(), 'fragen.jsonl'), lines([1, 2, 3].map(question)));
    await paths.fill(join(folder(), 'fragen.jsonl'));
    await page.getByText('Not recognized').waitFor();
    const add = page.getByRole('button', { name: 'Add dataset' });
    expect(await add.isDisabled()).toBe(true);
    await page.getByLabel('What frage is').selectOption({ label: 'prompt' });
    await page.getByLabel('What antwort is').selectOption({ label: 'answer' });
    const first = page.getByRole('region', { name: 'Fields and what the rows say' }).getByRole('row').nth(1);
    await first.getByText('assistant').waitFor();
    await page.getByText('Not used: quelle.').waitFor();
    await look('data-mapping');
    await add.click();
    await page.getByRole('heading', { name: 'fragen' }).waitFor();
    expect(await named('fragen')).toMatchObject({
      rows: 3,
      isMappedByHand: true,
      mappings: [{ kind: 'prompt', prompt: 'frage', answer: 'antwort' }],
    });
  });

  it('takes several files of this computer as one dataset, with its parts', async () => {
    await page.getByRole('link', { name: 'All datasets' }).click();
    const file = (name: string, rows: readonly unknown[]) => ({
      name,
      mimeType: 'application/json',
      buffer: Buffer.from(lines(rows)),
    });
    const pair = (i: number) => ({ prompt: `p${i}`, completion: `c${i}` });
    await page
      .getByLabel('Files of this computer')
      .setInputFiles([file('train.jsonl', [pair(1), pair(2)]), file('validation.jsonl', [pair(3)])]);
    await page.getByText('From this computer: train.jsonl, validation.jsonl').waitFor();
    await page.getByText('1 train, 1 validation').waitFor();
    await page.getByRole('textbox', { name: 'Name' }).fill('pairs');
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'pairs' }).waitFor();
    expect(await named('pairs')).toMatchObject({
      rows: 3,
      stretches: [{ split: 'train' }, { split: 'validation' }],
      sourcePath: 'upload/train.jsonl, upload/validation.jsonl',
    });
  });

  it('meets no error on the way', () => expect(errors).toEqual([]));
});
