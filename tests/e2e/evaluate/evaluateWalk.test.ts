import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { canRunElectron, electronNote, startElectron, type ElectronStudio } from '../support/electron.ts';
import { takePicture } from '../support/pictures.ts';
import { StudioPage } from '../support/studioPage.ts';
import { removeHome } from '../support/studioServer.ts';
import { patienceMs } from '../../support/patience.ts';

/** From a model and a file of questions to items side by side, in the window and by clicks alone. */
describe.runIf(canRunElectron)(`scores in the window${electronNote}`, () => {
  const home = temporaryFolder();
  const quiz = join(home, 'quiz.jsonl');
  let window: ElectronStudio;
  let studio: StudioPage;

  beforeAll(async () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({
      question: `What is ${i} + 1?`,
      choices: [`${i}`, `${i + 1}`, `${i + 2}`, `${i + 3}`],
      answer: 'ABCD'[i % 4],
    }));
    writeFileSync(quiz, rows.map((row) => JSON.stringify(row)).join('\n'));
    window = await startElectron(home);
    studio = new StudioPage(window.page);
  });
  afterAll(() => {
    window?.kill();
    removeHome(home);
  });

  const tab = (name: string) =>
    window.page.getByRole('navigation', { name: 'Evaluate' }).getByRole('link', { name }).click();

  it('trains an adapter on questions with choices', async () => {
    const { page } = window;
    await studio.addModel(join(fixtures, 'tiny-llama'));
    await page.getByRole('heading', { name: 'tiny-llama' }).waitFor();
    await studio.addDataset(quiz);
    await page.getByRole('heading', { name: 'quiz' }).waitFor();
    await studio.configure({
      method: 'LoRA',
      name: 'taught',
      fields: { Rank: '2', 'Max steps': '4', 'Context length': '64' },
    });
    await studio.start();
    await studio.waitForState('done');
  });

  it('scores the base model on them', async () => {
    const { page } = window;
    await studio.goTo('Evaluate');
    const form = page.getByRole('region', { name: 'Score one model or adapter' });
    await form.getByLabel('Benchmark').selectOption('multiple_choice');
    await form.getByLabel('Items', { exact: true }).selectOption({ label: 'quiz' });
    await form.getByRole('button', { name: 'Evaluate' }).click();
    await form.getByRole('status').filter({ hasText: 'n = 12' }).waitFor({ timeout: patienceMs });
  });

  it('fills the matrix with what is missing, each cell a score with its interval', async () => {
    const { page } = window;
    await tab('Benchmarks');
    const table = page.getByRole('region', { name: 'Scores of all subjects' });
    const row = (name: string) =>
      table.getByRole('row').filter({ has: page.getByRole('rowheader', { name }) });
    const score = (name: string) => row(name).getByRole('cell').last().textContent();
    await expect.poll(() => score('tiny-llama')).toMatch(/^\s*\d+(\.\d)? % \(\d+(\.\d)? to \d+(\.\d)?/);
    await expect.poll(() => score('taught')).toMatch(/^\s*Score\s*$/);
    await table.getByRole('button', { name: 'Score what is missing (1)' }).click();
    // It is in the queue, and missing no more; its cell fills when it is scored.
    await table.getByRole('button', { name: 'Score what is missing (0)' }).waitFor();
    await expect
      .poll(() => score('taught'), { timeout: patienceMs })
      .toMatch(/^\s*\d+(\.\d)? % \(\d+(\.\d)? to \d+(\.\d)?/);
    await takePicture(page, 'electron-benchmarks');
  });

  it('saves a report as a page and as a picture, as the window saves files', async () => {
    const panel = window.page.getByRole('region', { name: 'Report', exact: true });
    const save = async (form: string, path: string) => {
      // A person chooses the place in a dialog, which a test cannot see.
      const saved = window.inShell(`new Promise((resolve) =>
        electron.session.defaultSession.once('will-download', (_event, item) => {
          item.setSavePath(${JSON.stringify(path)});
          item.once('done', (_ended, state) => resolve([state, item.getFilename()]));
        }))`);
      await panel.getByRole('button', { name: `Save the report as ${form}:` }).click();
      const ended = await saved;
      await expect.poll(() => panel.getByRole('button').first().isEnabled()).toBe(true);
      return ended;
    };
    const page = join(home, 'scores.html');
    expect(await save('HTML', page)).toEqual(['completed', 'scores-default.html']);
    const text = readFileSync(page, 'utf8');
    expect(text).toContain('<h1>Scores of default</h1>');
    expect(text).toContain('taught');
    const picture = join(home, 'scores.png');
    expect(await save('PNG', picture)).toEqual(['completed', 'scores-default.png']);
    expect(readFileSync(picture).subarray(1, 4).toString()).toBe('PNG');
    await panel.getByRole('alert').waitFor({ state: 'detached' });
  });

  it('opens the items behind a column, and one of them in full', async () => {
    const { page } = window;
    await page.getByRole('link', { name: 'compare 2' }).click();
    await page.getByRole('link', { name: 'Item by item' }).click();
    const panel = page.getByRole('region', { name: 'Items side by side' });
    await panel.getByText('12 of 12 items').waitFor();
    await panel.getByLabel('Search').fill('/What is 11 /');
    await panel.getByText('1 of 12 items').waitFor();
    await panel.getByRole('grid', { name: 'Items' }).getByRole('row').first().click();
    const item = page.getByRole('region', { name: /^Item / });
    await item.getByText('B. 12').first().waitFor();
    await item.getByText('log p of the choices').first().waitFor();
    await takePicture(page, 'electron-items');
  });
});
