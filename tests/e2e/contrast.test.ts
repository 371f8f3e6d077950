import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { filledHome } from './support/filledHome.ts';
import { takePicture } from './support/pictures.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

const pages = ['/', '/data', '/plan', '/evaluate', '/export', '/settings'];
const [black, white] = ['rgb(0, 0, 0)', 'rgb(255, 255, 255)'];
const nameOf = (path: string) => (path === '/' ? 'home' : path.slice(1));

describe.skipIf(!chromiumPath)(`high contrast and unusual windows${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;

  beforeAll(async () => {
    server = await startStudio({ home: filledHome({ runs: 12, evaluations: 60 }) });
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  for (const theme of ['light', 'dark'] as const)
    it(`keeps every page accessible in high contrast, ${theme}, with less motion`, async () => {
      const page = await openPage(browser, {
        viewport: { width: 1360, height: 860 },
        colorScheme: theme,
        contrast: 'more',
        reducedMotion: 'reduce',
      });
      await page.goto(server.url);
      const problems: string[] = [];
      for (const path of pages) {
        await page.goto(new URL(path, server.url).href);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.waitForLoadState('networkidle');
        for (const problem of await seriousProblems(page)) problems.push(`${path} ${problem}`);
        await takePicture(page, `contrast-${nameOf(path)}-${theme}`);
      }
      expect(problems).toEqual([]);
      const tokens = await page.evaluate<string[]>(
        "[getComputedStyle(document.body).color, getComputedStyle(document.querySelector('.panel')).backgroundColor, getComputedStyle(document.documentElement).getPropertyValue('--focus-width').trim(), getComputedStyle(document.querySelector('nav a')).transitionDuration]",
      );
      expect(tokens).toEqual(
        theme === 'light' ? [black, white, '3px', '0.001s'] : [white, black, '3px', '0.001s'],
      );
      await page.context().close();
    });

  it('fits into 320 px and does not stretch over 3,840 px', async () => {
    const page = await openPage(browser);
    await page.goto(server.url);
    const problems: string[] = [];
    for (const width of [320, 3840])
      for (const path of pages) {
        await page.setViewportSize({ width, height: width === 320 ? 640 : 2160 });
        await page.goto(new URL(path, server.url).href);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.waitForLoadState('networkidle');
        const [overflow, widest] = await page.evaluate<[number, number]>(
          "[document.documentElement.scrollWidth - document.documentElement.clientWidth, Math.max(0, ...[...document.querySelectorAll('main input, main select, main p')].map((element) => element.getBoundingClientRect().width))]",
        );
        if (overflow > 0) problems.push(`${path} is ${overflow} px wider than ${width} px`);
        if (widest > 1720) problems.push(`${path} has a field or a line of ${widest} px`);
        await takePicture(page, `${nameOf(path)}-${width}`);
      }
    expect(problems).toEqual([]);
    await page.context().close();
  });
});
