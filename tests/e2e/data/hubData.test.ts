import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Dataset } from '../../../src-main/contract/entities.ts';
import { startDatasetHub, type DatasetHub } from '../../support/hub/datasetHub.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath, launchChromium, openPage } from '../support/chromium.ts';
import { takePicture } from '../support/pictures.ts';
import { StudioPage } from '../support/studioPage.ts';
import { removeHome, startStudio, type StudioServer } from '../support/studioServer.ts';

const card = [
  '---',
  'license: mit',
  'configs:',
  '- config_name: main',
  '  default: true',
  '  data_files:',
  '  - split: train',
  '    path: main/train.jsonl',
  '  - split: test',
  '    path: main/test.jsonl',
  '- config_name: fragen',
  '  data_files: fragen/*.jsonl',
  '---',
].join('\n');
const sums = (count: number) =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ question: `${i}+1`, answer: `${i + 1}` })).join(
    '\n',
  );
const asked = ['{"frage":"Was ist 1 + 1?","antwort":"Zwei."}', '{"frage":"Und 2?","antwort":"Zwei."}'].join(
  '\n',
);

describe.skipIf(!chromiumPath)(`datasets of the Hub in a browser${chromiumNote}`, () => {
  let hub: DatasetHub;
  let server: StudioServer;
  let browser: Browser;
  let page: Page;
  let studio: StudioPage;
  const datasets = () => studio.call<Dataset[]>('datasets.list', {});

  beforeAll(async () => {
    hub = await startDatasetHub({
      'README.md': card,
      'main/train.jsonl': sums(400),
      'main/test.jsonl': sums(20),
      'fragen/a.jsonl': asked,
    });
    for (const [name, value] of Object.entries({
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
    await studio.goTo('Data');
    await page.getByRole('tab', { name: 'Hugging Face Hub' }).click();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    if (server) removeHome(server.home);
    await hub?.close();
    vi.unstubAllEnvs();
  });

  const search = async (text: string) => {
    await page.getByLabel('Dataset on the Hub').fill(text);
    await page.getByRole('button', { name: text.includes('/') ? 'Look up' : 'Search' }).click();
  };

  it('says in its place that nothing was found, or that there is no such dataset', async () => {
    await search('nothing of that name');
    await page.getByText('No dataset has this in its name.').waitFor();
    await search('org/none');
    const alert = page.getByRole('alert').filter({ hasText: 'The dataset cannot be looked up.' });
    await alert.getByText(/org\/none is not on the Hub/).waitFor();
    await page.getByText('without an access token', { exact: false }).waitFor();
    expect(hub.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('finds a dataset and shows its configurations, parts and sizes before it downloads', async () => {
    await search('sums');
    await page.getByRole('button', { name: 'org/sums' }).click();
    const found = page.getByRole('group', { name: 'What a download would bring' });
    await found.getByText('mit', { exact: true }).waitFor();
    await expect
      .poll(() => found.getByLabel('Configuration').locator('option').allTextContents())
      .toEqual(['main', 'fragen']);
    await found.getByText(/^1[34][\d.]* kB in 1 file$/).waitFor();
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'data-hub');
    await page.setViewportSize({ width: 390, height: 860 });
    await takePicture(page, 'data-hub-390');
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
    await expect.poll(() => page.evaluate<number>(overflow)).toBe(0);
    await page.setViewportSize({ width: 1360, height: 900 });
    // Without any part there is nothing to download.
    await found.getByRole('checkbox', { name: /^train/ }).uncheck();
    await found.getByRole('checkbox', { name: /^test/ }).uncheck();
    await expect.poll(() => found.getByRole('button', { name: /^Download/ }).isDisabled()).toBe(true);
    await found.getByRole('checkbox', { name: /^train/ }).check();
    await found.getByRole('button', { name: /^Download 1[34]/ }).waitFor();
  });

  it('stops a download, goes on with what came after a reload, and imports the part that was chosen', async () => {
    hub.stallAfter = 5000;
    await page.getByRole('button', { name: /^Download/ }).click();
    await page.getByText(/Downloading org\/sums: 5[\d.]* kB of 1[34]/).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Cancel' }).waitFor({ state: 'detached' });
    // Begun again it goes on in the core when the page is loaded anew, and can be cancelled there.
    await page.getByRole('button', { name: /^Go on with the download|^Download/ }).click();
    await page.getByText(/Downloading org\/sums: 10[\d.]* kB of 1[34]/).waitFor();
    await page.reload();
    await page.getByText(/Downloading org\/sums: 10[\d.]* kB of 1[34]|Importing org\/sums/).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Cancel' }).waitFor({ state: 'detached' });
    hub.stallAfter = null;
    await page.reload();
    await page.getByRole('button', { name: 'Look up' }).click();
    await page.getByRole('checkbox', { name: /^test/ }).uncheck();
    hub.seen.length = 0;
    await page.getByRole('button', { name: /^Go on with the download/ }).click();
    await page.getByText('From the Hub: org/sums (main): train').waitFor();
    const files = hub.seen.filter(({ path }) => path.includes('/resolve/') && !path.endsWith('README.md'));
    expect(files.map(({ path, range }) => [path.split('/').at(-1), range])).toEqual([
      ['train.jsonl', 'bytes=10000-'],
    ]);
    await page.getByText('1 train', { exact: false }).waitFor();
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'sums' }).waitFor();
    expect(await datasets()).toMatchObject(
      [
        { name: 'sums', rows: 400, stretches: [{ split: 'train' }], sourcePath: /^hub\/org\/sums\/main@/ },
      ].map((one) => ({ ...one, sourcePath: expect.stringMatching(one.sourcePath) as string })),
    );
  });

  it('asks which field is what, as it does of a local file', async () => {
    await page.getByRole('link', { name: 'All datasets' }).click();
    await search('org/sums');
    await page.getByLabel('Configuration').selectOption('fragen');
    await page.getByRole('button', { name: /^Download/ }).click();
    await page.getByText('Not recognized').waitFor();
    await page.getByLabel('What frage is').selectOption({ label: 'prompt' });
    await page.getByLabel('What antwort is').selectOption({ label: 'answer' });
    await page.getByRole('textbox', { name: 'Name' }).fill('fragen');
    await page.getByRole('button', { name: 'Add dataset' }).click();
    await page.getByRole('heading', { name: 'fragen' }).waitFor();
    await expect
      .poll(async () => (await datasets()).find(({ name }) => name === 'fragen'))
      .toMatchObject({ rows: 2, isMappedByHand: true, mappings: [{ prompt: 'frage', answer: 'antwort' }] });
  });

  it('says at its place that a file came spoilt, and discards what it is told to', async () => {
    await page.getByRole('link', { name: 'All datasets' }).click();
    hub.wrong.set('main/test.jsonl', Buffer.from(sums(20).replace('1', '7')));
    await search('org/sums');
    await page.getByRole('checkbox', { name: /^train/ }).uncheck();
    await page.getByRole('button', { name: /^Download/ }).click();
    await page
      .getByRole('alert')
      .getByText(/test\.jsonl came with another content/)
      .waitFor();
    hub.wrong.clear();
    await page.getByRole('button', { name: /^Download/ }).click();
    await page.getByText('1 test', { exact: false }).waitFor();
    await page.getByRole('button', { name: 'Discard the download' }).click();
    await page.getByLabel('Dataset on the Hub').waitFor();
    expect(await datasets()).toHaveLength(2);
  });
});
