import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath } from './support/chromium.ts';
import { openStudio, type OpenedStudio } from './support/openedStudio.ts';
import { takePicture } from './support/pictures.ts';
import type { StudioPage } from './support/studioPage.ts';
import { leastTime, patienceMs } from '../support/patience.ts';

const common = { 'Learning rate': '0.01', 'Batch size': '4', 'Context length': '64' };
/** Pages whose address does not depend on what was trained. */
const pages = [
  '/',
  '/models',
  '/data',
  '/plan',
  '/train',
  '/train/runs',
  '/evaluate',
  '/export',
  '/settings',
];

describe.skipIf(!chromiumPath)(`the studio in a browser${chromiumNote}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];

  beforeAll(async () => {
    opened = await openStudio({ viewport: { width: 1360, height: 860 } });
    ({ page, studio, errors } = opened);
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  });

  afterAll(() => opened?.close());

  it('leads a newcomer from an empty studio to the first model', async () => {
    await page.getByRole('heading', { name: 'Add a base model' }).waitFor();
    await takePicture(page, 'home-empty');
    await page.getByRole('link', { name: 'Add a model' }).click();
    await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor();
    await takePicture(page, 'models-empty');
  });

  it('says at the form what is wrong with a folder without a model', async () => {
    await studio.addModel(join(fixtures, 'nothing-here'));
    const alert = page.getByRole('alert');
    await alert.waitFor();
    await expect.poll(() => alert.textContent()).toContain('nothing-here');
    await studio.addModel(fixtures);
    await expect.poll(() => alert.textContent()).toContain('model.safetensors');
  });

  it('adds a model and a dataset and shows their rows', async () => {
    await studio.addModel(join(fixtures, 'tiny-llama'));
    await page.getByRole('heading', { name: 'tiny-llama' }).waitFor();
    const file = join(opened.server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 400, 1);
    await studio.addDataset(file);
    await page.getByRole('heading', { name: 'sums' }).waitFor();
    await expect.poll(() => page.getByText(/400/).count()).toBeGreaterThan(0);
  });

  it('refuses impossible values at the field, before anything starts', async () => {
    await studio.configure({ method: 'ID-LoRA', name: 'never', fields: { Rank: '3', Boost: '2' } });
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true);
    await expect.poll(() => page.locator('.problem').first().textContent()).toMatch(/3|even|multiple|divide/);
    await studio.configure({ method: 'ID-LoRA', name: 'never', fields: { Rank: '4', 'Max steps': '0' } });
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isDisabled()).toBe(true);
  });

  it('trains LoRA, shows it live, survives a reload, stops and resumes', async () => {
    await studio.configure({
      method: 'LoRA',
      name: 'lora-e2e',
      fields: { ...common, Rank: '4', 'Max steps': '4000' },
    });
    await takePicture(page, 'train-configure');
    await studio.start();
    await studio.waitForStep(5);
    await page.reload();
    const stepAfterReload = await studio.shownStep();
    await studio.waitForStep(stepAfterReload + 5);
    await expect.poll(() => page.locator('canvas').count()).toBeGreaterThanOrEqual(4);
    await takePicture(page, 'run-live');

    await page.getByRole('button', { name: 'Stop…' }).click();
    await page.getByRole('button', { name: 'Stop and save' }).click();
    await studio.waitForState('stopped');
    const stopped = await studio.shownStep();
    await page.getByRole('button', { name: 'Resume' }).click();
    await studio.waitForStep(stopped + 1);
    await page.getByRole('button', { name: 'Stop…' }).click();
    await page.getByRole('button', { name: 'Stop and save' }).click();
    await studio.waitForState('stopped');
  });

  it('sets the other method against a first run, with as many parameters and a free name', async () => {
    await studio.goTo('Home');
    await page.getByRole('link', { name: 'Configure it' }).click();
    await page.getByText(/configuration of “lora-e2e” with ID-LoRA: rank \d+, which is closest/).waitFor();
    await expect.poll(() => page.getByRole('radio', { name: /^ID-LoRA\b/ }).isChecked()).toBe(true);
    await expect.poll(() => page.getByLabel('Run name').inputValue()).toBe('');
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isEnabled()).toBe(true);
    // The way back and a reload keep what is free.
    await page.reload();
    await expect.poll(() => page.getByRole('button', { name: 'Start training' }).isEnabled()).toBe(true);
  });

  it('trains ID-LoRA to the end; the loss falls', async () => {
    await studio.configure({
      method: 'ID-LoRA',
      name: 'idlora-e2e',
      fields: { ...common, Rank: '4', Clusters: '2', Boost: '2', 'Max steps': '200' },
    });
    await studio.start();
    await studio.waitForState('done');
    const losses = await studio.lossCurve();
    expect(losses).toHaveLength(200);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    await expect.poll(() => studio.recentLoss()).toBeCloseTo(mean(losses.slice(-20)), 3);
    expect(mean(losses.slice(-20))).toBeLessThan(mean(losses.slice(0, 20)) - 0.1);
    await takePicture(page, 'run-done');
  });

  it('compares the two runs and gives a verdict with its uncertainty', async () => {
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByRole('button', { name: 'Compare' }).click();
    const verdict = page.getByTestId('verdict');
    await verdict.waitFor({ timeout: patienceMs });
    const sentence = (await verdict.textContent()) ?? '';
    expect(sentence).toContain('lora-e2e');
    expect(sentence).toContain('idlora-e2e');
    expect(sentence).toMatch(/95 %|p =/);
    await takePicture(page, 'evaluate-compare');
    // A verdict has an address of its own, and the form behind it still says what was compared.
    await page.goBack();
    await page.getByRole('link', { name: 'show the verdict' }).waitFor();
    await page.getByLabel('At most').fill('3');
    await page.getByRole('link', { name: 'show the verdict' }).waitFor({ state: 'hidden' });
    await page.getByLabel('At most').fill('');
    await page.getByRole('button', { name: 'Take away lora-e2e' }).click();
    await page.getByText('Choose a second run.').waitFor();
    await page.getByLabel('Add a run').selectOption({ label: 'lora-e2e' });
    await expect.poll(() => page.getByRole('button', { name: 'Compare' }).isEnabled()).toBe(true);
    await page.goForward();
    await page.reload();
    await verdict.waitFor();
  });

  it.each(['light', 'dark'] as const)(
    'keeps every page accessible and inside a narrow window, %s',
    { timeout: patienceMs },
    async (theme) => {
      await page.goto(new URL('/train/runs', opened.server.url).href);
      const run = await page.getByRole('link', { name: 'idlora-e2e' }).first().getAttribute('href');
      const problems: string[] = [];
      await page.emulateMedia({ colorScheme: theme });
      for (const path of [...pages, run!]) {
        await page.setViewportSize({ width: 1360, height: 860 });
        await page.goto(new URL(path, opened.server.url).href);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.waitForLoadState('networkidle');
        for (const problem of await seriousProblems(page)) problems.push(`${path} ${problem}`);
        // Memory and disk are told in one unit.
        const units = (await page.locator('body').innerText()).match(/[\d.]+ [KMGT]iB\b/g);
        if (units) problems.push(`${path} says ${units.join(', ')}`);
        const name = `${path === '/' ? 'home' : path.startsWith('/train/runs/') ? 'run' : path.slice(1).replaceAll('/', '-')}-${theme}`;
        await takePicture(page, name);
        await page.setViewportSize({ width: 360, height: 780 });
        // Charts follow the window a frame later.
        await page.waitForTimeout(100);
        const overflow = await page.evaluate<number>(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        );
        if (overflow > 0) problems.push(`${path} is ${overflow} px wider than a window of 360 px`);
        await takePicture(page, `${name}-narrow`);
      }
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 1360, height: 860 });
      expect(problems).toEqual([]);
    },
  );

  it(
    'says that the connection is lost, and goes on by itself when the studio is back',
    { timeout: patienceMs },
    async () => {
      await opened.restart({
        whileGone: () => page.getByRole('alert').filter({ hasText: 'connection' }).waitFor({ timeout: 2000 }),
      });
      await studio.goTo('Models');
      await page.getByRole('link', { name: 'tiny-llama' }).first().waitFor();
    },
  );

  it('paints something useful within 1.5 s', async () => {
    const fresh = await page.context().newPage();
    const took = await leastTime(1500, async () => {
      await fresh.goto(opened.server.url);
      await fresh.getByRole('heading', { level: 1 }).waitFor();
    });
    expect(took).toBeLessThan(1500);
    // The other pages, with their charts, come behind the first paint, and are there for the first click.
    await expect
      .poll(() =>
        fresh.evaluate(
          `performance.getEntriesByType('resource').filter(({ name }) => /Pages-.*js$/.test(name)).length`,
        ),
      )
      .toBe(1);
    const wait = await fresh.evaluate<number>(
      `performance.getEntriesByType('resource').find(({ name }) => /Pages-.*js$/.test(name)).startTime - performance.getEntriesByName('first-contentful-paint')[0].startTime`,
    );
    expect(wait).toBeGreaterThan(0);
    await fresh.close();
  });

  it('has logged no error in the browser but those of the lost connection', () => {
    expect(
      errors.filter((text) => !/ERR_CONNECTION_REFUSED|WebSocket|401|Failed to load resource/.test(text)),
    ).toEqual([]);
  });
});
