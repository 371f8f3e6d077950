import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { patienceMs } from '../support/patience.ts';

describe.skipIf(!chromiumPath)(`a studio that hangs${chromiumNote}`, () => {
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  let engine: number;

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
    const config = {
      adapter: { method: 'lora', rank: 4, alpha: 8 },
      maxSteps: 200_000,
      batch: 4,
      context: 64,
    };
    const { id } = await studio.call<{ id: string }>('runs.start', {
      name: 'long',
      model: 'tiny',
      dataset: 'sums',
      config,
    });
    await page.goto(new URL(`/train/runs/${id}`, server.url).href);
    await studio.waitForStep(5);
    engine = Number(
      execFileSync('pgrep', ['-n', '-P', String(server.pid), '-f', 'engine/process/child.ts'], {
        encoding: 'utf8',
      }),
    );
  });
  afterAll(async () => {
    await browser?.close();
    if (server) for (const pid of [engine, server.pid]) signal(pid, 'SIGCONT');
    await server?.stop();
    if (server) removeHome(server.home);
  });

  function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT'): void {
    if (pid) process.kill(pid, name);
  }
  const alert = () => page.getByRole('alert');
  const state = () => page.getByRole('region', { name: 'State' });

  it('raises no alarm over two seconds', async () => {
    const seen = await studio.shownStep();
    signal(server.pid, 'SIGSTOP');
    await page.waitForTimeout(2000);
    signal(server.pid, 'SIGCONT');
    await studio.waitForStep(seen + 1);
    expect(await alert().count()).toBe(0);
  });

  it('is noticed, says what is saved, and goes on by itself', async () => {
    const begin = Date.now();
    signal(server.pid, 'SIGSTOP');
    await alert().filter({ hasText: 'has not answered for 5 seconds' }).waitFor({ timeout: 10_000 });
    expect(Date.now() - begin).toBeGreaterThan(4000);
    await expect
      .poll(() => alert().textContent())
      .toContain('Everything up to the last checkpoint of a run is saved.');
    const seen = await studio.shownStep();
    signal(server.pid, 'SIGCONT');
    await alert().waitFor({ state: 'detached' });
    await studio.waitForStep(seen + 1);
  });

  it('is connected to anew after a long time, without a gap', async () => {
    signal(server.pid, 'SIGSTOP');
    await alert()
      .filter({ hasText: 'The connection to the studio is lost.' })
      .waitFor({ timeout: patienceMs });
    const seen = await studio.shownStep();
    signal(server.pid, 'SIGCONT');
    await alert().waitFor({ state: 'detached' });
    await studio.waitForStep(seen + 1);
  });

  it('says of an engine only that no step came, and what is usual', async () => {
    await studio.waitForStep((await studio.shownStep()) + 5);
    signal(engine, 'SIGSTOP');
    await state()
      .getByText(/no step for \d+ s; one usually takes [\d.]+ s/)
      .waitFor({ timeout: patienceMs });
    expect(await alert().count()).toBe(0);
    await studio.waitForState('running');
    signal(engine, 'SIGCONT');
    await state().getByText('no step for').waitFor({ state: 'detached' });
  });

  it('ends a run at once whose engine hangs, though a pause waits for its step', async () => {
    signal(engine, 'SIGSTOP');
    await page.getByRole('button', { name: 'Pause' }).click();
    await state().getByText('ends after its step').waitFor();
    await page.getByRole('button', { name: 'Stop…' }).click();
    await page.getByRole('button', { name: 'Stop without saving' }).click();
    await studio.waitForState('stopped');
    engine = 0;
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    expect(await alert().count()).toBe(0);
  });
});
