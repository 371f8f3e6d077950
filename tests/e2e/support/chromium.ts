import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { tellAtFailure } from './shownAtFailure.ts';

/** A real Chromium: the one that the environment names, or the distribution's. */
export const chromiumPath =
  [process.env['CHROMIUM_PATH'], '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
    (path) => path !== undefined && existsSync(path),
  ) ?? null;

/** For test names: why a test was skipped. */
export const chromiumNote = chromiumPath ? '' : ' (skipped: no Chromium; set CHROMIUM_PATH)';

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath!,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ],
  });
}

/**
 * A page of its own context. It asks for no motion: without a graphics card to draw it, that which turns while an
 * engine computes took a sixth of the processor time of a test.
 */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await (await browser.newContext({ reducedMotion: 'reduce', ...options })).newPage();
  tellAtFailure(page);
  return page;
}
