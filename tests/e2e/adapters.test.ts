import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { startHubServer, type HubServer } from '../support/hub/hubServer.ts';
import { fixtures, recorded } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from './support/studioServer.ts';

const elsewhere = (name: string) => join(recorded, 'elsewhere', name);

describe.skipIf(!chromiumPath)(`adapters from elsewhere in a browser${chromiumNote}`, () => {
  let server: StudioServer;
  let hub: HubServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  const errors: string[] = [];

  beforeAll(async () => {
    hub = await startHubServer(elsewhere('lora-bf16'));
    server = await startStudio({ env: { HF_ENDPOINT: hub.endpoint } });
    browser = await launchChromium();
    page = await openPage(browser, { viewport: { width: 1280, height: 860 } });
    page.on('pageerror', (error) => errors.push(error.message));
    studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 40, 1);
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'mine' });
    await studio.call('models.add', { folder: join(fixtures, 'tiny-qwen2'), name: 'other' });
    await studio.call('datasets.add', { path: file });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await hub?.close();
    if (server) removeHome(server.home);
  });

  const found = () => page.getByRole('group', { name: 'The adapter' });

  it('is found from the runs, and says what a folder holds and which models may be its base', async () => {
    await page.goto(new URL('/train/runs', server.url).href);
    await page.getByRole('link', { name: 'import an adapter' }).click();
    await page.getByLabel('Adapter folder').fill(elsewhere('lora-uneven'));
    await page.getByRole('button', { name: 'Look at it' }).click();
    await found().getByText('tiny-llama').first().waitFor();
    await found().getByText('4: q_proj, gate_proj, up_proj').waitFor();
    const base = page.getByLabel('Base model');
    // The library calls it “mine”, and its folder as the adapter does.
    await expect.poll(() => base.locator('option:checked').innerText()).toBe('mine (named by the adapter)');
    expect(await base.locator('option').allInnerTexts()).toEqual([
      'Choose its base…',
      'mine (named by the adapter)',
    ]);
    await found().getByText('1 model that cannot be its base').click();
    await found()
      .getByText(/^other: /)
      .waitFor();
    await takePicture(page, 'adapters');
    expect(await seriousProblems(page)).toEqual([]);
  });

  it('becomes a run that says where it came from and tells nothing that is not known', async () => {
    await page.getByLabel('Name of the run').fill('theirs');
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByRole('heading', { name: 'theirs' }).waitFor();
    await page.getByText('for mine, trained elsewhere').waitFor();
    const facts = page.getByRole('region', { name: 'Configuration' });
    await facts.getByText('Where it came from').waitFor();
    await facts.getByText(elsewhere('lora-uneven')).waitFor();
    expect(await facts.getByText('Learning rate').count()).toBe(0);
    expect(await page.getByText('Configure again').count()).toBe(0);
    expect(await seriousProblems(page)).toEqual([]);
  });

  it('is trained on with rows of one’s choice', async () => {
    await page.getByRole('link', { name: 'Train on…' }).click();
    await page.getByText('Trains the adapter of theirs on').waitFor();
    const number = (label: string) => page.getByLabel(label).and(page.locator('input[type=number]'));
    await number('Max steps').fill('20');
    await number('Context length').fill('96');
    await page.getByLabel('Run name').fill('further');
    await studio.start();
    await page.getByText('began with the adapter of').waitFor();
    await studio.waitForState('done');
  });

  it('comes from the Hub, is refused by what PEFT calls it, and goes along with its project', async () => {
    await page.goto(new URL('/train/adapters', server.url).href);
    await page.getByRole('tab', { name: 'Hugging Face Hub' }).click();
    await page.getByLabel('Adapter on the Hub').fill('org/tiny');
    await page.getByRole('button', { name: 'Download' }).click();
    await found().getByText('q_proj, v_proj').waitFor();
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByRole('heading', { name: 'tiny' }).waitFor();
    await page.getByText(`hub/org/tiny@${hub.commit}`).waitFor();
    const config = hub.files.get('adapter_config.json')!;
    hub.files.set('adapter_config.json', Buffer.from(config.toString().replace('"LORA"', '"VERA"')));
    hub.commit = 'e'.repeat(40);
    await page.goto(new URL('/train/adapters', server.url).href);
    await page.getByRole('button', { name: 'Download' }).click();
    await page.getByRole('alert').getByText('peft_type "VERA"').waitFor();
    await page
      .getByRole('region', { name: 'Imported adapters' })
      .getByRole('link', { name: 'theirs' })
      .waitFor();
    await page.goto(new URL('/settings', server.url).href);
    const file = join(server.home, 'carried.tar');
    await page.getByLabel(/^Write “/).fill(file);
    await page.getByRole('button', { name: 'Export the project' }).click();
    const archive = page.getByRole('region', { name: 'Project archive' });
    await archive.getByText(/It names these models and holds no weights of them, .*: mine\./).waitFor();
    await page.getByLabel('Archive to import').fill(file);
    await page.getByRole('button', { name: 'Import the archive' }).click();
    await archive.getByText('runs: 0 added, 3 here already, left as they are').waitFor();
    await page.getByRole('button', { name: 'Export the project' }).click();
    await archive.getByText(`${file} exists already.`).waitFor();
    await page.getByLabel('Archive to import').fill(join(server.home, 'sums.jsonl'));
    await page.getByRole('button', { name: 'Import the archive' }).click();
    await archive.getByText(/is cut off|is damaged, or no archive of a project/).waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await page.goto(new URL('/train/adapters', server.url).href);
    await page.setViewportSize({ width: 360, height: 780 });
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'adapters-360-dark');
    expect(errors).toEqual([]);
  });
});
