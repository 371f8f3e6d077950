import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { fixtures } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath } from './support/chromium.ts';
import { openStudio, type OpenedStudio } from './support/openedStudio.ts';
import { takePicture } from './support/pictures.ts';
import type { StudioPage } from './support/studioPage.ts';
import { patienceMs } from '../support/patience.ts';

describe.skipIf(!chromiumPath)(`scores in a browser${chromiumNote}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];

  beforeAll(async () => {
    opened = await openStudio();
    ({ page, studio, errors } = opened);
    const sums = join(opened.server.home, 'sums.jsonl');
    writeGeneratedDataset(sums, 40, 1);
    const quiz = join(opened.server.home, 'quiz.jsonl');
    const rows = Array.from({ length: 12 }, (_, i) => ({
      question: `${i}?`,
      choices: [`${i}`, '6', '7', '8'],
      answer: 'ABCD'[i % 4],
      subject: i < 6 ? 'low' : 'high',
    }));
    writeFileSync(quiz, rows.map((row) => JSON.stringify(row)).join('\n'));
    await studio.call('models.add', { folder: join(fixtures, 'tiny-llama'), name: 'tiny' });
    await studio.call('datasets.add', { path: sums });
    await studio.call('datasets.add', { path: quiz });
    for (const [name, method] of [
      ['plain', 'lora'],
      ['routed', 'idlora'],
    ] as const) {
      const adapter = { method, rank: 4, alpha: 8, ...(method === 'idlora' && { clusters: 2 }) };
      const config = { adapter, maxSteps: 12, batch: 4, context: 64, learningRate: 0.01 };
      await studio.call('runs.start', { name, model: 'tiny', dataset: 'sums', config });
    }
    await studio.goTo('Evaluate');
    // The second one can be chosen once it has trained.
    await page
      .getByLabel('Adapter')
      .getByRole('option', { name: 'routed', exact: true })
      .waitFor({ state: 'attached', timeout: patienceMs });
  });

  afterAll(() => opened?.close());

  const tab = (name: string) =>
    page.getByRole('navigation', { name: 'Evaluate' }).getByRole('link', { name }).click();

  it('says what to do where nothing was scored yet', async () => {
    await studio.goTo('Evaluate');
    await tab('Benchmarks');
    await page.getByRole('heading', { name: 'No scores yet' }).waitFor();
    await tab('Items');
    await page.getByRole('heading', { name: 'No scores yet' }).waitFor();
  });

  it('scores the base model on a dataset with choices', async () => {
    await tab('Score');
    const form = page.getByRole('region', { name: 'Score one model or adapter' });
    await form.getByLabel('Benchmark').selectOption('multiple_choice');
    await form.getByText('Choose a dataset. Any rows with choices needs').waitFor();
    await form.getByLabel('Items', { exact: true }).selectOption({ label: 'quiz' });
    await form.getByLabel('Shots').fill('1');
    await form.getByRole('button', { name: 'Evaluate' }).click();
    await form.getByRole('status').filter({ hasText: 'n = 12' }).waitFor({ timeout: patienceMs });
  });

  it('asks the same of all that is missing, and orders subjects by a score', async () => {
    await tab('Benchmarks');
    const table = page.getByRole('region', { name: 'Scores of all subjects' });
    await table.getByRole('button', { name: 'Score what is missing (2)' }).click();
    await table.getByRole('button', { name: 'Score what is missing (0)' }).waitFor({ timeout: patienceMs });
    await expect.poll(() => table.getByRole('row').count()).toBe(5);
    await table.getByLabel('Best first by').selectOption({ index: 1 });
    await table.getByLabel('Only').fill('idlora');
    await expect.poll(() => table.getByRole('row').count()).toBe(3);
    await table.getByLabel('Only').fill('');
    await table.getByRole('link', { name: 'compare 3' }).waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'benchmarks');
  });

  it('shows items side by side, filtered by an address, and one of them in full', async () => {
    await page.getByRole('link', { name: 'compare 3' }).click();
    await page.getByRole('link', { name: 'Item by item' }).click();
    const panel = page.getByRole('region', { name: 'Items side by side' });
    const grid = panel.getByRole('grid', { name: 'Items' });
    await panel.getByText('12 of 12 items').waitFor();
    // What it comes to stands first: of twelve items nothing is told.
    await panel
      .getByTestId('ranking')
      .getByText(/not decisive/)
      .waitFor();
    await panel.getByText('Asked as a text that goes on, through no template.').waitFor();
    await panel.getByText('All 3 pairs').click();
    await panel.getByText(/^Cannot tell routed and tiny \(base\) apart on 12 items/).waitFor();
    await panel.getByLabel('Group').selectOption('high');
    await panel.getByText('6 of 12 items').waitFor();
    await panel.getByLabel('Search').fill('/^Question: 1\\d\\?/');
    await panel.getByText('2 of 12 items').waitFor();
    await expect.poll(() => grid.getByRole('row').count()).toBe(2);
    // A filtered view is a link.
    expect(new URL(page.url()).searchParams.get('group')).toBe('high');
    await page.reload();
    await panel.getByText('2 of 12 items').waitFor();
    await grid.getByRole('row').first().click();
    const item = page.getByRole('region', { name: /^Item / });
    await item.getByText('A. 10').first().waitFor();
    await item.getByText('log p of the choices').first().waitFor();
    await item.getByText('The first prompt as it was sent').click();
    await item.getByText(/Answer: [ABCD]\s+Question: 0\?/).waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'items');
    await panel.getByRole('button', { name: 'Take away plain' }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get('e')!.split(',').length).toBe(2);
    await panel.getByLabel('Set beside it').selectOption({ label: 'plain' });
    await panel.getByRole('button', { name: 'Take away plain' }).waitFor();
    expect(errors).toEqual([]);
  });

  it('has two subjects judged without names, and tells who was preferred when it is asked', async () => {
    for (const adapter of [null, 'routed'])
      await studio.call('evaluations.start', {
        model: 'tiny',
        adapter,
        benchmark: 'exact_match',
        data: { dataset: 'sums' },
        limit: 6,
        maxTokens: 6,
      });
    await tab('Blind preference');
    const panel = page.getByRole('region', { name: 'Which answer is better?' });
    await panel.getByLabel('One of two').selectOption({ label: 'tiny (base): exact_match, n = 6' });
    await panel.getByLabel('The other').selectOption({ label: 'routed' });
    const left = panel.getByTestId('left');
    const said = await left.textContent();
    await panel.getByText(/^0 of \d pairs judged/).waitFor();
    await expect.poll(() => panel.getByTestId('preference').count()).toBe(0);
    await page.keyboard.press('ArrowLeft');
    await panel.getByText(/^1 of \d pairs judged/).waitFor();
    await panel.getByRole('button', { name: 'Both are bad' }).click();
    await panel.getByText(/^2 of \d pairs judged/).waitFor();
    await page.keyboard.press('u');
    await panel.getByText(/^1 of \d pairs judged/).waitFor();
    // What was judged stays judged, and the sides stay drawn.
    await page.reload();
    await panel.getByText(/^1 of \d pairs judged/).waitFor();
    await panel.getByRole('button', { name: 'Take the last vote back' }).click();
    // Two pairs may have the same answer on the left: it alone does not tell that the vote is gone.
    await panel.getByText(/^0 of \d pairs judged/).waitFor();
    await expect.poll(() => left.textContent()).toBe(said);
    await page.keyboard.press('ArrowRight');
    await panel.getByText(/^1 of \d pairs judged/).waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'blind');
    await panel.getByRole('button', { name: 'Show names and result' }).click();
    const result = panel.getByTestId('preference');
    await result.getByText(/Cannot tell which is preferred: tiny \(base\) won (0|100) %/).waitFor();
    expect(errors).toEqual([]);
  });

  it('takes a person’s grade without names, and one in sight of them, and undoes it', async () => {
    const panel = page.getByRole('region', { name: 'Which answer is better?' });
    await panel.getByRole('button', { name: 'Hide the names and go on' }).click();
    const left = panel.getByRole('group', { name: 'Your grade of the left answer' });
    await left.getByRole('button', { name: '✓ Right' }).click();
    await left.getByRole('button', { name: '✓ Right', pressed: true }).waitFor();
    const both = new URL(page.url()).searchParams.get('e')!;
    await page.goto(new URL(`/evaluate/items?e=${both}`, opened.server.url).href);
    const items = page.getByRole('region', { name: 'Items side by side' });
    // The verdict as it was graded stands first, the one with the person's grade beside it.
    const anew = items.getByRole('region', { name: 'With your grades' });
    await anew.getByText(/With 1 grade changed by hand, without seeing whose answers they are/).waitFor();
    await items.getByText(/with your grades \d+\.\d % .*, 1 changed/).waitFor();
    await items.getByRole('button', { name: /^graded by hand/ }).click();
    await items.getByText('1 of 6 items').waitFor();
    await items.getByRole('grid', { name: 'Items' }).getByRole('row').first().click();
    const item = page.getByRole('region', { name: /^Item / });
    const other = item.getByRole('group', { name: /^Your grade of/ }).last();
    await other.getByLabel('Comment').fill('close to it');
    await other.getByRole('button', { name: '✗ Wrong' }).click();
    await other.getByText('What you said before (').click();
    await other.getByText(/wrong, “close to it” \(names seen\)$/).waitFor();
    await expect.poll(() => other.getByLabel('Comment').inputValue()).toBe('close to it');
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'by-hand');
    await other.getByRole('button', { name: 'Undo last' }).click();
    await other.getByText(/\(names seen\), taken back$/).waitFor();
    await expect.poll(() => other.getByLabel('Comment').inputValue()).toBe('');
    expect(errors).toEqual([]);
  });

  it('says what would settle what is open, and scores that by a click', async () => {
    const items = page.getByRole('region', { name: 'Items side by side' });
    const settle = items.getByRole('group', { name: /^What would settle/ }).first();
    await settle.getByText(/6 of the 40 items that the data hold are scored\. .* here\.$/).waitFor();
    await settle.getByRole('button', { name: 'Score all items of each' }).click();
    const link = settle.getByRole('link', { name: 'Compare on all of these items' });
    await link.waitFor({ timeout: patienceMs });
    await link.click();
    const verdict = page.getByRole('status', { name: 'Verdict' });
    await verdict.getByTestId('verdict').filter({ hasText: 'on 40 items of' }).waitFor();
    // What a person said of an answer holds for it among more items.
    await verdict
      .getByTestId('overridden')
      .getByText(/^With 1 grade changed by hand/)
      .waitFor();
    // All are scored, and the base model has no seeds: that is said, and no button leads nowhere.
    const left = verdict.getByRole('group', { name: /^What would settle/ });
    await left
      .getByText(/All 40 items of the data are scored.*One of the two was not trained here/)
      .waitFor();
    await expect.poll(() => left.getByRole('button').count()).toBe(0);
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'settle');
    await page.goBack();
    expect(errors).toEqual([]);
  });

  it('writes pairs with a better answer as preference data, which its library reads', async () => {
    const items = page.getByRole('region', { name: 'Items side by side' });
    await items.getByText('Export pairs as preference data').click();
    const group = items.getByRole('group', { name: 'Preference data' });
    await group.getByText(/^\d pairs: 1 by votes/).waitFor();
    const file = join(opened.server.home, 'pairs.jsonl');
    await group.getByLabel('File').fill(file);
    await group.getByRole('button', { name: 'Write file' }).click();
    await group.getByText(/^Wrote \d pairs to/).waitFor();
    await group.getByRole('button', { name: 'Write file' }).click();
    await group.getByText(/it was left as it is/).waitFor();
    await group.getByRole('button', { name: 'Add to the library' }).click();
    await expect
      .poll(async () => {
        const datasets = (await studio.call('datasets.list', {})) as { format: string }[];
        return datasets.map(({ format }) => format);
      })
      .toContain('preference');
    expect(errors).toEqual([]);
  });

  it('checks what a training cost: forgetting on a general text, at checkpoints, and words in common', async () => {
    const general = join(opened.server.home, 'general.jsonl');
    const words = 'rain falls on the old town while a lazy dog sleeps under the bridge all day'.split(' ');
    const rows = Array.from({ length: 40 }, (_, i) => ({
      text: words.map((_word, w) => words[(w * (i + 3)) % words.length]).join(' '),
    }));
    writeFileSync(general, rows.map((row) => JSON.stringify(row)).join('\n'));
    await studio.call('datasets.add', { path: general });
    await tab('Guards');
    const form = page.getByRole('region', { name: 'What did the training cost?' });
    await form.getByLabel('Run').selectOption({ label: 'routed' });
    await form.getByText('Choose a general text, prompts, or a benchmark.').waitFor();
    await form.getByLabel('General text').selectOption({ label: 'general' });
    await form.getByRole('button', { name: 'Add a benchmark' }).click();
    const benchmark = form.getByRole('group', { name: 'Benchmark 1' });
    await benchmark.getByLabel('Items', { exact: true }).selectOption({ label: 'quiz' });
    await form.getByLabel('At each kept checkpoint').check();
    await form.getByRole('button', { name: 'Check', exact: true }).click();
    const forgotten = page.getByRole('region', { name: /^Perplexity/ });
    await forgotten
      .getByTestId('guard')
      .filter({ hasText: /perplexity .* before and .* after; difference .* nats per token/ })
      .waitFor({ timeout: patienceMs });
    await forgotten.getByText(/None of the \d+ items shares 13 words on end/).waitFor();
    await forgotten.getByText(/^Best of the kept checkpoints is that of step \d+/).waitFor();
    await forgotten.getByText('★ best').waitFor();
    await page
      .getByRole('region', { name: /^Any rows with choices/ })
      .getByTestId('guard')
      .waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'guards');
    expect(errors).toEqual([]);
  });

  it('scores a run when it is trained, from a queue that stays over a reload and a restart', async () => {
    await studio.call('runs.hold', { isHeld: true });
    const adapter = { method: 'lora', rank: 2, alpha: 4 };
    const config = { adapter, maxSteps: 2, batch: 4, context: 64 };
    await studio.call('runs.start', { name: 'later', model: 'tiny', dataset: 'sums', config });
    await tab('Score');
    const form = page.getByRole('region', { name: 'Score one model or adapter' });
    await form.getByLabel('Adapter').selectOption({ label: 'later, when it is trained' });
    for (const count of ['7', '11']) {
      await form.getByLabel('At most').fill(count);
      await form.getByRole('button', { name: 'Evaluate when trained' }).click();
      await form.getByText(`${count === '7' ? 'later by' : '1 more waits'}`).waitFor();
    }
    await tab('Queue');
    const list = page.getByRole('list', { name: 'What waits to be scored' });
    const titles = () => list.getByRole('listitem').locator('strong').allTextContents();
    const both = ['later by multiple_choice, 7 items', 'later by multiple_choice, 11 items'];
    await expect.poll(titles).toEqual(both);
    await list.getByText('waits until later is trained, and no other run trains').first().waitFor();
    await list.getByRole('button', { name: `Move ${both[1]} up` }).click();
    await expect.poll(titles).toEqual(both.toReversed());
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'scoring-queue');
    await page.reload();
    await expect.poll(titles).toEqual(both.toReversed());
    await opened.restart();
    await studio.goTo('Evaluate');
    await tab('Queue');
    await expect.poll(titles).toEqual(both.toReversed());
    await list.getByRole('button', { name: `Take out ${both[0]}` }).click();
    await expect.poll(titles).toEqual([both[1]]);
    await studio.call('runs.hold', { isHeld: false });
    const ended = page.getByRole('list', { name: 'Ended' }).getByRole('listitem').first();
    await ended.getByText(both[1]!).waitFor({ timeout: patienceMs });
    await ended.getByRole('link', { name: 'show it' }).click();
    await page.getByText('11 of 11 items').waitFor();
    expect(errors).toEqual([]);
  });
});
