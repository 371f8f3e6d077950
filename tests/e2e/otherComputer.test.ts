import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../support/paths.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

const hasNetwork = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ internal, family }) => !internal && family === 'IPv4'),
);
const note = hasNetwork ? chromiumNote : ' (skipped: this machine is in no network)';

/* Its address is not localhost: the page is then no secure context, as on every other computer. */
describe.skipIf(!chromiumPath || !hasNetwork)(`the studio from another computer${note}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    server = await startStudio({ host: '0.0.0.0' });
    browser = await launchChromium();
    page = await openPage(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  it('opens by the link, works, and hears what happens', async () => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(server.otherUrls[0]!);
    await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor();
    expect(await page.evaluate('window.isSecureContext')).toBe(false);
    const studio = new StudioPage(page);
    await studio.goTo('Models');
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'told' });
    await page.getByRole('link', { name: 'told', exact: true }).waitFor();
    expect(errors).toEqual([]);
  });

  it('refuses the same without the token', async () => {
    const { origin } = new URL(server.otherUrls[0]!);
    expect((await fetch(origin)).status).toBe(401);
  });
});
