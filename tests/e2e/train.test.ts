import { join } from 'node:path';
import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { comparedMethods, homeWithCurves } from './support/comparedRuns.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

describe.skipIf(!chromiumPath)(`the training form and the history of runs${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    server = await startStudio({ home: homeWithCurves() });
    browser = await launchChromium();
    page = await openPage(browser, {
      permissions: ['clipboard-read', 'clipboard-write'],
      viewport: { width: 1360, height: 860 },
    });
    page.on('pageerror', (error) => errors.push(error.message));
    const studio = new StudioPage(page);
    await page.goto(server.url);
    await studio.addModel(join(fixtures, 'tiny-llama'));
    await page.getByRole('heading', { name: 'tiny-llama' }).first().waitFor();
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 60, 1);
    await studio.addDataset(file);
    await page.getByRole('heading', { name: 'sums' }).first().waitFor();
    await page.goto(new URL('/train', server.url).href);
    await page.getByRole('heading', { level: 1, name: 'Train' }).waitFor();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const number = (label: string) => page.getByRole('spinbutton', { name: label, exact: true });
  const addressOf = () => new URL(page.url()).pathname + new URL(page.url()).search;
  const clipboard = () => page.evaluate<string>('navigator.clipboard.readText()');

  it('shows the options of the chosen method and optimizer only, by keyboard', async () => {
    await page.getByRole('radio', { name: /^LoRA\b/ }).check();
    await page.getByText('Advanced', { exact: false }).first().click();
    await expect.poll(() => number('Clusters').count()).toBe(0);
    await page.keyboard.press('Tab');
    await page.getByRole('radio', { name: /^LoRA\b/ }).focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowDown');
    await expect.poll(() => page.getByRole('radio', { name: /^ID-LoRA\b/ }).isChecked()).toBe(true);
    await number('Clusters').waitFor();
    await expect.poll(() => number('Beta 1').count()).toBe(1);
    await page.getByRole('combobox', { name: 'Optimizer' }).selectOption('sgd');
    await expect.poll(() => number('Beta 1').count()).toBe(0);
    await number('Momentum').waitFor();
    await page.getByRole('combobox', { name: 'Optimizer' }).selectOption('adamw');
  });

  it('says what a field means while it has the focus, and hides it on Escape', async () => {
    // The second one is out of sight and scrolls into it.
    for (const [label, key] of [
      ['Clusters', 'num_clusters'],
      ['Save steps', 'save_steps'],
    ] as const) {
      await number(label).focus();
      const tip = page.getByRole('tooltip').filter({ hasText: key });
      await tip.waitFor();
      await page.keyboard.press('Escape');
      await tip.waitFor({ state: 'hidden' });
    }
  });

  it('uses a preset, lists what differs, reverts one value and takes the preset back', async () => {
    await number('Context length').fill('64');
    await page.getByRole('combobox', { name: 'Preset' }).selectOption({ label: 'Quick look' });
    await page.getByRole('button', { name: 'Use all its values' }).click();
    await expect.poll(() => number('Max steps').inputValue()).toBe('30');
    await page.getByText('No value differs from the preset.').waitFor();
    await number('Max steps').fill('77');
    await page.getByText('1 changed from the preset').click();
    await page.getByRole('button', { name: 'Revert Max steps to 30' }).click();
    await expect.poll(() => number('Max steps').inputValue()).toBe('30');
    await page.getByRole('button', { name: 'Undo', exact: true }).click();
    await expect.poll(() => number('Max steps').inputValue()).toBe('200');
    await expect.poll(() => number('Context length').inputValue()).toBe('64');
  });

  it('keeps a preset of one’s own over a reload', async () => {
    await number('Batch size').fill('3');
    await page.getByRole('button', { name: 'Save as preset…' }).click();
    await page.keyboard.type('Three rows');
    await page.keyboard.press('Enter');
    await number('Batch size').fill('5');
    await page.reload();
    const preset = page.getByRole('combobox', { name: 'Preset' });
    await preset.waitFor();
    await expect.poll(() => preset.locator('option:checked').textContent()).toBe('Three rows');
    await expect.poll(() => number('Batch size').inputValue()).toBe('5');
    await page.getByRole('button', { name: 'Use all its values' }).click();
    await expect.poll(() => number('Batch size').inputValue()).toBe('3');
  });

  it('refuses a file with a value out of range, takes a good one, and gives the same back', async () => {
    await page.getByRole('button', { name: 'Import a configuration…' }).click();
    const text = page.getByLabel('or its text');
    await text.fill('method: lora\nr: 0');
    await page.getByText('r: 0 is not possible. At least 1.').waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Put into the form' }).isDisabled()).toBe(true);
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await text.fill('peft_type: LORA\nr: 6\nlora_alpha: 12\nlearning_rate: 1e-3\nmax_length: 32\nfp16: true');
    await page.getByText('Ignored:').waitFor();
    await page.getByRole('button', { name: 'Put into the form' }).click();
    await page.getByText('5 values were imported.').waitFor();
    await expect.poll(() => number('Rank').inputValue()).toBe('6');
    await page.getByText('The same as a command or a file').click();
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await expect
      .poll(clipboard)
      .toMatch(
        /^npm run -s studio -- train --model tiny-llama --data sums --method lora --rank 6 --alpha 12 --lr 0.001 /,
      );
    await page.getByText('YAML', { exact: true }).click();
    await expect.poll(() => page.getByTestId('recipe').textContent()).toMatch(/^r: 6\nlora_alpha: 12$/m);
    await takePicture(page, 'train-recipe');
  });

  it('opens the advanced part where a value in it is wrong', async () => {
    await page.getByText('Advanced', { exact: false }).first().click();
    await expect.poll(() => number('Dropout').isVisible()).toBe(false);
    await page.getByRole('button', { name: 'Import a configuration…' }).click();
    await page.getByLabel('or its text').fill('layers_to_transform: [0, 9]');
    await page.getByRole('button', { name: 'Put into the form' }).click();
    await page.getByText(/Layer 9 does not exist/).waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true);
    await page.getByRole('textbox', { name: 'Layers' }).fill('0-1');
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isEnabled()).toBe(true);
  });

  it('leads past the form by keyboard: to Start in a few keys, with all fields open, too', async () => {
    const focused = () =>
      page.evaluate<string>(`(() => {
        const { activeElement: at } = document;
        return (at.labels?.[0]?.textContent ?? at.getAttribute('aria-label') ?? at.textContent).trim().replace(/\\s+/g, ' ');
      })()`);
    /** Presses Tab until something has the focus. */
    const tabTo = async (wanted: RegExp, most: number) => {
      for (let tabs = 1; tabs <= most; tabs++) {
        await page.keyboard.press('Tab');
        if (wanted.test(await focused())) return;
      }
      throw new Error(`${most} tabs from there stands “${await focused()}”`);
    };
    const advanced = page.locator('summary', { hasText: 'Advanced' });
    await advanced.evaluate((summary) => summary.parentElement!.setAttribute('open', ''));
    await number('Save steps').waitFor();
    const title = page.getByRole('heading', { level: 1 });
    await title.focus();
    await tabTo(/^Skip to Start$/, 6);
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('Start training');
    await page.keyboard.press('Shift+Tab');
    await expect.poll(focused).toBe('Run name');
    // A second way behind the values that most people change.
    await advanced.focus();
    await tabTo(/^Skip the advanced values$/, 1);
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('Start training');
    // Without those ways: the modules are one stop, and so are the rank, each tab, and “Train it elsewhere”.
    await advanced.evaluate((summary) => summary.parentElement!.removeAttribute('open'));
    await title.focus();
    await tabTo(/^Start training$/, 33);
    // Where it cannot start, the way leads to what is missing.
    await number('Rank').fill('0');
    await title.focus();
    await tabTo(/^Skip to Start$/, 6);
    await page.keyboard.press('Enter');
    const card = page.getByRole('complementary', { name: 'Run' }).and(page.locator(':focus'));
    await card.getByText('Correct the marked value').waitFor();
    await number('Rank').fill('6');
  });

  it('chooses modules with the arrow keys', async () => {
    const module = (name: string) => page.getByRole('checkbox', { name, exact: true });
    await module('q_proj').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Space');
    await expect.poll(() => module('k_proj').isChecked()).toBe(false);
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowRight');
    await module('q_proj').and(page.locator(':focus')).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Space');
    await expect.poll(() => module('k_proj').isChecked()).toBe(true);
  });

  it('finds runs by what is written into them', async () => {
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('row', { name: /first dora\b/ }).focus();
    await page.keyboard.press('n');
    await page.getByRole('textbox', { name: /^Tags of/ }).fill('paper, seed 2');
    await page.getByLabel('Notes', { exact: true }).fill('the rate was too low');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.getByRole('searchbox').fill('too low paper');
    await page.getByText(`1 of ${comparedMethods.length}`).waitFor();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('group', { name: 'Show only' }).getByRole('button', { name: 'Tag' }).click();
    await page.getByRole('menuitemcheckbox', { name: 'paper' }).click();
    await page.keyboard.press('Escape');
    expect(addressOf()).toBe('/train/runs?tag=paper');
    await expect.poll(() => page.locator('tbody tr[data-row]').count()).toBe(1);
    await page.getByRole('button', { name: 'Show all runs' }).click();
    await expect.poll(() => page.locator('tbody tr[data-row]').count()).toBe(comparedMethods.length);
  });

  it('shows whole numbers in a narrow window, says what lies beyond, and keeps the filter on the way back', async () => {
    await page.setViewportSize({ width: 1024, height: 800 });
    const inSight = (name: string) =>
      page.getByRole('columnheader', { name, exact: true }).evaluate((head) => {
        const edge = head.closest('.scroller')!.getBoundingClientRect().right;
        return head.getBoundingClientRect().right <= edge;
      });
    for (const name of ['Loss', 'Held-out', 'Trainable']) expect(await inSight(name), name).toBe(true);
    await page.getByText(/\d+ more columns →/).waitFor();
    // A column's head is its name; what it means is not read with every cell.
    await expect
      .poll(() => page.getByRole('columnheader', { name: 'Held-out' }).textContent())
      .toMatch(/^\s*Held-out\s*[↑↓]?\s*$/);
    await page.setViewportSize({ width: 1360, height: 860 });
    await page.getByRole('searchbox').fill('first dora');
    await page.getByRole('link', { name: 'first dora', exact: true }).click();
    await page.getByTestId('run-state').waitFor();
    await page.goBack();
    await expect.poll(() => page.getByRole('searchbox').inputValue()).toBe('first dora');
    await page.getByRole('searchbox').fill('');
  });

  it('compares the runs that are chosen by keyboard, at an address of its own', async () => {
    const row = (name: string) => page.getByRole('row', { name: new RegExp(`first ${name}\\b`) });
    for (const name of ['lora', 'dora']) {
      await row(name).focus();
      await page.keyboard.press('Space');
    }
    await page.getByRole('button', { name: 'Compare 2 runs' }).click();
    expect(addressOf()).toBe('/train/runs?runs=run-lora,run-dora&view=compare');
    await page.reload();
    const chart = page.getByRole('img', { name: /Training loss of 2 runs/ });
    await expect.poll(() => chart.getAttribute('data-points')).toBe('120');
    const rows = await page.locator('tbody tr').allInnerTexts();
    const cells = rows.map((text) => text.replaceAll(/\s+/g, ' ').trim());
    expect(cells).toContain('Method DoRA LoRA');
    expect(cells).toContain('Learning rate 0.0001 0.0002');
    expect(cells.join('\n')).not.toMatch(/^(Rank|Seed|Epsilon)/m);
    await page.getByRole('button', { name: 'Copy as Markdown' }).click();
    await expect.poll(clipboard).toContain('| Learning rate | 0.0001 | 0.0002 |');
    for (const measure of ['Tokens', 'Time']) {
      await page.getByText(measure, { exact: true }).click();
      await expect.poll(() => chart.getAttribute('data-points')).toBe('120');
    }
    await takePicture(page, 'history-compare');
    await page.goBack();
    await page.getByText('2 chosen').waitFor();
  });

  it('configures a run again', async () => {
    await page.getByRole('row', { name: /first dora\b/ }).focus();
    await page.keyboard.press('c');
    await page.getByText('The form has the configuration of “first dora”.').waitFor();
    await expect.poll(() => page.getByRole('radio', { name: /^DoRA\b/ }).isChecked()).toBe(true);
    await expect.poll(() => number('Learning rate').inputValue()).toBe('0.0001');
    await expect.poll(() => number('Max steps').inputValue()).toBe('60');
    await expect.poll(() => page.getByLabel('Run name').inputValue()).toBe('');
    expect(addressOf()).toBe('/train');
    await page.goBack();
  });

  it('says before the start that the disk has no room for the checkpoints', async () => {
    await page.goto(new URL('/train', server.url).href);
    await page.getByRole('radio', { name: /^LoRA\b/ }).check();
    await number('Rank').fill('4');
    await number('Context length').fill('64');
    const card = page.getByRole('complementary', { name: 'Run' });
    const misfits = card.getByText('✕ does not fit');
    const withFreeDisk = async (route: Route) => {
      const response = await route.fetch();
      const { value } = (await response.json()) as { value: object };
      await route.fulfill({ json: { ok: true, value: { ...value, diskFreeBytes: 1000 } } });
    };
    await page.route(/rpc\/plan\.calibration$/, withFreeDisk);
    await page.reload();
    await misfits.waitFor();
    await card.getByText('The data folder’s disk has 1.00 kB free.').waitFor();
    await page.unroute(/rpc\/plan\.calibration$/);
    await page.reload();
    await card.getByText('✓ fits').nth(1).waitFor();
    await expect.poll(() => misfits.count()).toBe(0);
  });

  it('is accessible and fits a narrow window, in light and dark', async () => {
    const problems: string[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const path of ['/train', '/train/runs', '/train/runs?runs=run-lora,run-idlora&view=compare']) {
        await page.setViewportSize({ width: 1360, height: 860 });
        await page.goto(new URL(path, server.url).href);
        await page.waitForLoadState('networkidle');
        for (const problem of await seriousProblems(page)) problems.push(`${colorScheme} ${path} ${problem}`);
        await page.setViewportSize({ width: 360, height: 780 });
        await page.waitForTimeout(100);
        const overflow = await page.evaluate<number>(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        );
        if (overflow > 0) problems.push(`${colorScheme} ${path} is ${overflow} px too wide`);
      }
    }
    await page.setViewportSize({ width: 1360, height: 860 });
    expect(problems).toEqual([]);
  });

  it('deletes the chosen runs and takes that back', async () => {
    const rows = () => page.locator('tbody tr[data-row]').count();
    await page.goto(new URL('/train/runs?runs=run-full,run-moelora', server.url).href);
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await expect.poll(rows).toBe(comparedMethods.length - 2);
    await expect.poll(addressOf).toBe('/train/runs');
    await page.getByRole('button', { name: /^Undo/ }).click();
    await expect.poll(rows).toBe(comparedMethods.length);
  });

  it('has thrown no error in the browser', () => {
    expect(errors).toEqual([]);
  });
});
