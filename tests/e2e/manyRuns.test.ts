import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { filledHome } from './support/filledHome.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { leastTime, patienceMs } from '../support/patience.ts';

/** Lets the first slice of each list through and keeps the others back, as a slow connection does. */
async function holdSlices(page: Page): Promise<() => Promise<void>> {
  const kept: Route[] = [];
  let isOpen = false;
  await page.route(/rpc\/(runs|evaluations)\.list$/, async (route) => {
    const { after } = route.request().postDataJSON() as { after?: unknown };
    if (after && !isOpen) kept.push(route);
    else await route.continue();
  });
  return async () => {
    isOpen = true;
    for (const route of kept) await route.continue();
  };
}

describe.skipIf(!chromiumPath)(`a project of 10,000 runs${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;

  beforeAll(async () => {
    server = await startStudio({ home: filledHome({ runs: 10_000, evaluations: 10_000 }) });
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 900 } });
    studio = new StudioPage(page);
    await page.goto(server.url);
    await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  const address = (path: string) => new URL(path, server.url).href;
  const rows = () => page.locator('.count');
  const filter = () => page.getByLabel('Filter: Runs');
  /** Waits for what the table says of its rows: all of them take a while on busy cores. */
  const shows = (text: string) =>
    expect
      .poll(async () => (await rows().textContent())?.replace(/\d+ more columns? →/, '').trim(), {
        timeout: patienceMs,
      })
      .toBe(text);

  it('counts them on Home before all are here', async () => {
    const release = await holdSlices(page);
    await page.goto(address('/'));
    await page.getByRole('link', { name: 'All 10,000 runs' }).waitFor();
    await release();
    await page.unroute(/rpc\//);
  });

  it('shows the newest at once and says that older ones are on their way', async () => {
    const release = await holdSlices(page);
    await page.goto(address('/train/runs'));
    await page.getByRole('link', { name: 'sweep-9999', exact: true }).waitFor();
    await expect.poll(() => rows().textContent()).toContain('200 of 10,000 are loaded');
    await filter().fill('sweep-17');
    await page.getByText('Nothing found so far').waitFor();
    await page.getByLabel('Show only').getByRole('button', { name: 'Method' }).click();
    await page.getByText('Of the newest 200 of 10,000 runs').waitFor();
    await page.keyboard.press('Escape');
    await release();
    await shows('111 of 10,000');
    await page.unroute(/rpc\//);
  });

  it('finds soon after a key', async () => {
    await filter().fill('');
    await shows('10,000 rows');
    const took = await leastTime(2000, async (attempt) => {
      const name = `sweep-432${attempt}`;
      await filter().fill(name);
      await page.getByRole('link', { name, exact: true }).waitFor();
    });
    expect(took).toBeLessThan(2000);
  });

  it('opens the page of an old run, and compares old runs, before the list has come to them', async () => {
    const release = await holdSlices(page);
    await page.goto(address('/train/runs/run3'));
    await page.getByRole('heading', { level: 1, name: 'sweep-3' }).waitFor();
    await page.goto(address('/train/runs?runs=run3,run4&view=compare'));
    await page.getByText('2 runs', { exact: true }).waitFor();
    await page.getByRole('heading', { name: 'Differences' }).or(page.getByText('sweep-3')).first().waitFor();
    await page.goto(address('/train?run=run5'));
    await page.getByText('The form has the configuration of “sweep-5”.').waitFor();
    await page.goto(address('/train/runs/nowhere'));
    await page.getByText('This run is not here').waitFor();
    await release();
    await page.unroute(/rpc\//);
  });

  it('takes over what happens to a run while older ones are on their way', async () => {
    const release = await holdSlices(page);
    await page.goto(address('/train/runs'));
    await page.getByRole('link', { name: 'sweep-9999', exact: true }).waitFor();
    await studio.call('runs.annotate', { run: 'run12', name: 'renamed-12' });
    await studio.call('runs.remove', { run: 'run13' });
    await studio.call('runs.remove', { run: 'run9998' });
    await filter().fill('renamed');
    await page.getByRole('link', { name: 'renamed-12', exact: true }).waitFor();
    await filter().fill('');
    await release();
    await shows('9,998 rows');
    await filter().fill('sweep-12');
    await shows('110 of 9,998');
    await filter().fill('renamed');
    await shows('1 of 9,998');
    await page.unroute(/rpc\//);
  });

  it('mixes no projects when another one is opened meanwhile', async () => {
    await studio.call('projects.create', { title: 'other' });
    const release = await holdSlices(page);
    await page.goto(address('/train/runs'));
    await page.getByRole('link', { name: 'sweep-9999', exact: true }).waitFor();
    await studio.call('projects.open', { project: 'other' });
    await page.getByText('No runs yet').waitFor();
    await release();
    await studio.call('projects.open', { project: 'default' });
    await shows('9,998 rows');
    await page.goto(address('/evaluate'));
    await shows('9,998 rows');
  });
});
