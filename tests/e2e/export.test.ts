import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { patchedFolder } from '../support/patchedFolder.ts';
import { fixtures, projectFolder } from '../support/paths.ts';
import { startWritableHub, type WritableHub } from '../support/hub/writableHub.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from './support/chromium.ts';
import { takePicture } from './support/pictures.ts';
import { StudioPage } from './support/studioPage.ts';
import { enginesOf, removeHome, startStudio, type StudioServer } from './support/studioServer.ts';
import { patienceMs } from '../support/patience.ts';

const exported = ['README.md', 'adapter_config.json', 'adapter_model.safetensors'];

describe.skipIf(!chromiumPath)(`exports in a browser${chromiumNote}`, () => {
  let server: StudioServer;
  let hub: WritableHub;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  const errors: string[] = [];

  beforeAll(async () => {
    hub = await startWritableHub();
    server = await startStudio({ env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: hub.token } });
    browser = await launchChromium();
    page = await openPage(browser, {
      permissions: ['clipboard-read', 'clipboard-write'],
      viewport: { width: 1280, height: 860 },
    });
    page.on('pageerror', (error) => errors.push(error.message));
    studio = new StudioPage(page);
    await page.goto(server.url);
    const file = join(server.home, 'sums.jsonl');
    writeGeneratedDataset(file, 40, 1);
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await studio.call('datasets.add', { path: file });
    for (const [name, adapter] of [
      ['plain', { method: 'lora', rank: 2, alpha: 4 }],
      ['routed', { method: 'idlora', rank: 2, alpha: 4, clusters: 2 }],
    ] as const) {
      const config = { adapter, maxSteps: 2, batch: 2, context: 64, system: 'Count well.' };
      await studio.call('runs.start', { name, model: 'tiny', dataset: 'sums', config });
    }
    await studio.goTo('Export');
    // The second one is there once it has trained.
    await run().getByRole('option', { name: 'routed' }).waitFor({ state: 'attached', timeout: patienceMs });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await hub?.close();
    if (server) removeHome(server.home);
  });

  const run = () => page.getByLabel('Run', { exact: true });
  const folder = () => page.getByLabel('Folder', { exact: true });
  const exits = () => page.getByRole('radiogroup', { name: 'Format' });
  const wayOut = (name: RegExp) => exits().getByRole('radio', { name });
  const start = () => page.getByRole('button', { name: 'Export and check' }).click();
  const latest = () => page.getByRole('region', { name: /^Latest export/ });

  it('says before the export which ways out the run’s method has, and why not the others', async () => {
    await run().selectOption({ label: 'routed' });
    await exits().getByText('the small Python package beside them teaches it').waitFor();
    await exits().getByText('with the weights of its experts held at their mean').waitFor();
    await expect.poll(() => wayOut(/^Adapter folder/).isChecked()).toBe(true);
    await expect.poll(() => wayOut(/^Whole model/).isDisabled()).toBe(false);
    await run().selectOption({ label: 'plain' });
    const template = page.getByTestId('export-template');
    await template
      .getByText(
        /Trained through the template “.+”, with the system text “Count well.”.*An answer ends (at|before) /,
      )
      .waitFor();
    await exits().getByText('PEFT loads the folder.').waitFor();
    await expect.poll(() => wayOut(/^Whole model/).isDisabled()).toBe(false);
  });

  it('suggests a folder, shows its parts here and on every other page, and leads back to the certificate', async () => {
    const suggested = join(server.home, 'exports', 'plain');
    await expect.poll(() => folder().getAttribute('placeholder')).toBe(suggested);
    await start();
    await page
      .getByRole('status')
      .filter({ hasText: /plain: .*part 2 of 3/ })
      .waitFor();
    // Held until it has been looked at: a small model is exported in seconds.
    let engine = 0;
    await expect.poll(() => (engine = enginesOf(server)[0] ?? 0)).toBeGreaterThan(0);
    process.kill(engine, 'SIGSTOP');
    await studio.goTo('Home');
    const chipOf = (of: Page) => of.getByRole('link', { name: /^export .*part \d of 3/ });
    const chip = chipOf(page);
    await chip.waitFor();
    // A page that is opened meanwhile shows it, too.
    const other = await page.context().newPage();
    await other.goto(new URL('/models', server.url).href);
    await chipOf(other).waitFor();
    await other.close();
    // It goes on where the page is loaded anew, and is shown there.
    await page.reload();
    await chip.waitFor();
    process.kill(engine, 'SIGCONT');
    await chip.click();
    await latest().getByText('✓ equal to the run').waitFor({ timeout: patienceMs });
    await chip.waitFor({ state: 'detached' });
    await latest().getByText(suggested, { exact: true }).waitFor();
    expect(readdirSync(suggested)).toEqual(expect.arrayContaining(exported));
    for (const compared of [/over 64 tokens \(tolerance/, /likeliest next token is the same at 64 of 64/])
      await latest().getByText(compared).waitFor();
  });

  it('copies the path of the folder', async () => {
    await latest().getByRole('button', { name: 'Copy path' }).click();
    await page.getByText('Copied the path of the folder.').waitFor();
    await expect
      .poll(() => page.evaluate<string>('navigator.clipboard.readText()'))
      .toBe(join(server.home, 'exports', 'plain'));
  });

  it('sets the ways out side by side, with their speeds where they are measured', async () => {
    const ways = page.getByRole('region', { name: 'Ways out of plain' });
    const row = ways.getByRole('row').filter({ hasText: 'Adapter folder (PEFT)' });
    await row.getByText('equal').waitFor();
    await ways.getByRole('row').filter({ hasText: 'Whole model' }).getByText('not exported').waitFor();
    await ways.getByRole('button', { name: 'Measure speeds' }).click();
    await expect.poll(() => row.innerText(), { timeout: patienceMs }).toMatch(/100 %\s+[\d.]+\s+equal/);
  });

  it('pushes it to the Hub, and replaces there only what a person says', async () => {
    await latest().getByText('Push to the Hub').click();
    await latest().getByLabel('Repository').fill('me/plain');
    const push = latest().getByRole('button', { name: 'Push', exact: true });
    await push.click();
    await latest()
      .getByText(/^Made me\/plain, commit/)
      .waitFor({ timeout: 30_000 });
    const { files, isPrivate } = hub.repositories.get('me/plain')!;
    expect(isPrivate).toBe(true);
    expect([...files.keys()]).toEqual(expect.arrayContaining(exported));
    files.set('README.md', Buffer.from('mine'));
    await push.click();
    await latest().getByRole('alert').filter({ hasText: 'other files of these names: README.md' }).waitFor();
    await latest().getByRole('button', { name: 'Replace these files' }).click();
    await latest()
      .getByText(/^Wrote to me\/plain, commit .*: 1 files sent/)
      .waitFor();
    expect(files.get('README.md')!.toString()).toContain('# plain');
  });

  it('refuses at the form a folder that holds something else, and takes a typed one', async () => {
    const precious = join(server.home, 'thesis');
    mkdirSync(precious);
    writeFileSync(join(precious, 'thesis.txt'), 'years of work');
    await run().selectOption({ label: 'routed' });
    await folder().fill(precious);
    await start();
    await page.getByRole('alert').filter({ hasText: precious }).waitFor();
    expect(readdirSync(precious)).toEqual(['thesis.txt']);
    const typed = join(server.home, 'for others', 'routed');
    await folder().fill(`"${typed}"`);
    await start();
    await latest().getByText(typed, { exact: true }).waitFor({ timeout: patienceMs });
    await latest().getByText('✓ equal to the run').waitFor();
    expect(readdirSync(typed)).toEqual(expect.arrayContaining(exported));
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('lists an export that a later one wrote over as such', async () => {
    await run().selectOption({ label: 'plain' });
    // Its own export may be written anew, so the same folder is suggested.
    await expect.poll(() => folder().inputValue()).toBe('');
    await start();
    const rows = page.getByRole('row').filter({ hasText: join('exports', 'plain') });
    await expect.poll(() => rows.count(), { timeout: patienceMs }).toBe(2);
    await expect.poll(() => rows.nth(0).innerText()).toContain('✓ equal');
    await expect.poll(() => rows.nth(1).innerText()).toContain('overwritten');
    expect(existsSync(join(server.home, 'exports', 'plain-2'))).toBe(false);
  });

  it('writes files for llama.cpp: a model in a type of theirs, with what Ollama needs', async () => {
    await run().selectOption({ label: 'plain' });
    await wayOut(/^GGUF adapter/).waitFor();
    await wayOut(/^GGUF model/).check();
    await page.getByLabel('Type of the weights').selectOption('Q4_K_M');
    await page.getByLabel('Check with llama.cpp, too').waitFor();
    const typed = join(server.home, 'for llama');
    await folder().fill(typed);
    await start();
    await latest().getByText(typed, { exact: true }).waitFor({ timeout: patienceMs });
    await latest().getByText('✓ equal to the run').waitFor();
    await latest()
      .getByText(/for rounding to Q4_K_M/)
      .waitFor();
    expect(readdirSync(typed)).toEqual(expect.arrayContaining(['Modelfile', 'model.gguf']));
  });

  it('hands a run over to a cluster, and takes back what was trained there', async () => {
    const cluster = page.getByRole('region', { name: 'Cluster' });
    await cluster.getByLabel('Run to train elsewhere').selectOption({ label: 'routed' });
    const handed = join(server.home, 'handed');
    await cluster.getByLabel('Folder to hand over').fill(handed);
    await cluster.getByRole('button', { name: 'Hand over to a cluster' }).click();
    await cluster.getByText(/^Handed over: 39 rows and 1 held-out/).waitFor({ timeout: patienceMs });
    expect(readdirSync(handed)).toEqual(expect.arrayContaining(['rows.safetensors', 'start', 'train.py']));
    const result = cluster.getByLabel('Result that came back');
    await result.fill(handed);
    await cluster.getByRole('button', { name: 'Take in' }).click();
    await page.getByRole('alert').filter({ hasText: 'there is no result.json' }).waitFor();
    await result.fill(join(projectFolder, 'tests', 'parity', 'recorded', 'cluster', 'idlora'));
    await cluster.getByRole('button', { name: 'Take in' }).click();
    await cluster.getByRole('status').filter({ hasText: '50 steps. Trained elsewhere by PyTorch' }).waitFor();
    await cluster.getByRole('link', { name: 'handed' }).click();
    await page.getByRole('heading', { name: 'handed' }).first().waitFor();
    await studio.goTo('Export');
  });

  it('shows in red what the model folder says twice and differently', async () => {
    const model = patchedFolder('tiny-llama', { 'config.json': { tie_word_embeddings: true } });
    await studio.call('models.add', { folder: model, name: 'double' });
    const config = { adapter: { method: 'lora', rank: 2, alpha: 4 }, maxSteps: 1, batch: 2, context: 64 };
    await studio.call('runs.start', { name: 'doubtful', model: 'double', dataset: 'sums', config });
    await run().getByRole('option', { name: 'doubtful' }).waitFor({ state: 'attached', timeout: patienceMs });
    await run().selectOption({ label: 'doubtful' });
    await start();
    await latest()
      .getByText('✕ equal here, but the model folder CONTRADICTS ITSELF')
      .waitFor({ timeout: patienceMs });
    const [plain, told, verdict] = await page.evaluate<string[]>(`(() => {
      const region = document.querySelector('section[aria-labelledby="latest-export"]');
      const lines = [...region.querySelectorAll('li')];
      const contradiction = lines.find((line) => line.textContent.includes('tie_word_embeddings is true'));
      return [lines[0], contradiction, region.querySelector('h2 span')].map((e) => getComputedStyle(e).color);
    })()`);
    expect(told).toBe(verdict);
    expect(told).not.toBe(plain);
    await page.getByRole('row').filter({ hasText: 'doubtful' }).getByText('✕ AMBIGUOUS').waitFor();
  });

  it.each([
    [1280, 'light'],
    [1024, 'dark'],
    [390, 'light'],
  ] as const)('fits %d px and passes axe, %s', async (width, colorScheme) => {
    await page.setViewportSize({ width, height: 860 });
    await page.emulateMedia({ colorScheme });
    const overflow = () =>
      page.locator('html').evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    await expect.poll(overflow).toBe(0);
    await expect.poll(() => page.locator('button.primary, a.primary').count()).toBe(1);
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, `export-${width}-${colorScheme}`);
    expect(errors).toEqual([]);
  });
});
