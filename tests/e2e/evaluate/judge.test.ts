import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSharedData, sharedData } from '../../support/paths.ts';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath } from '../support/chromium.ts';
import { openStudio, type OpenedStudio } from '../support/openedStudio.ts';
import { takePicture } from '../support/pictures.ts';
import type { StudioPage } from '../support/studioPage.ts';
import { patienceMs } from '../../support/patience.ts';

const note = hasSharedData ? chromiumNote : ' (skipped: needs ../shared/data)';

describe.skipIf(!chromiumPath || !hasSharedData)(`a judge that tells stories, in a browser${note}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];

  beforeAll(async () => {
    opened = await openStudio();
    ({ page, studio, errors } = opened);
    const quiz = join(opened.server.home, 'quiz.jsonl');
    const rows = Array.from({ length: 5 }, (_, i) => ({ question: `${i} + 1?`, answer: `${i + 1}` }));
    writeFileSync(quiz, rows.map((row) => JSON.stringify(row)).join('\n'));
    await studio.call('models.add', { folder: sharedData('stories260K-hf'), name: 'stories' });
    await studio.call('datasets.add', { path: quiz });
  });

  afterAll(() => opened?.close());

  it('gives no verdict on any answer: each is an abstention, shown and within the interval', async () => {
    await studio.goTo('Evaluate');
    const form = page.getByRole('region', { name: 'Score one model or adapter' });
    await form.getByLabel('Benchmark').selectOption('judge');
    await form.getByLabel('Items', { exact: true }).selectOption({ label: 'quiz' });
    await form.getByLabel('Answer length').fill('6');
    await form.getByText('Choose the model that judges.').waitFor();
    await form.getByLabel('Judge').selectOption({ label: 'stories' });
    await form.getByRole('button', { name: 'Evaluate' }).click();
    await form
      .getByRole('status')
      .filter({ hasText: 'n = 5; stories gave no verdict on 5' })
      .waitFor({ timeout: patienceMs });
    await form.getByText('0 % (0 to 100)').waitFor();
    await page.getByText('judge, judged by stories').first().waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    // Two engines start one after the other.
  }, 240_000);

  it.each([1, 2])('has answers of seed %i to be judged', async (seed) => {
    await studio.call('evaluations.start', {
      model: 'stories',
      benchmark: 'contains',
      data: { dataset: 'quiz' },
      maxTokens: 6,
      temperature: 1,
      seed,
    });
  });

  it('compares two answers in both orders, and prefers neither', async () => {
    await page
      .getByRole('navigation', { name: 'Evaluate' })
      .getByRole('link', { name: 'Blind preference' })
      .click();
    const panel = page.getByRole('region', { name: 'Which answer is better?' });
    await panel.getByLabel('One of two').selectOption({ index: 2 });
    await panel.getByLabel('The other').selectOption({ index: 1 });
    await page.getByText('Ask a judge model; it says who is who').click();
    const judge = page.getByRole('region', { name: 'What does a judge model say?' });
    await judge.getByText('No judge was asked about these two yet.').waitFor();
    await judge.getByLabel('Judge').selectOption({ label: 'stories' });
    await judge.getByRole('button', { name: 'Ask the judge' }).click();
    const said = judge.getByTestId('judged');
    await said.getByText('stories preferred neither: nothing can be told.').waitFor({ timeout: patienceMs });
    await said.getByText(/on [1-5] pairs it gave none/).waitFor();
    await said.getByText(/^Asked by judge-pair-1/).waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'judge');
    // It is kept: the same is there after a reload.
    await page.reload();
    await page.getByText('Ask a judge model; it says who is who').click();
    await said.getByText('stories preferred neither: nothing can be told.').waitFor();
    expect(errors).toEqual([]);
  });
});
