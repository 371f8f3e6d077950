import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWritable } from '../../../src-main/store/database.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import type { WritableDatabase } from '../../../src-main/store/database.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { sampleEvaluation, sampleItem, sampleKeys } from '../../support/sampleEvaluation.ts';
import { insertScoredRuns } from '../../support/evaluation/scoredRuns.ts';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath } from '../support/chromium.ts';
import { openStudio, type OpenedStudio } from '../support/openedStudio.ts';
import { takePicture } from '../support/pictures.ts';
import type { StudioPage } from '../support/studioPage.ts';

const beyondEdge = `document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll('main *')]
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.scroll-x'))
    .map((e) => e.tagName + ' ' + e.className + ' ' + e.textContent.trim().slice(0, 40)).slice(0, 8)`;

/** Scores of six adapters from elsewhere on 1,000 items, with answers as long as those to GSM8K. */
function insertManyItems(database: WritableDatabase): void {
  const words = 'each apple costs three more than half of what she had left so the answer is'.split(' ');
  const random = createRandom(3);
  const sentence = (length: number) =>
    Array.from({ length }, () => words[random.integer(words.length)]!).join(' ');
  for (let i = 0; i < 6; i++)
    insertEvaluation(
      database,
      sampleEvaluation({ id: `many-${i}`, subject: `/adapters/${i}`, benchmark: 'contains', n: 1000 }),
      sampleKeys(`many ${i}`),
      Array.from({ length: 1000 }, (_, index) =>
        sampleItem(index, {
          correct: random.next() < 0.6,
          question: `${sentence(45)} ${index}`,
          target: String(index),
          output: sentence(110),
        }),
      ),
    );
}

/** Milliseconds from a key in the search field until the page says how many items are left. */
const filterTime = (text: string) => `(async () => {
  const field = [...document.querySelectorAll('input')].find((e) => e.closest('label, div').textContent.includes('Search'));
  const status = [...document.querySelectorAll('[role=status]')].find((e) => / of 1,000 items/.test(e.textContent));
  const changed = new Promise((resolve) => new MutationObserver(resolve).observe(status, { subtree: true, characterData: true, childList: true }));
  const begin = performance.now();
  field.value = ${JSON.stringify(text)};
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await changed;
  return performance.now() - begin;
})()`;

/** Share of a bitmap's points that are not as its first one: an empty picture has none. */
function drawnShare(page: Page, png: Buffer): Promise<number> {
  return page.evaluate<number>(`(async () => {
    const image = new Image();
    image.src = 'data:image/png;base64,${png.toString('base64')}';
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const points = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    return points.filter((point) => point !== points[0]).length / points.length;
  })()`);
}

describe.skipIf(!chromiumPath)(`many scores side by side in a browser${chromiumNote}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];
  let browser: Browser;

  beforeAll(async () => {
    const home = mkdtempSync(join(tmpdir(), 'id-lora-e2e-'));
    const database = openWritable(join(home, 'studio.db'));
    insertScoredRuns(database);
    insertManyItems(database);
    database.writable.close();
    opened = await openStudio({ home, acceptDownloads: true });
    ({ page, studio, errors, browser } = opened);
  });

  afterAll(() => opened?.close());

  const tab = (name: string) =>
    page.getByRole('navigation', { name: 'Evaluate' }).getByRole('link', { name, exact: true }).click();
  const names = () => page.getByRole('list', { name: 'Compared scores' }).getByRole('listitem');

  it('leads from a column of the matrix to all its subjects, the verdict first', async () => {
    await studio.goTo('Evaluate');
    await tab('Benchmarks');
    await page.getByRole('link', { name: 'compare 7' }).last().click();
    await page.waitForURL(/\/evaluate\/compare\?e=/);
    const verdict = page.getByRole('status', { name: 'Verdict' });
    // Settings with two seeds stand together: of seven scores there are five subjects.
    await expect.poll(() => verdict.getByTestId('verdict').textContent()).toMatch(/idlora-large|idlora/);
    const table = verdict.getByRole('group', { name: 'Subjects by their scores' });
    await expect.poll(() => table.getByRole('row').count()).toBe(1 + 5);
    await expect.poll(() => table.textContent()).toContain('0, 1');
    await page.getByText('The 7 single runs, each for itself').click();
    const singles = page.getByRole('region', { name: 'Single runs', exact: true });
    await expect.poll(() => singles.getByRole('row').count()).toBe(1 + 7);
    await expect.poll(() => names().count()).toBe(7);
  });

  it('draws scores over parameters, the base model across, and says it in words', async () => {
    const chart = page.getByRole('img', { name: /over trainable parameters/ });
    await expect.poll(() => chart.getAttribute('data-points')).toBe('4');
    const label = await chart.getAttribute('aria-label');
    expect(label).toMatch(/idlora [\d.]+ \([\d.]+ to [\d.]+\) with 24,576/);
    await page.getByText('Across: tiny (base), which trained nothing.').waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save the points as CSV' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('score-parameters.csv');
  });

  it('shows curves, what differs, and each pair with its test; counts lead to their items', async () => {
    await page.getByRole('img', { name: /^Training loss of 6 runs/ }).waitFor();
    await page.getByRole('region', { name: 'Results and differences' }).waitFor();
    const singles = page.getByRole('region', { name: 'Pairs of single runs', exact: true }).first();
    await expect.poll(() => singles.getByRole('row').count()).toBe(1 + 21);
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'compare-many');
    for (const width of [720, 360]) {
      await page.setViewportSize({ width, height: 900 });
      // Whatever stands beyond the right edge of the window, by what it says.
      await expect.poll(() => page.evaluate<string[]>(beyondEdge)).toEqual([]);
      await expect
        .poll(() => page.evaluate<number>('document.documentElement.scrollWidth - innerWidth'))
        .toBe(0);
      await takePicture(page, `compare-many-${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    const row = singles.getByRole('row', { name: /^lora-seed-0 against idlora-seed-0/ });
    // Right with the second of the pair alone.
    const only = row.getByRole('cell').nth(7).getByRole('link');
    const count = await only.textContent();
    await only.click();
    await page.waitForURL(/\/evaluate\/items\?e=.*show=only/);
    await page.getByText(`${count} of 200 items`).waitFor();
    await page.getByRole('link', { name: 'Intervals, parameters, curves and all pairs' }).click();
    await expect.poll(() => names().count()).toBe(2);
    await page
      .getByTestId('verdict')
      .getByText(/McNemar/)
      .waitFor();
  });

  it('sets losses item against item, and right and wrong as counts', async () => {
    await page.goto(
      new URL('/evaluate/compare?e=perplexity-lora-seed-0,perplexity-idlora-seed-0', opened.server.url).href,
    );
    const panel = page.getByRole('region', { name: 'Item against item' });
    await panel.getByText('idlora-seed-0 on 60, and they are alike on 0.').waitFor();
    await expect.poll(() => panel.getByRole('img').getAttribute('data-points')).toBe('60');
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'compare-losses');
    await page.goBack();
    await page
      .getByTestId('verdict')
      .getByText(/McNemar/)
      .waitFor();
    await expect.poll(() => panel.count()).toBe(0);
  });

  it('shows within 100 ms of a key which of 1,000 items of six subjects fit', async () => {
    const six = Array.from({ length: 6 }, (_, i) => `many-${i}`).join(',');
    await page.goto(new URL(`/evaluate/items?e=${six}`, opened.server.url).href);
    await page.getByText('1,000 of 1,000 items').waitFor();
    const times = [];
    for (const text of [
      'apples',
      '/apple\\w* costs/i',
      'three',
      'nothing fits',
      '/half of \\w+/i',
      'answer 7',
    ])
      times.push(await page.evaluate<number>(filterTime(text)));
    // The middle of them: a first key, or what else the machine does, may take longer.
    expect(times.sort((a, b) => a - b)[2]).toBeLessThan(100);
    await expect.poll(() => page.getByText(/^\d+ of 1,000 items/).textContent()).toMatch(/^\d+ of/);
    await page.goBack();
  });

  it('saves a report in every form, as a browser saves files', async () => {
    const panel = page.getByRole('region', { name: 'Report', exact: true });
    const save = async (form: string) => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        panel.getByRole('button', { name: `Save the report as ${form}:` }).click(),
      ]);
      await expect.poll(() => panel.getByRole('button').first().isEnabled()).toBe(true);
      return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
    };
    const html = await save('HTML');
    expect(html.name).toBe('scores-default.html');
    expect(html.bytes.toString()).toContain('<h2>tiny');
    expect((await save('Markdown')).bytes.toString()).toMatch(/^# Scores of default/);
    const csv = parse((await save('CSV')).bytes, { columns: true }) as Record<string, string>[];
    // The two that are compared, and the base model beside them, on four benchmarks.
    expect(csv.filter(({ table }) => table === 'score')).toHaveLength(12);
    const png = await save('PNG');
    expect(png.name).toBe('scores-default.png');
    expect(png.bytes.subarray(1, 4).toString()).toBe('PNG');
    expect(await drawnShare(page, png.bytes)).toBeGreaterThan(0.005);
    await panel.getByLabel('Marks compare with').selectOption({ label: 'lora-seed-0' });
    expect((await save('Markdown')).bytes.toString()).toContain('worse than lora-seed-0');
    // What was saved is looked at as a reader of it does, without the studio.
    const alone = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const errorsAlone: string[] = [];
    alone.on('console', (message) => void errorsAlone.push(message.text()));
    await alone.setContent(html.bytes.toString());
    await alone.getByRole('heading', { level: 1, name: 'Scores of default' }).waitFor();
    expect(await seriousProblems(alone)).toEqual([]);
    await takePicture(alone, 'report');
    expect(errorsAlone).toEqual([]);
    await alone.close();
  });

  it('takes scores away and sets others beside, in the address', async () => {
    await page.getByLabel('Set beside them').selectOption({ label: 'dora-seed-0' });
    await expect.poll(() => names().count()).toBe(3);
    expect(new URL(page.url()).searchParams.get('e')!.split(',')).toHaveLength(3);
    await page.reload();
    await expect.poll(() => names().count()).toBe(3);
    await page.getByRole('button', { name: 'Take away dora-seed-0' }).click();
    await expect.poll(() => names().count()).toBe(2);
    await page.getByRole('link', { name: 'Other runs or settings' }).click();
    await page.getByRole('heading', { name: 'Compare runs on the same items' }).waitFor();
    const chosen = page.getByRole('list', { name: 'Runs to compare' }).getByRole('listitem');
    await page.getByLabel('Add a run').selectOption({ label: 'dora-seed-0' });
    await expect.poll(() => chosen.filter({ hasText: 'dora-seed-0' }).count()).toBe(1);
    await page.emulateMedia({ colorScheme: 'dark' });
    // Colors change in a moment.
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'compare-form-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    expect(errors).toEqual([]);
  });
});
