import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium, openPage } from './chromium.ts';
import { StudioPage } from './studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './studioServer.ts';

/** The studio as a person has it in a browser: a server, a window, and what went wrong on its pages. */
export interface OpenedStudio {
  readonly server: StudioServer;
  browser: Browser;
  page: Page;
  studio: StudioPage;
  /** Errors that nobody caught on the page. */
  errors: string[];
  /**
   * Ends the server and starts it anew on the same data folder; the page opens it again: a new server has a new token.
   * @param options.whileGone is done in between; then it comes back at the same address
   */
  restart(options?: { whileGone?: () => Promise<unknown> }): Promise<void>;
  /** Ends everything, and deletes the data folder. */
  close(): Promise<void>;
}

/** @param options.home a data folder that is there; absent: a new one */
export async function openStudio({
  home,
  ...context
}: { home?: string } & BrowserContextOptions = {}): Promise<OpenedStudio> {
  let server = await startStudio({ ...(home !== undefined && { home }) });
  const browser = await launchChromium();
  const errors: string[] = [];
  const page = await openPage(browser, { viewport: { width: 1280, height: 900 }, ...context });
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(server.url);
  return {
    get server() {
      return server;
    },
    browser,
    page,
    studio: new StudioPage(page),
    errors,
    async restart({ whileGone } = {}) {
      const { port } = new URL(server.url);
      await server.stop();
      await whileGone?.();
      server = await startStudio({ home: server.home, ...(whileGone && { port: Number(port) }) });
      await page.goto(server.url);
    },
    async close() {
      await browser.close();
      await server.stop();
      removeHome(server.home);
    },
  };
}
