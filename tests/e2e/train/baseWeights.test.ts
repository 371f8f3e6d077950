import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset, Run } from '../../../src-main/contract/entities.ts';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath } from '../support/chromium.ts';
import { openStudio, type OpenedStudio } from '../support/openedStudio.ts';
import { takePicture } from '../support/pictures.ts';
import type { StudioPage } from '../support/studioPage.ts';
import { patienceMs } from '../../support/patience.ts';

describe.skipIf(!chromiumPath)(`how the base’s weights are kept, in a browser${chromiumNote}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];

  beforeAll(async () => {
    opened = await openStudio();
    ({ page, studio, errors } = opened);
    const { datasets } = await studio.call<{ datasets: Dataset[] }>('studio.addStarter', {});
    const { id } = datasets.find(({ name }) => name === 'starter-functions')!;
    await studio.goTo('Train');
    await page.getByLabel('Base model', { exact: true }).selectOption({ label: 'starter' });
    await page.getByLabel('Dataset or mix').selectOption(id);
    await page.getByText('Advanced', { exact: false }).first().click();
    await base().waitFor();
  });

  afterAll(() => opened?.close());

  it('is foreseen by the calculator, of full fine-tuning as it is stored', async () => {
    await studio.goTo('Plan');
    // Full fine-tuning stands first, then LoRA.
    const row = page
      .getByRole('row')
      .filter({ hasText: /memory/ })
      .first();
    const memory = async () => (await row.getByRole('cell').allTextContents()).slice(0, 2);
    await expect.poll(async () => (await memory())[1]).toMatch(/[GM]B/);
    const [full, lora] = await memory();
    await base().selectOption({ label: '4 bits (NF4)' });
    await expect.poll(async () => (await memory())[1]).not.toBe(lora);
    expect((await memory())[0]).toBe(full);
    await page
      .getByText('foreseen with it as it is stored; all else with it in 4 bits (NF4)', { exact: false })
      .waitFor();
    for (const [width, colorScheme] of [
      [390, 'light'],
      [1280, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await expect.poll(() => seriousProblems(page)).toEqual([]);
      await takePicture(page, `base-weights-plan-${width}-${colorScheme}`);
    }
    await base().selectOption({ label: 'as stored' });
    await studio.goTo('Train');
  });

  const base = () => page.getByRole('combobox', { name: 'Base weights' });
  const number = (label: string) => page.getByRole('spinbutton', { name: label, exact: true });
  const forecast = () => page.getByRole('region', { name: 'Forecast' });
  /** Megabytes that the run card foresees. */
  const foreseen = async () => {
    const text = (await forecast().getByRole('definition').first().textContent())!;
    return Number(/([\d.]+) MB/.exec(text)?.[1] ?? Number(/([\d.]+) GB/.exec(text)?.[1]) * 1000);
  };

  it('is one choice, by which the memory that is foreseen changes', async () => {
    await page.getByRole('radio', { name: /^LoRA\b/ }).check();
    await expect
      .poll(() => base().locator('option').allTextContents())
      .toEqual(['as stored', '8 bits', '4 bits (NF4)']);
    await expect.poll(() => base().inputValue()).toBe('none');
    await expect.poll(foreseen).toBeGreaterThan(0);
    const stored = await foreseen();
    await base().selectOption({ label: '4 bits (NF4)' });
    await expect.poll(foreseen).toBeLessThan(stored);
    const four = await foreseen();
    await base().selectOption({ label: '8 bits' });
    await expect.poll(foreseen).toBeGreaterThan(four);
    expect(await foreseen()).toBeLessThan(stored);
    await base().focus();
    await page.getByRole('tooltip').filter({ hasText: 'load_in_8bit, load_in_4bit' }).waitFor();
    await page.keyboard.press('Escape');
    await base().selectOption({ label: '4 bits (NF4)' });
    for (const [width, colorScheme] of [
      [390, 'dark'],
      [1280, 'light'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await expect.poll(() => seriousProblems(page)).toEqual([]);
      await takePicture(page, `base-weights-${width}-${colorScheme}`);
    }
  });

  it('refuses full fine-tuning at the field, with the reason', async () => {
    await page.getByRole('radio', { name: /^Full/ }).check();
    await page.getByText('Full fine-tuning trains the base: its weights cannot be kept in 4 bits.').waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true);
    await takePicture(page, 'base-weights-refused');
    await base().selectOption({ label: 'as stored' });
    await base().waitFor({ state: 'detached' });
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isEnabled()).toBe(true);
    await page.getByRole('radio', { name: /^LoRA\b/ }).check();
    await expect.poll(() => base().inputValue()).toBe('none');
  });

  it('trains on a base in 4 bits to the end, and the run says so', async () => {
    await base().selectOption({ label: '4 bits (NF4)' });
    for (const [label, value] of [
      ['Max steps', '6'],
      ['Batch size', '4'],
      ['Context length', '64'],
    ] as const)
      await number(label).fill(value);
    await page.getByText('The same as a command or a file').click();
    await expect.poll(() => page.getByTestId('recipe').textContent()).toMatch(/--load-in-4bit true/);
    await page.getByText('YAML', { exact: true }).click();
    await expect
      .poll(() => page.getByTestId('recipe').textContent())
      .toMatch(/^load_in_8bit: false\nload_in_4bit: true$/m);
    await page.getByLabel('Run name').fill('four bits');
    await studio.start();
    await studio.waitForState('done');
    const { config, environment, forecast: told } = await studio.call<Run>('runs.get', { run: 'four bits' });
    expect(config).toMatchObject({ loadIn4bit: true, loadIn8bit: false });
    expect(environment!.parts).toEqual({ queryBlock: 128, logitElements: 2 ** 22 });
    expect(told!.modelledBytes).toBeGreaterThan(0);
    await page
      .getByRole('navigation', { name: 'Run', exact: true })
      .getByRole('link', { name: 'Summary' })
      .click();
    await page.getByText('4 bits (NF4)', { exact: true }).waitFor();
    await takePicture(page, 'base-weights-run');
  });

  it('scores it on that base, and exports it with a word on it', async () => {
    const scored = await studio.call<{ id: string }>('evaluations.start', {
      model: 'starter',
      adapter: 'four bits',
      benchmark: 'perplexity',
      data: { dataset: 'starter-functions' },
      limit: 8,
    });
    expect(scored.id).not.toBe('');
    await studio.goTo('Evaluate');
    await page
      .getByRole('navigation', { name: 'Evaluate' })
      .getByRole('link', { name: 'Benchmarks' })
      .click();
    await page.getByRole('row').filter({ hasText: 'four bits' }).first().waitFor({ timeout: patienceMs });
    await studio.goTo('Export');
    await page.getByLabel('Run', { exact: true }).selectOption({ label: 'four bits' });
    await page.getByRole('button', { name: 'Export and check' }).click();
    const latest = page.getByRole('region', { name: /^Latest export/ });
    await latest.getByText('✓ equal to the run').waitFor({ timeout: patienceMs });
    await latest.getByText(/^Compared on the base as it is stored; .* rounded to 4 bits/).waitFor();
    const folder = join(opened.server.home, 'exports', 'four bits');
    expect(existsSync(join(folder, 'adapter_model.safetensors'))).toBe(true);
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toMatch(/4 bits/);
    await takePicture(page, 'base-weights-export');
    expect(errors).toEqual([]);
  });
});
