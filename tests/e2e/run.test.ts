import { readFileSync } from 'node:fs';
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

const steps = 600;
/** What must stand on each part of the run's page once the run is done. */
const parts = {
  Charts: 'Loss',
  Summary: 'Training',
  Samples: 'Samples',
  Logs: 'Log',
  Router: 'Router load',
  Config: 'Configuration',
} as const;

/**
 * Milliseconds from a click on a link of the page's parts to the second frame after it, which is painted with that part
 * in it.
 */
const clickToPaint = (name: string) => `new Promise((resolve) => {
  const link = [...document.querySelectorAll('nav[aria-label="Run"] a')].find((a) => a.textContent === '${name}');
  const begin = performance.now();
  link.click();
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begin)));
})`;

describe.skipIf(!chromiumPath)(`the parts of a run's page${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  let address: string;
  const errors: string[] = [];

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 860 } });
    page.on('pageerror', (error) => errors.push(error.message));
    studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 200, 1);
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama') });
    await studio.call('datasets.add', { path: file });
    const run = await studio.call<{ id: string }>('runs.start', {
      name: 'parts',
      model: 'tiny-llama',
      dataset: 'sums',
      config: {
        adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 4, boost: 2 },
        maxSteps: steps,
        batch: 2,
        context: 64,
        learningRate: 0.01,
        evalEvery: 100,
        samples: { prompts: ['2 + 3 ='], every: 200, maxTokens: 8 },
      },
    });
    address = new URL(`/train/runs/${run.id}`, server.url).href;
    await page.goto(address);
    await page.getByRole('heading', { level: 1, name: 'parts' }).waitFor();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const part = (name: string) => page.getByRole('navigation', { name: 'Run' }).getByRole('link', { name });

  it('answers within 100 ms while the run trains', async () => {
    await studio.waitForStep(5);
    const answered: number[] = [];
    for (let i = 0; i < 4; i++)
      for (const name of ['Summary', 'Config', 'Logs', 'Charts']) {
        answered.push(await page.evaluate<number>(clickToPaint(name)));
        await expect.poll(() => part(name).getAttribute('aria-current')).toBe('page');
      }
    await expect.poll(() => page.getByTestId('run-state').textContent()).toMatch(/running/);
    answered.sort((a, b) => a - b);
    expect(answered[Math.floor(answered.length / 2)]).toBeLessThan(100);
  });

  it('shows answers, log, router and configuration at addresses of their own', async () => {
    await studio.waitForState('done');
    for (const [name, heading] of Object.entries(parts)) {
      await part(name).click();
      await page.getByRole('heading', { name: heading }).first().waitFor();
      await page.reload();
      await page.getByRole('heading', { name: heading }).first().waitFor();
    }
    await part('Samples').click();
    await page.getByText('2 + 3 =').first().waitFor();
    await page
      .getByTestId('sample-template')
      .getByText(/Continued as it stands/)
      .waitFor();
    await part('Router').click();
    await page.getByText('Chosen pivots').waitFor();
    await part('Config').click();
    await expect.poll(() => page.getByText('num_clusters').count()).toBeGreaterThan(0);
  });

  it('saves the curves as CSV with every step, and as a picture', async () => {
    await part('Charts').click();
    const saved = async (button: string) => {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name: button }).first().click();
      return readFileSync(await (await download).path());
    };
    const lines = String(await saved('Save all steps as CSV'))
      .trim()
      .split('\n');
    expect(lines).toHaveLength(steps + 1);
    expect(lines[0]).toContain('loss');
    expect((await saved('as PNG')).subarray(1, 4).toString()).toBe('PNG');
    expect(String(await saved('as SVG'))).toContain('<svg');
  });

  it(
    'is accessible and fits a narrow window in every part, in light and dark',
    { timeout: patienceMs },
    async () => {
      const problems: string[] = [];
      for (const theme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: theme });
        for (const [name, heading] of Object.entries(parts)) {
          await page.setViewportSize({ width: 1360, height: 860 });
          await part(name).click();
          await page.getByRole('heading', { name: heading }).first().waitFor();
          for (const problem of await seriousProblems(page)) problems.push(`${theme} ${name} ${problem}`);
          await takePicture(page, `run-${name.toLowerCase()}-${theme}`);
          await page.setViewportSize({ width: 360, height: 780 });
          await page.waitForTimeout(100);
          const overflow = await page.evaluate<number>(
            'document.documentElement.scrollWidth - document.documentElement.clientWidth',
          );
          if (overflow > 0) problems.push(`${theme} ${name} is ${overflow} px wider than a window of 360 px`);
          // What scrolls in a narrow window alone must be reached by the keyboard there.
          if (theme === 'light')
            for (const problem of await seriousProblems(page)) problems.push(`narrow ${name} ${problem}`);
          await takePicture(page, `run-${name.toLowerCase()}-${theme}-narrow`);
        }
      }
      expect(problems).toEqual([]);
      expect(errors).toEqual([]);
    },
  );
});
