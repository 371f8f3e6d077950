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

const config = {
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  batch: 10_000_000,
  context: 64,
  maxSteps: 2,
};

describe.skipIf(!chromiumPath)(`what does not fit into memory is asked first${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 860 } });
    studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 60, 1);
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await studio.call('datasets.add', { path: file, name: 'sums' });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const start = (name: string, changes: object) =>
    studio.call<{ id: string }>('runs.start', {
      name,
      model: 'tiny',
      dataset: 'sums',
      force: true,
      config: { ...config, ...changes },
    });
  const open = (id: string) => page.goto(new URL(`/train/runs/${id}`, server.url).href);

  it('before a branch is queued', async () => {
    const { id } = await start('small', { batch: 2 });
    await open(id);
    await studio.waitForState('done');
    // The core refuses the branch, as on a machine that is too small for it.
    const asked: boolean[] = [];
    await page.route('**/rpc/runs.branch', async (route) => {
      const { force } = route.request().postDataJSON() as { force: boolean };
      asked.push(force);
      if (force) return route.continue();
      const error = {
        code: 'does_not_fit',
        message: '"twig" needs about 9 GB.',
        remedy: 'It fits with: batch 1.',
      };
      return route.fulfill({ json: { ok: false, error } });
    });
    await page.getByRole('button', { name: /^Branch/ }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('twig');
    await page.getByRole('button', { name: 'Queue the branch' }).click();
    await page.getByRole('alert').getByText('It fits with: batch 1.').waitFor();
    await takePicture(page, 'misfit-branch');
    expect(await seriousProblems(page)).toEqual([]);
    await page.getByRole('button', { name: 'Queue it anyway' }).click();
    await page.getByRole('heading', { level: 1, name: 'twig' }).waitFor();
    expect(asked).toEqual([false, true]);
    await studio.waitForState('done');
  });

  it('before a run goes on', async () => {
    await studio.call('runs.hold', { isHeld: true });
    const { id } = await start('huge', {});
    await studio.call('runs.pause', { run: id });
    await open(id);
    await page.getByRole('button', { name: 'Start again' }).click();
    await page.getByRole('alert').getByText('"huge" needs about').waitFor();
    await takePicture(page, 'misfit-resume');
    expect(await seriousProblems(page)).toEqual([]);
    await page.getByRole('button', { name: 'Resume anyway' }).click();
    await studio.waitForState('waiting');
    await studio.call('runs.stop', { run: id, save: false });
  });

  it('before a few steps are measured', async () => {
    await studio.configure({
      method: 'LoRA',
      name: 'measured',
      fields: { Batch: '10000000', 'Context length': '64' },
    });
    await page.getByRole('button', { name: 'Measure a few steps' }).click();
    await page.getByRole('alert').getByText('"The measurement" needs about').waitFor();
    await page.getByRole('button', { name: 'Measure anyway' }).waitFor();
    await takePicture(page, 'misfit-measure');
  });

  it('before a run begins; the first change that is offered makes it fit', async () => {
    const runs = () => studio.call<{ total: number }>('runs.list', {});
    const { total } = await runs();
    await page.getByRole('button', { name: 'Start training' }).click();
    await page.getByRole('alert').getByText('"measured" needs about').waitFor();
    await page.getByRole('button', { name: 'Start anyway' }).waitFor();
    expect((await runs()).total).toBe(total);
    const card = page.getByRole('complementary', { name: 'Run' });
    await card.getByText('✕ does not fit').waitFor();
    const help = card.getByRole('region', { name: 'What would help' });
    await expect.poll(() => help.getByRole('listitem').first().innerText()).not.toContain('not enough');
    await help
      .getByRole('button', { name: /^Apply:/ })
      .first()
      .click();
    await card.getByText('✓ fits').first().waitFor();
    await card.getByText('✕ does not fit').waitFor({ state: 'detached' });
  });
});
