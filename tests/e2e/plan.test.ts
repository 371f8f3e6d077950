import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

describe.skipIf(!chromiumPath)(`planning in a browser${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];
  const open = (path: string) => page.goto(new URL(path, server.url).href);

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 900 } });
    page.setDefaultTimeout(60_000);
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

  it.each([
    ['/plan', /methods at rank/],
    ['/plan/solver', /Closest settings/],
    ['/plan/paper', /59 of 60 published counts/],
    ['/plan/sample-size', /To see a difference of 2 points/],
  ] as const)('%s has an address, fits a phone and passes axe, light and dark', async (path, heading) => {
    for (const [width, colorScheme] of [
      [360, 'light'],
      [1360, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await open(path);
      await page.getByRole('heading', { name: heading }).waitFor();
      const overflow = await page
        .locator('html')
        .evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
      expect(overflow, `${width}`).toBe(0);
      await expect.poll(() => page.locator('button.primary, a.primary').count()).toBe(1);
      await expect.poll(() => seriousProblems(page)).toEqual([]);
      await takePicture(page, `${path.slice(1).replace('/', '-')}-${width}-${colorScheme}`);
    }
  });

  it.each([
    ['/plan', 'The methods side by side'],
    ['/plan/solver', 'Settings closest to the budget'],
    ['/plan/paper', 'Table 1, all columns'],
  ])(
    '%s cuts no number at 1024 px, shows that columns lie beyond, and scrolls by keyboard',
    async (path, label) => {
      await page.setViewportSize({ width: 1024, height: 900 });
      await open(path);
      const box = page.getByRole('group', { name: label });
      const edge = box.locator('xpath=..').getByTestId('more-columns');
      await edge.waitFor();
      /** Pixels of the number that is cut at the right edge which are not covered. */
      const uncovered = () =>
        box.evaluate((scroller) => {
          const end = scroller.getBoundingClientRect().right;
          const heads = [...scroller.querySelectorAll('thead .number')].map((head) =>
            head.getBoundingClientRect(),
          );
          const cut = heads.find(({ left, right }) => left < end - 1 && right > end + 1);
          const cover = scroller.parentElement!.querySelector('[data-testid="more-columns"]');
          return cut ? (cover?.getBoundingClientRect().left ?? end) - cut.left : 0;
        });
      for (let moves = 0; moves < 3; moves++) {
        await expect.poll(uncovered).toBeLessThan(2);
        await box.focus();
        await page.keyboard.press('ArrowRight');
        await expect.poll(() => box.evaluate(({ scrollLeft }) => scrollLeft)).toBeGreaterThan(0);
      }
      await box.evaluate((scroller) => scroller.scrollTo({ left: scroller.scrollWidth }));
      await edge.waitFor({ state: 'detached' });
    },
  );

  it('says how many items and seeds a difference needs, and at the field what cannot be', async () => {
    await open('/plan/sample-size');
    await page.getByText('2,010').waitFor();
    await page.getByRole('row', { name: /GSM8K test.*is not seen/ }).waitFor();
    await page.getByRole('row', { name: /MMLU.*is seen/ }).waitFor();
    const difference = page.getByRole('spinbutton', { name: /^Difference to be seen/ });
    await difference.fill('20');
    await page.getByText('cannot differ by more than 10 points').waitFor();
    await difference.fill('5');
    await page.getByText('To see a difference of 5 points').waitFor();
    await page.reload();
    await page.getByText('To see a difference of 5 points').waitFor();
    await page.getByLabel('Scored by').selectOption('loss');
    await page.getByText('To see a difference of 0.02 nats').waitFor();
    await page.getByLabel('Scored by').selectOption('accuracy');
    await difference.fill('2');
    await page.getByRole('button', { name: 'Plan a study with these seeds' }).click();
    await expect.poll(() => page.getByLabel('Seeds').inputValue()).toBe('0-4');
  });

  it('an address that Plan does not have is said to be none', async () => {
    await open('/plan/nosuch');
    await page.getByRole('heading', { level: 1, name: 'No such page' }).waitFor();
  });

  it('the rank is dragged in the chart and typed in the field', async () => {
    await page.setViewportSize({ width: 1360, height: 900 });
    await open('/plan');
    const rank = page.getByRole('spinbutton', { name: 'Rank', exact: true });
    await rank.fill('16');
    await page.getByRole('heading', { name: 'The methods at rank 16' }).waitFor();
    const chart = page.getByRole('img', { name: /against rank/ });
    await chart.scrollIntoViewIfNeeded();
    const box = (await chart.boundingBox())!;
    await page.mouse.move(box.x + 0.3 * box.width, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + 0.8 * box.width, box.y + 100, { steps: 4 });
    await page.mouse.up();
    await expect.poll(async () => Number(await rank.inputValue())).toBeGreaterThan(100);
    await rank.fill('2.5');
    await page.getByText('A whole number, at least 1.').waitFor();
    await expect.poll(() => page.getByRole('button', { name: /^Train with/ }).isDisabled()).toBe(true);
    await rank.fill('8');
  });

  it('a solved row goes into the form of Train, and back leads to the solver', async () => {
    await open('/plan/solver');
    await page.getByRole('combobox', { name: /^Budget/ }).fill('10');
    // LLaMA-3-8B: 2,621,440 a rank.
    const row = page.getByRole('row', { name: /LoRA/ }).filter({ hasText: '2,135,680' });
    await row.waitFor();
    await row.getByRole('button', { name: 'Use LoRA in Train' }).click();
    await page.waitForURL(/\/train$/);
    const rank = page.getByRole('spinbutton', { name: 'Rank', exact: true });
    await expect.poll(() => rank.inputValue()).toBe('3');
    await expect.poll(() => page.getByRole('radio', { name: /^LoRA\b/ }).isChecked()).toBe(true);
    await page.goBack();
    await page.getByRole('heading', { name: /Closest settings/ }).waitFor();
  });

  it('what is planned for a model that is not here opens Train with none, and says so', async () => {
    await new StudioPage(page).call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await open('/plan');
    await page.getByRole('combobox', { name: 'Model', exact: true }).selectOption('llama-3-8b');
    await page.getByRole('button', { name: /^Train with/ }).click();
    await page.getByText('These values were planned for llama-3-8b').waitFor();
    const model = page.getByRole('combobox', { name: 'Base model' });
    await page.reload();
    await expect.poll(() => model.locator('option:checked').textContent()).toBe('Choose a model…');
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true);
    await model.selectOption({ label: 'tiny' });
    await page.getByText('These values were planned for').waitFor({ state: 'hidden' });
  });

  it('asks for sizes that a config.json lacks', async () => {
    await open('/plan');
    await page.getByRole('combobox', { name: 'Model', exact: true }).selectOption('config');
    const config = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 100 };
    await page.getByRole('textbox', { name: 'config.json', exact: true }).fill(JSON.stringify(config));
    await page.getByRole('heading', { name: 'The sizes are not complete' }).waitFor();
    await page.getByLabel('intermediate_size').fill('128');
    await page.getByRole('heading', { name: 'The methods at rank 8' }).waitFor();
    expect(errors).toEqual([]);
  });
});
