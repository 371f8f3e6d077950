import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { addToCache } from '../support/hub/cacheFolder.ts';
import { startHubServer, type HubServer } from '../support/hub/hubServer.ts';
import { fixtures, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

describe.skipIf(!chromiumPath)(`the Models page${chromiumNote}`, () => {
  let hub: HubServer;
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;

  beforeAll(async () => {
    hub = await startHubServer(tinyLlama);
    const cache = temporaryFolder();
    addToCache(cache, 'Qwen/tiny-cached', join(fixtures, 'tiny-qwen3'));
    for (const [name, value] of Object.entries({
      HF_HUB_CACHE: cache,
      HF_HOME: temporaryFolder(),
      HF_ENDPOINT: hub.endpoint,
      HF_TOKEN: '',
      HF_HUB_OFFLINE: '',
    }))
      vi.stubEnv(name, value);
    server = await startStudio();
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 900 } });
    studio = new StudioPage(page);
    await page.goto(server.url);
    await studio.goTo('Models');
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
    await hub?.close();
    vi.unstubAllEnvs();
  });

  it('takes a model of the Hugging Face cache in place and shows its card', async () => {
    await page.getByText('or a GGUF file, which is dequantized as it is read').waitFor();
    await page.getByRole('tab', { name: 'Hugging Face cache' }).click();
    await page.getByRole('button', { name: 'Use Qwen/tiny-cached in place' }).click();
    await page.getByRole('heading', { name: 'tiny-cached' }).waitFor();
    await page.getByText('used in place').waitFor();
    await page.getByRole('textbox', { name: 'Text' }).fill('12 + 7');
    await expect
      .poll(() => page.getByRole('list', { name: 'Tokens' }).getByRole('listitem').count(), {
        timeout: 15_000,
      })
      .toBe(7);
    await takePicture(page, 'models-card');
    await expect.poll(() => seriousProblems(page)).toEqual([]);
  });

  it('finds, looks at and downloads a model of the Hub; a stopped download can be resumed after a reload', async () => {
    await page.getByRole('tab', { name: 'Hugging Face Hub' }).click();
    await page.getByLabel('Model on the Hub').fill('tiny');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('button', { name: 'org/tiny' }).click();
    await page.getByText('192 kB in 5 files').waitFor();
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    hub.faults.delayMs = 60_000;
    await page.getByRole('button', { name: /^Download / }).click();
    // While the Hub is asked the form has a Cancel, too, which would keep the download from beginning.
    const downloads = page.getByRole('region', { name: 'Downloads' });
    await downloads.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Resume the download of org/tiny' }).waitFor();
    hub.faults.delayMs = 0;
    await page.reload();
    await page.getByRole('button', { name: 'Resume the download of org/tiny' }).click();
    await page.getByRole('link', { name: 'tiny', exact: true }).click();
    await page.getByText('in the data folder', { exact: false }).first().waitFor();
  });

  it('says before it deletes a download how much that frees', async () => {
    await page.getByRole('button', { name: 'Delete…' }).click();
    await page.getByText(/Deletes 5 files in .* and frees 192 kB/).waitFor();
    await page.getByRole('button', { name: 'Delete the model' }).click();
    await page.getByRole('link', { name: 'tiny', exact: true }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'tiny', exact: true }).waitFor();
  });

  it('takes a model in place out of the library without a question, since nothing is lost, and back again', async () => {
    await page.getByRole('link', { name: 'tiny-cached' }).click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('link', { name: 'tiny-cached' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'tiny-cached' }).waitFor();
  });

  /** What a browser does with a dropped file. */
  async function drop(name: string, content: string): Promise<void> {
    await page.evaluate(`{
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([${JSON.stringify(content)}], ${JSON.stringify(name)}));
      for (const type of ['dragenter', 'dragover', 'drop'])
        window.dispatchEvent(new DragEvent(type, { dataTransfer, cancelable: true }));
    }`);
  }

  it('takes a dataset that is dropped on any page, and says at its form why a broken one is none', async () => {
    await drop('dropped.jsonl', '{"question":"a","answer":"b"}\n'.repeat(3));
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'dropped' }).waitFor();
    await drop('broken.jsonl', '{"x":1,"y":[2]}\n');
    await page.getByText(/broken.jsonl, row 1 has the fields x/).waitFor();
  });

  it('says what to do with a model that a browser cannot place', async () => {
    await drop('model.safetensors', 'x');
    await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor();
    await expect
      .poll(() => page.getByRole('alert').textContent())
      .toMatch(/does not tell where “model.safetensors” lies/);
  });
});
