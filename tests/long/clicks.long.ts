import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { chromiumNote, chromiumPath, launchChromium } from '../e2e/support/chromium.ts';
import { StudioPage } from '../e2e/support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from '../e2e/support/studioServer.ts';
import { tinyLlama } from '../support/paths.ts';

/* Clicks on the parts of a run's page while the run trains, some hundred steps a second. */
const rounds = 25;

/** Milliseconds from a click on a link of the page's parts to the end of the frame that shows that part. */
const clickToFrame = (name: string) => `(async () => {
  const link = [...document.querySelectorAll('nav[aria-label="Run"] a')].find((a) => a.textContent === '${name}');
  const begin = performance.now();
  link.click();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begin;
})()`;

describe.skipIf(!chromiumPath)(`clicks while a run trains${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;

  beforeAll(async () => {
    server = await startStudio();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
  });

  it('are answered within 100 ms', async () => {
    const page = await (await browser.newContext({ viewport: { width: 1360, height: 860 } })).newPage();
    const studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 400, 1);
    await studio.call('models.add', { folder: tinyLlama, name: 'tiny' });
    await studio.call('datasets.add', { path: file, name: 'sums' });
    const run = await studio.call<{ id: string }>('runs.start', {
      name: 'clicks',
      model: 'tiny',
      dataset: 'sums',
      config: {
        adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2 },
        maxSteps: 200_000,
        batch: 2,
        context: 64,
        evalEvery: 200,
        heldOutFraction: 0.1,
        checkpointEvery: 500,
        samples: { prompts: ['2 + 3 ='], every: 200, maxTokens: 8 },
      },
    });
    await page.goto(new URL(`/train/runs/${run.id}`, server.url).href);
    await studio.waitForStep(500);
    const times: Record<string, number[]> = { Summary: [], Config: [], Logs: [], Charts: [] };
    for (let round = 0; round < rounds; round++)
      for (const [name, of] of Object.entries(times)) {
        of.push(await page.evaluate<number>(clickToFrame(name)));
        // Not always at the same distance from the batches of steps, which come twice a second.
        await page.waitForTimeout(100 + ((round * 37) % 200));
      }
    const figures = (of: readonly number[]) => {
      const ascending = of.toSorted((a, b) => a - b);
      return [0.5, 0.95, 1].map((share) =>
        Math.round(ascending[Math.ceil(share * ascending.length) - 1]!),
      ) as [number, number, number];
    };
    for (const [name, of] of [...Object.entries(times), ['all', Object.values(times).flat()] as const]) {
      const [median, most, worst] = figures(of);
      console.log(`${name}: median ${median} ms, 95 % within ${most} ms, worst ${worst} ms`);
    }
    console.log(`step ${await studio.shownStep()}, load ${loadavg()[0]!.toFixed(1)}`);
    for (const of of Object.values(times)) expect(figures(of)[1]).toBeLessThan(100);
  });
});
