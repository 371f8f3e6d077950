import { mkdtempSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCurveReader } from '../../src-main/services/runs/curveReader.ts';
import { openReadable } from '../../src-main/store/database.ts';
import { chromiumNote, chromiumPath, launchChromium } from '../e2e/support/chromium.ts';
import { removeHome, startStudio, type StudioServer } from '../e2e/support/studioServer.ts';
import { writeLongRun } from '../support/longRun.ts';

/* A run of 100,000 steps in a real database, opened and panned in a real Chromium (software rendering, 1360 x 900). */
const steps = 100_000;

/**
 * Moves a chart by dragging with Shift for some seconds, one movement a frame. @returns milliseconds between frames,
 * ascending
 */
const panning = `async (seconds) => {
  const chart = document.querySelector('[data-points]');
  const { left, top, width, height } = chart.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  // Events made by a script have no active pointer that could be captured.
  chart.setPointerCapture = () => undefined;
  const fire = (type, clientX) =>
    chart.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX, clientY: y, shiftKey: true }));
  fire('pointerdown', x);
  const gaps = [];
  let last = await new Promise(requestAnimationFrame);
  const end = last + 1000 * seconds;
  while (last < end) {
    fire('pointermove', x + (width / 4) * Math.sin(last / 700));
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last);
    last = now;
  }
  fire('pointerup', x);
  return gaps.sort((a, b) => a - b);
}`;

describe.skipIf(!chromiumPath)(`a run of 100,000 steps${chromiumNote}`, () => {
  const home = mkdtempSync(join(tmpdir(), 'id-lora-long-'));
  let runId: string;
  let server: StudioServer;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    // The server makes its data folder first.
    const first = await startStudio({ home });
    await first.stop();
    runId = writeLongRun(join(home, 'studio.db'), 'long', steps);
    server = await startStudio({ home });
    browser = await launchChromium();
    page = await (await browser.newContext({ viewport: { width: 1360, height: 900 } })).newPage();
    await page.goto(server.url);
    await page.getByRole('heading', { level: 1 }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    removeHome(home);
  });

  it('is read by the core in an overview and in detail', () => {
    const database = openReadable(join(home, 'studio.db'));
    const reader = createCurveReader(database);
    const timed = (query: Parameters<typeof reader.read>[1]) => {
      const begin = performance.now();
      const points = reader.read(runId, query).steps.length;
      return `${Math.round(performance.now() - begin)} ms, ${points} points`;
    };
    console.log(`core, first overview: ${timed({ points: 2500, smoothing: 0.9 })}`);
    console.log(`core, again: ${timed({ points: 2500, smoothing: 0.9 })}`);
    console.log(`core, detail: ${timed({ from: 40_000, to: 60_000, points: 2500, smoothing: 0.9 })}`);
    database.readable.close();
  });

  it('opens within a second and pans at 30 frames a second', async () => {
    const begin = performance.now();
    await page.goto(new URL(`/train/runs/${runId}`, server.url).href);
    const chart = page.locator('[data-points]').first();
    while (!(Number(await chart.getAttribute('data-points')) > 1000)) await page.waitForTimeout(10);
    const openMs = performance.now() - begin;
    const report: string[] = [`opened in ${Math.round(openMs)} ms`];
    const slowest: number[] = [];
    for (const zooms of [1, 2, 3]) {
      await page.getByRole('button', { name: 'Zoom in' }).click();
      await page.waitForTimeout(600);
      const shown = await chart.getAttribute('data-points');
      const gaps = await page.evaluate<number[]>(`(${panning})(4)`);
      const perSecond = (1000 * gaps.length) / gaps.reduce((total, gap) => total + gap, 0);
      const late = gaps[Math.floor(0.95 * gaps.length)]!;
      report.push(
        `1/${2 ** zooms} of the steps (${shown} points): ${perSecond.toFixed(0)} frames/s, 95 % within ${late.toFixed(0)} ms`,
      );
      slowest.push(perSecond);
    }
    console.log(`${report.join('\n')}\nload ${loadavg()[0]!.toFixed(1)}`);
    expect(openMs).toBeLessThan(1000);
    expect(Math.min(...slowest)).toBeGreaterThanOrEqual(30);
  });
});
