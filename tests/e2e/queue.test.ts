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

describe.skipIf(!chromiumPath)(`the queue in a browser${chromiumNote}`, () => {
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
    writeGeneratedDataset(file, 400, 1);
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await studio.call('datasets.add', { path: file, name: 'sums' });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const queue = (name: string, method: string, maxSteps: number) =>
    studio.call('runs.start', {
      name,
      model: 'tiny',
      dataset: 'sums',
      config: { adapter: { method, rank: 4, alpha: 8, clusters: 2 }, maxSteps, batch: 4, context: 64 },
    });
  const names = async () => {
    const rows = page.getByRole('list', { name: 'Waiting runs' }).getByRole('listitem');
    return (await rows.locator('strong').allTextContents()).join(' ');
  };

  it('says what the queue is for while it is empty', async () => {
    await studio.goTo('Train');
    await page.getByRole('link', { name: 'Queue', exact: true }).click();
    await page.getByRole('heading', { name: 'The queue is empty' }).waitFor();
  });

  it('shows what waits and moves it by buttons, by the keyboard and by dragging', async () => {
    await queue('quick', 'lora', 20);
    await page.getByRole('heading', { name: 'The queue is empty' }).waitFor();
    await queue('first', 'idlora', 100_000);
    for (const name of ['b', 'c', 'd']) await queue(name, 'lora', 40);
    await page.getByRole('region', { name: 'Running: first' }).waitFor();
    await page.getByRole('heading', { name: '3 runs wait' }).waitFor();
    await expect.poll(() => names()).toBe('b c d');

    await page.getByRole('button', { name: 'Move d up' }).click();
    await expect.poll(names).toBe('b d c');
    await page.getByRole('button', { name: 'Move c up' }).focus();
    await page.keyboard.press('Alt+ArrowUp');
    await expect.poll(names).toBe('b c d');
    await page.keyboard.press('Alt+ArrowUp');
    await expect.poll(names).toBe('c b d');
    await page.getByText('c is now number 1 of 3.').waitFor({ state: 'attached' });
    const rows = page.getByRole('list', { name: 'Waiting runs' }).getByRole('listitem');
    await rows.last().dragTo(rows.first(), { targetPosition: { x: 40, y: 4 } });
    await expect.poll(names).toBe('d c b');
    await takePicture(page, 'queue');
  });

  it('is held, lets runs be taken out, and is seen from every page', async () => {
    await page.getByRole('button', { name: 'Take out c' }).click();
    await expect.poll(names).toBe('d b');
    await page.getByRole('button', { name: 'Hold the queue' }).click();
    await page.getByText('The queue is held').waitFor();
    await studio.goTo('Data');
    await page.getByRole('link', { name: /queue\s*2\s*held/ }).waitFor();
    await page.getByRole('link', { name: /^job/ }).click();
    await page.getByRole('heading', { level: 1, name: 'first' }).waitFor();
  });

  it('pauses the run that trains, and resumes it as the next one', async () => {
    await studio.waitForStep(1);
    await page.getByRole('button', { name: 'Pause' }).click();
    await studio.waitForState('paused');
    await page.getByRole('button', { name: 'Resume' }).click();
    await studio.waitForState('waiting');
    await page.getByText('1st of 3 in the queue, which is held').waitFor();
    await takePicture(page, 'run-waiting');
    await page.getByRole('link', { name: 'Show the queue' }).click();
    await expect.poll(() => names()).toBe('first d b');
    await page.getByRole('button', { name: 'Let the queue go on' }).click();
    await page.getByRole('region', { name: 'Running: first' }).waitFor();
    await expect.poll(() => names()).toBe('d b');
  });

  it('goes on after a restart with the next run, and says what was interrupted', async () => {
    const { home } = server;
    await server.kill();
    server = await startStudio({ home });
    await page.goto(server.url);
    await studio.goTo('Train');
    await page.getByRole('link', { name: /^Queue/ }).click();
    await page.getByText('not started again by themselves').waitFor();
    await page.getByRole('link', { name: 'first' }).waitFor();
    await page.getByRole('heading', { name: 'The queue is empty' }).waitFor({ timeout: patienceMs });
    await studio.goTo('Train');
    await page.getByRole('link', { name: 'History' }).click();
    for (const name of ['d', 'b']) {
      const header = page.getByRole('rowheader', { name, exact: true });
      await page.getByRole('row').filter({ has: header }).getByText('done').waitFor();
    }
  });

  it('branches from a checkpoint with other values', async () => {
    await page.getByRole('rowheader', { name: 'd', exact: true }).getByRole('link').click();
    await page.getByRole('button', { name: 'Branch…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('radio', { name: /step 40/ }).waitFor();
    const queueIt = dialog.getByRole('button', { name: 'Queue the branch' });
    // It opens with values that work: from the end of a run for as long again.
    await dialog.getByText('40 more').waitFor();
    await expect.poll(() => queueIt.isEnabled()).toBe(true);
    await dialog.getByLabel('Last step').fill('40');
    await dialog.getByText('Above 40').waitFor();
    await expect.poll(() => queueIt.isDisabled()).toBe(true);
    await dialog.getByLabel('Last step').fill('55');
    await dialog.getByText('15 more').waitFor();
    await dialog.getByLabel('Learning rate').fill('0.001');
    const problems: string[] = [];
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      // Colors pass over into each other.
      await page.waitForTimeout(300);
      for (const problem of await seriousProblems(page)) problems.push(`${theme} ${problem}`);
      await page.setViewportSize({ width: 1360, height: 860 });
      await takePicture(page, `branch-${theme}`);
      await page.setViewportSize({ width: 360, height: 780 });
      await takePicture(page, `branch-${theme}-narrow`);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1360, height: 860 });
    expect(problems).toEqual([]);
    await dialog.getByRole('button', { name: 'Queue the branch' }).click();
    await page.getByRole('heading', { level: 1, name: 'd-from-40' }).waitFor();
    await studio.waitForState('done');
    await expect.poll(() => studio.shownStep()).toBe(55);
    await page.getByText(/branched at step 40 of\s+d/).waitFor();
    await takePicture(page, 'run-branched');
  });

  it('deletes a run and takes it back', async () => {
    await page.getByRole('button', { name: 'Delete' }).click();
    const toast = page.getByRole('region', { name: 'Confirmations' });
    await toast.getByText(/Deleted the run d-from-40: .*B are freed/).waitFor();
    await page.getByRole('columnheader', { name: 'Run' }).first().waitFor();
    await expect.poll(() => page.getByRole('rowheader', { name: 'd-from-40' }).count()).toBe(0);
    await takePicture(page, 'run-deleted');
    await toast.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('rowheader', { name: 'd-from-40' }).waitFor();
  });

  it('is accessible and fits a narrow window, in light and dark', async () => {
    await studio.call('runs.hold', { isHeld: true });
    await queue('a run with a name that is longer than a telephone is wide', 'idlora', 4000);
    await queue('e', 'lora', 40);
    await page.goto(new URL('/train/queue', server.url).href);
    await page.getByRole('heading', { name: '2 runs wait' }).waitFor();
    const problems: string[] = [];
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      // Colors pass over into each other.
      await page.waitForTimeout(300);
      await page.setViewportSize({ width: 1360, height: 860 });
      for (const problem of await seriousProblems(page)) problems.push(`${theme} ${problem}`);
      await takePicture(page, `queue-${theme}`);
      await page.setViewportSize({ width: 360, height: 780 });
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      if (overflow > 0) problems.push(`${theme} is ${overflow} px too wide`);
      await takePicture(page, `queue-${theme}-narrow`);
    }
    expect(problems).toEqual([]);
  });
});
