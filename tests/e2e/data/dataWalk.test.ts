import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from '../support/chromium.ts';
import { canRunElectron, electronNote, startElectron } from '../support/electron.ts';
import { takePicture } from '../support/pictures.ts';
import { StudioPage } from '../support/studioPage.ts';
import { removeHome, startStudio } from '../support/studioServer.ts';

/** The studio's page in a browser or in its window, with the data folder that it works on. */
interface Opened {
  page: Page;
  close(): Promise<void>;
}

async function openInChromium(home: string): Promise<Opened> {
  const server = await startStudio({ home });
  const browser = await launchChromium();
  const page = await openPage(browser, { viewport: { width: 1280, height: 900 } });
  await page.goto(server.url);
  return {
    page,
    async close() {
      await browser.close();
      await server.stop();
    },
  };
}

async function openInElectron(home: string): Promise<Opened> {
  const electron = await startElectron(home);
  return {
    page: electron.page,
    close() {
      electron.kill();
      return Promise.resolve();
    },
  };
}

/** A model with a chat template of its own, as an instruct model has one. */
const chat_template =
  "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

const hosts = [
  { host: 'chromium', title: `Chromium${chromiumNote}`, canRun: chromiumPath !== null, open: openInChromium },
  { host: 'electron', title: `Electron${electronNote}`, canRun: canRunElectron, open: openInElectron },
];

/** From files to an adapter by clicks alone, the same in both: no call of the core goes past the page. */
describe.each(hosts)('from files to a trained mix in $title', ({ host, canRun, open }) => {
  const home = temporaryFolder();
  let opened: Opened;
  let page: Page;
  let studio: StudioPage;
  const file = (name: string, rows: readonly object[]) => {
    const path = join(home, 'files', `${name}.jsonl`);
    writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
    return path;
  };

  beforeAll(async () => {
    if (!canRun) return;
    mkdirSync(join(home, 'files'), { recursive: true });
    opened = await open(home);
    page = opened.page;
    studio = new StudioPage(page);
  });
  afterAll(async () => {
    await opened?.close();
    removeHome(home);
  });

  it.runIf(canRun)('imports a file that it knows, and one whose fields it is told', async () => {
    await studio.addModel(patchedFolder('tiny-llama', { 'tokenizer_config.json': { chat_template } }));
    await page.getByRole('heading', { name: 'tiny-llama' }).waitFor();
    const sums = Array.from({ length: 60 }, (_, i) => ({ question: `${i} + 1`, answer: `It is ${i + 1}.` }));
    await studio.goTo('Data');
    await page
      .getByLabel('Files or folders')
      .fill(file('sums', [...sums, { question: 'empty', answer: '' }]));
    await page.getByText('they are set aside and listed').waitFor();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'sums' }).waitFor();
    await page.getByRole('link', { name: 'Set aside 1' }).waitFor();

    const asked = Array.from({ length: 60 }, (_, i) => ({ frage: `Wie heißt ${i}?`, antwort: `Zahl ${i}.` }));
    await studio.goTo('Data');
    await page.getByLabel('Files or folders').fill(file('fragen', asked));
    await page.getByText('Not recognized').waitFor();
    await page.getByLabel('What frage is').selectOption({ label: 'prompt' });
    await page.getByLabel('What antwort is').selectOption({ label: 'answer' });
    const first = page.getByRole('region', { name: 'Fields and what the rows say' }).getByRole('row').nth(1);
    await first.getByText('assistant').waitFor();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'fragen' }).waitFor();
  });

  it.runIf(canRun)('shows the rows in the model’s own template, with what is trained', async () => {
    await page.getByRole('link', { name: 'What the model sees' }).click();
    const row = page.getByRole('list', { name: 'Rows as the model sees them' }).getByRole('listitem').first();
    const texts = async (what: string) => (await row.locator(what).allTextContents()).join('');
    await expect.poll(() => texts('mark'), { timeout: 20_000 }).toContain('Zahl 0.');
    // The end of the turn is learned with it, and the question is not.
    await expect.poll(() => texts('mark')).toContain('</s>');
    await expect.poll(() => texts('mark')).not.toContain('Wie');
    await expect.poll(() => row.textContent()).toContain('[user]');
    await takePicture(page, `walk-${host}-seen`);
  });

  it.runIf(canRun)('mixes both at the shares that are asked for', async () => {
    await page.getByRole('link', { name: 'Mix', exact: true }).click();
    const count = page.getByTestId('mix-count');
    for (const name of ['sums, 60 rows', 'fragen, 60 rows'])
      await page.getByLabel('Add a source').selectOption({ label: name });
    await page.getByRole('spinbutton', { name: /^share of sums/ }).fill('70');
    const cell = (source: string, column: number) =>
      count
        .getByRole('row')
        .filter({ has: page.getByRole('rowheader', { name: source, exact: true }) })
        .getByRole('cell')
        .nth(column)
        .textContent();
    await expect.poll(() => cell('sums', 0), { timeout: 20_000 }).toBe('70 %');
    await expect.poll(() => cell('fragen', 0)).toBe('30 %');
    await expect.poll(async () => Math.abs(parseFloat((await cell('sums', 1))!) - 70)).toBeLessThan(1);
    await page.getByRole('region', { name: 'Sample of the mix' }).getByRole('listitem').first().waitFor();
    await takePicture(page, `walk-${host}-mix`);
    await page.getByLabel('Name of the mix').fill('both');
    await page.getByRole('button', { name: 'Save mix' }).click();
    await page.getByText('Saved. Runs keep the mix').waitFor();
  });

  it.runIf(canRun)('trains on the mix in that template, and shows the loss of each source', async () => {
    await page.getByRole('button', { name: 'Train on it' }).click();
    await page.getByRole('heading', { level: 1, name: 'Train' }).waitFor();
    await studio.configure({
      method: 'LoRA',
      name: 'walked',
      fields: { Rank: '2', 'Max steps': '8', 'Context length': '64' },
    });
    await studio.start();
    await studio.waitForState('done');
    const losses = page.getByTestId('source-losses');
    for (const source of ['sums', 'fragen']) {
      const row = losses.getByRole('row').filter({ has: page.getByRole('rowheader', { name: source }) });
      await expect.poll(() => row.getByRole('cell').first().textContent()).toMatch(/^\d\.\d{3}$/);
    }
    await takePicture(page, `walk-${host}-run`);
  });
});
