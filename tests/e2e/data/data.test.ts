import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src-main/contract/entities.ts';
import { fixtures } from '../../support/paths.ts';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from '../support/chromium.ts';
import { takePicture } from '../support/pictures.ts';
import { StudioPage } from '../support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from '../support/studioServer.ts';

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
    page = await openPage(browser, {
      viewport: { width: 1360, height: 860 },
      reducedMotion: 'reduce',
    });
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
      // Colors that are on their way would be judged.
      await expect
        .poll(() =>
          page.evaluate(
            `document.documentElement.dataset.theme === '${theme}' && document.getAnimations().length === 0`,
          ),
        )
        .toBe(true);
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
    await expect.poll(() => add.isDisabled()).toBe(true);
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

  it('lists what was set aside, with where it stands, and changes how the fields are read', async () => {
    await page.goto(new URL(`/data/${(await named('sums')).id}`, server.url).href);
    await page.getByRole('link', { name: 'Set aside 2' }).click();
    const aside = page.getByRole('grid', { name: /set aside/ });
    await aside.getByText('row 5').waitFor();
    await expect.poll(() => aside.getByRole('row').count()).toBe(2);
    await look('data-aside');
    await page.getByRole('link', { name: 'Fields' }).click();
    await page.getByLabel('What output is').selectOption({ label: 'not used' });
    await page.getByLabel('What input is').selectOption({ label: 'answer' });
    await page
      .getByText(/Set aside: it has an empty "input"/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: /^Read all 7 rows like this/ }).click();
    await page.getByRole('alert').filter({ hasText: 'no row of the dataset' }).waitFor();
    await page.getByLabel('What input is').selectOption({ label: 'system text' });
    await page.getByLabel('What output is').selectOption({ label: 'answer' });
    await page.getByRole('button', { name: /^Read all 7 rows like this/ }).click();
    await page.getByText('are read as you said').waitFor();
    expect((await named('sums')).mappings).toEqual([
      { kind: 'prompt', prompt: 'instruction', answer: 'output', system: 'input' },
    ]);
  });

  it('edits, excludes and tags a row, finds rows, and takes changes back', async () => {
    const { id } = await named('fragen');
    await page.goto(new URL(`/data/${id}`, server.url).href);
    const list = page.getByRole('grid', { name: 'Rows of fragen' });
    await list.getByRole('row').nth(1).click();
    await page.getByRole('heading', { name: 'Row 2' }).waitFor();
    await page.getByLabel('antwort').fill('Vier ist es.');
    await page.getByRole('button', { name: 'Save the changes' }).click();
    await list.getByText('Vier ist es.').waitFor();
    await page.getByLabel('Tags').fill('gut, kurz');
    await page.getByRole('button', { name: 'Keep the tags' }).click();
    await list.getByText('edited, gut, kurz').waitFor();
    await look('data-row');
    await page.getByRole('button', { name: 'Exclude it' }).click();
    await page.getByRole('button', { name: 'Take it in again' }).waitFor();
    expect(await named('fragen')).toMatchObject({ rows: 2, edits: { edited: 1, excluded: 1, tagged: 1 } });
    await page.getByRole('button', { name: 'Undo the last edit' }).click();
    await page.getByRole('button', { name: 'Exclude it' }).waitFor();
    expect(await named('fragen')).toMatchObject({ rows: 3 });
    // A reload keeps the row that is looked at.
    await page.reload();
    await page.getByRole('heading', { name: 'Row 2' }).waitFor();
    await page.getByRole('button', { name: 'As the file has it' }).click();
    await page.getByRole('button', { name: 'As the file has it' }).waitFor({ state: 'detached' });
    await page.getByLabel('Search in all fields').fill('ES IST 6');
    await page.getByText('1 row holds “ES IST 6”.').waitFor();
    await expect.poll(() => list.getByRole('row').count()).toBe(1);
  });

  it('says that a part is another one', async () => {
    await page.goto(new URL(`/data/${(await named('pairs')).id}/about`, server.url).href);
    await page.getByLabel('1 rows are').selectOption('train');
    await expect
      .poll(async () => (await named('pairs')).stretches.every(({ split }) => split === 'train'))
      .toBe(true);
    await look('data-about');
  });

  it('gives up an import that is cancelled, and leaves nothing of it', async () => {
    const path = join(folder(), 'long.jsonl');
    const row = JSON.stringify({ prompt: 'p'.repeat(40), completion: 'c'.repeat(40) });
    writeFileSync(path, `${row}\n`.repeat(600_000));
    const before = [...readdirSync(join(server.home, 'datasets'))].sort();
    await studio.goTo('Data');
    await page.getByLabel('Files or folders').fill(path);
    await page.getByText(/of the [\d,]+ rows that were looked at/).waitFor();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByText(/^Importing long\.jsonl: .* of [67][\d.]+ MB/).waitFor();
    expect(readdirSync(join(server.home, 'datasets')).some((name) => name.startsWith('.import.'))).toBe(true);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Cancel' }).waitFor({ state: 'detached' });
    // What was asked for stands in the form as it was, and nothing is called a failure.
    await expect.poll(() => page.getByRole('button', { name: 'Add dataset' }).isEnabled()).toBe(true);
    expect(await page.getByRole('alert').count()).toBe(0);
    await expect.poll(() => [...readdirSync(join(server.home, 'datasets'))].sort()).toEqual(before);
    expect(await named('long')).toBeUndefined();
    await page.getByRole('button', { name: 'Clear' }).click();
    rmSync(path);
  });

  it('scrolls through two hundred thousand rows by leaps, steps and keys', async () => {
    const path = join(folder(), 'many.jsonl');
    const total = 200_000;
    writeFileSync(
      path,
      lines(Array.from({ length: total }, (_, i) => ({ prompt: `p${i}`, completion: `c${i}` }))),
    );
    await studio.call('datasets.add', { path });
    await page.goto(new URL(`/data/${(await named('many')).id}`, server.url).href);
    const list = page.getByRole('grid', { name: 'Rows of many' });
    await list.getByText('p3', { exact: true }).waitFor();
    await expect.poll(() => list.getByRole('row').count()).toBeLessThan(40);
    await list.getByRole('row').first().focus();
    await page.keyboard.press('End');
    await list.getByText(`p${total - 1}`, { exact: true }).waitFor();
    await page.keyboard.press('ArrowUp');
    await expect.poll(() => page.evaluate(`document.activeElement.dataset.row`)).toBe(String(total - 2));
    await page.getByLabel('Go to row').fill('123,457');
    await page.keyboard.press('Enter');
    await list.getByText('p123456', { exact: true }).waitFor();
    // A leap of the scroll bar, then steps of the wheel: each moves by as many pixels as it says.
    await list.evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
    const first = () =>
      list.evaluate((element) => {
        const top = element.getBoundingClientRect().top;
        const row = [...element.querySelectorAll('[data-row]')].find(
          (one) => one.getBoundingClientRect().bottom > top,
        )!;
        return 52 * Number(row.getAttribute('data-row')) - (row.getBoundingClientRect().top - top);
      });
    await page.waitForTimeout(500);
    const middle = await first();
    expect(middle / 52).toBeGreaterThan(0.45 * total);
    expect(middle / 52).toBeLessThan(0.55 * total);
    const box = (await list.boundingBox())!;
    await page.mouse.move(box.x + 100, box.y + 100);
    for (let i = 0; i < 10; i++) await page.mouse.wheel(0, 100);
    await page.waitForTimeout(600);
    expect(Math.abs((await first()) - middle - 1000)).toBeLessThan(3);
    await list.getByText(`p${Math.ceil((middle + 1000) / 52)}`, { exact: true }).waitFor();
  });

  it('shows rows as the model sees them, token by token, through a template that is chosen or written', async () => {
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await studio.call('models.add', { folder: join(fixtures, 'tiny-qwen2'), name: 'other' });
    await page.goto(new URL(`/data/${(await named('fragen')).id}`, server.url).href);
    await page.getByRole('link', { name: 'What the model sees' }).click();
    await page.getByLabel('Model', { exact: true }).selectOption({ label: 'tiny' });
    const rows = page.getByRole('list', { name: 'Rows as the model sees them' });
    await page.getByRole('combobox', { name: /^Template/ }).selectOption({ label: 'question and answer' });
    const first = rows.getByRole('listitem').first();
    await first.getByText(/Answer:|Question/).waitFor();
    const trained = () => first.locator('mark').allTextContents();
    expect((await trained()).join('')).toContain('Es ist 2.');
    expect((await trained()).join('')).not.toContain('Was ist');
    await page.getByLabel('Trained turns').selectOption({ label: 'everything' });
    await expect.poll(async () => (await trained()).join('')).toContain('Was ist 1');
    await page.getByLabel('Trained turns').selectOption({ label: 'every answer' });
    await page.getByLabel('System text').fill('Rechne!');
    await first.getByText(/Rechne!/).waitFor();
    await page.getByLabel('Beside it').selectOption({ label: 'other' });
    await first.getByRole('heading', { name: 'Row 1 for other' }).waitFor();
    await look('data-seen');
    // Shorter than the row: its end is cut away, and then its begin.
    await page.getByLabel('Beside it').selectOption({ label: 'no other model' });
    await page.getByLabel('Context length').fill('20');
    await first.locator('del').filter({ hasText: 'Es' }).waitFor();
    await page.getByLabel('Long rows').selectOption({ label: 'their begin is cut' });
    await first.locator('del').filter({ hasText: 'Rechne!' }).waitFor();
    await page.getByLabel('Context length').fill('');
    await page.getByRole('combobox', { name: /^Template/ }).selectOption({ label: 'one’s own (Jinja)' });
    await page.getByLabel('Template text').fill('{% for message in messages %}');
    await page
      .locator('.problem')
      .filter({ hasText: /template|endfor|end/i })
      .first()
      .waitFor();
    await page
      .getByLabel('Template text')
      .fill("{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} {% endfor %}");
    await page.getByRole('region', { name: 'A short conversation through the template' }).waitFor();
    await first.getByText('[user]').waitFor();
    await look('data-own-template');
    await page.reload();
    await first.getByText('[user]').waitFor();
    await page.getByRole('button', { name: 'Train with these' }).click();
    await page.getByRole('heading', { level: 1, name: 'Train' }).waitFor();
    expect(JSON.parse(await page.evaluate<string>(`localStorage.getItem('studio.train')`))).toMatchObject({
      datasetId: (await named('fragen')).id,
      template: 'custom',
      truncation: 'left',
      system: 'Rechne!',
    });
  });

  it('leads from statistics to the rows, and moves the context on the lengths', async () => {
    const path = join(folder(), 'odd.jsonl');
    const row = (i: number) => ({
      prompt: `Question ${i}: ${'word '.repeat(i)}`,
      completion: `Answer number ${i} here.`,
    });
    const refusal = { prompt: 'Help me.', completion: "I'm sorry, but I cannot help with that request." };
    writeFileSync(path, lines([...[1, 2, 3, 4, 5, 6, 7, 8].map(row), row(3), refusal]));
    await studio.call('datasets.add', { path });
    await page.goto(new URL(`/data/${(await named('odd')).id}/statistics`, server.url).href);
    await page.getByRole('combobox', { name: /^Template/ }).selectOption({ label: 'plain roles' });
    const share = page.getByText(/^At .* tokens .* of 10 rows are/);
    await share.waitFor();
    await look('data-statistics');
    await page.getByLabel('Context length').fill('10');
    await expect.poll(() => share.textContent()).toMatch(/At 10 tokens (?!0 %)/);
    // A drag on the chart moves the context.
    const box = (await page
      .getByRole('img', { name: /Rows of odd by their number of tokens/ })
      .boundingBox())!;
    await page.mouse.move(box.x + box.width / 3, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 40, box.y + 100, { steps: 4 });
    await page.mouse.up();
    await expect
      .poll(async () => Number(await page.getByLabel('Context length').inputValue()))
      .toBeGreaterThan(15);
    await page.getByRole('button', { name: 'Show them: Refusals' }).click();
    const list = page.getByRole('grid', { name: 'Rows of odd' });
    await list.getByText(/cannot help/).waitFor();
    await expect.poll(() => list.getByRole('row').count()).toBe(1);
    // The address leads to them, with the row that is looked at.
    await list.getByRole('row').click();
    await page.getByRole('heading', { name: /^Row \d+$/ }).waitFor();
    await page.reload();
    await page.getByText(/^Refusals: 1 rows$/).waitFor();
    await page.getByRole('heading', { name: /^Row \d+$/ }).waitFor();
    await expect.poll(() => list.getByRole('row').count()).toBe(1);
    await page.goBack();
    await page.getByRole('button', { name: 'Show them: Refusals' }).waitFor();
    await page.goForward();
    await page.getByRole('button', { name: 'Exclude these 1 rows' }).click();
    await list.getByText('excluded').waitFor();
    await expect.poll(() => list.getByText(/cannot help/).count()).toBe(1);
    expect(await named('odd')).toMatchObject({ rows: 9, edits: { excluded: 1 } });
    await page.getByRole('button', { name: 'Show all rows' }).click();
    await page.getByText('10 rows', { exact: true }).waitFor();
  });

  it('meets no error on the way', () => expect(errors).toEqual([]));
});
