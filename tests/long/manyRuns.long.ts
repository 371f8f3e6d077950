import { loadavg } from 'node:os';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumNote, chromiumPath, launchChromium } from '../e2e/support/chromium.ts';
import { filledHome } from '../e2e/support/filledHome.ts';
import { removeHome, startStudio } from '../e2e/support/studioServer.ts';

/* History on 10,000 runs and 10,000 scores, opened cold: the core has just started, the browser has no page yet. */
const rounds = 7;

/**
 * Notes when the page shows its heading, its first rows and all rows, and the longest gap between two frames from then
 * on.
 */
const watch = `
  const seen = (window.seen = { gap: 0 });
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    if (!seen.heading && document.querySelector('main h1')) seen.heading = now;
    if (!seen.rows && document.querySelector('tr[data-row="5"]')) seen.rows = now;
    else if (seen.rows) seen.gap = Math.max(seen.gap, now - last);
    if (!seen.whole && document.querySelector('.count')?.textContent.trim() === '10,000 rows') seen.whole = now;
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
`;

/** From a key to the frame that shows what was found, in milliseconds, for each of some texts. */
const type = `async (texts) => {
  const input = document.querySelector('input.filter');
  const times = [];
  for (const text of texts) {
    const begin = performance.now();
    input.value = text;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - begin);
  }
  return times;
}`;

interface Seen {
  heading: number;
  rows: number;
  whole: number;
  gap: number;
}

describe.skipIf(!chromiumPath)(`10,000 runs and scores${chromiumNote}`, () => {
  const homes: string[] = [];
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchChromium();
    homes.push(filledHome({ runs: 10_000, evaluations: 10_000 }), filledHome({ runs: 30, evaluations: 0 }));
  });
  afterAll(async () => {
    await browser?.close();
    for (const home of homes) removeHome(home);
  });

  async function open(home: string): Promise<Seen & { keys: number[] }> {
    const server = await startStudio({ home });
    const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
    try {
      const { origin, searchParams } = new URL(server.url);
      await context.addCookies([{ name: 'studio_token', value: searchParams.get('token')!, url: origin }]);
      const page = await context.newPage();
      await page.addInitScript(watch);
      await page.goto(`${origin}/train/runs`);
      const isThrough = `Boolean(${home === homes[0] ? 'window.seen.whole' : 'window.seen.rows'})`;
      while (!(await page.evaluate(isThrough))) await page.waitForTimeout(20);
      const seen = (await page.evaluate('window.seen')) as Seen;
      const texts = JSON.stringify(['s', 'sweep-9', 'sweep-99', 'sweep-999', '']);
      return { ...seen, keys: (await page.evaluate(`(${type})(${texts})`)) as number[] };
    } finally {
      await context.close();
      await server.stop();
    }
  }

  it('are listed and searched', async () => {
    const many: Awaited<ReturnType<typeof open>>[] = [];
    const few: typeof many = [];
    for (let round = 0; round < rounds; round++) {
      many.push(await open(homes[0]!));
      few.push(await open(homes[1]!));
    }
    const median = (of: typeof many, value: (seen: (typeof many)[number]) => number) =>
      Math.round(of.map(value).sort((a, b) => a - b)[rounds >> 1]!);
    const rows = (of: typeof many) => median(of, (seen) => seen.rows - seen.heading);
    console.log(`load ${loadavg()[0]!.toFixed(1)}, ${rounds} cold starts, medians in ms`);
    console.log(
      `page to first rows: ${median(many, (seen) => seen.rows)}, heading to first rows: ${rows(many)}`,
    );
    console.log(`with 30 runs: ${median(few, (seen) => seen.rows)}, ${rows(few)}`);
    console.log(`page to all rows: ${median(many, (seen) => seen.whole)}`);
    console.log(`longest frame after the first rows: ${median(many, ({ gap }) => gap)}`);
    console.log(
      `key to found rows: first ${median(many, ({ keys }) => keys[0]!)}, later at most ${median(many, ({ keys }) => Math.max(...keys.slice(1)))}`,
    );
    expect(median(many, ({ keys }) => Math.max(...keys))).toBeLessThan(100);
    expect(rows(many) - rows(few)).toBeLessThan(100);
  });
});
