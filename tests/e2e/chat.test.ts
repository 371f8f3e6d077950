import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSharedData, sharedData } from '../support/paths.ts';
import { seriousProblems } from './support/accessibility.ts';
import { chromiumNote, chromiumPath } from './support/chromium.ts';
import { openStudio, type OpenedStudio } from './support/openedStudio.ts';
import { takePicture } from './support/pictures.ts';
import type { StudioPage } from './support/studioPage.ts';
import { patienceMs } from '../support/patience.ts';

const note = hasSharedData ? chromiumNote : ' (skipped: needs ../shared/data)';

describe.skipIf(!chromiumPath || !hasSharedData)(`a chat with stories260K in a browser${note}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  let errors: string[];

  beforeAll(async () => {
    opened = await openStudio();
    ({ page, studio, errors } = opened);
  });

  afterAll(() => opened?.close());

  const columns = () => page.getByRole('region', { name: 'Who answers' });
  const talk = () => page.getByRole('region', { name: /^Conversation/ });

  it('says what to do where there is no model, and asks who is to answer', async () => {
    await studio.goTo('Chat');
    await page.getByRole('heading', { name: 'No model yet' }).waitFor();
    const rows = join(opened.server.home, 'tales.jsonl');
    const tale = { prompt: 'Tell me of Lily.', completion: ' Lily had a red ball and a big dog.' };
    writeFileSync(rows, Array.from({ length: 24 }, () => JSON.stringify(tale)).join('\n'));
    await studio.call('models.add', { folder: sharedData('stories260K-hf'), name: 'stories' });
    await studio.call('datasets.add', { path: rows });
    const adapter = { method: 'idlora', rank: 4, alpha: 8, clusters: 2 };
    const config = { adapter, maxSteps: 12, batch: 4, context: 64, learningRate: 0.02, heldOutFraction: 0 };
    await studio.call('runs.start', { name: 'tales', model: 'stories', dataset: 'tales', config });
    await page.getByRole('heading', { name: 'No chat is open' }).waitFor();
    await columns().getByLabel('tales').check({ timeout: patienceMs });
    await columns().getByLabel('base, without adapter').uncheck();
    await columns().getByLabel('tales').uncheck();
    await columns().getByText('Choose at least one column.').waitFor();
    await columns().getByLabel('base, without adapter').check();
    await columns().getByLabel('tales').check();
    expect(await seriousProblems(page)).toEqual([]);
  });

  it('puts one prompt to the base and to an adapter, and shows what they say as they say it', async () => {
    await columns().getByRole('button', { name: 'Open the chat' }).click();
    await talk().waitFor({ timeout: patienceMs });
    await talk().getByText('Nothing was asked yet').waitFor();
    const settings = page.getByRole('region', { name: 'How it is asked' });
    await settings.getByLabel('Template').selectOption('none');
    await settings.getByLabel('Longest answer').fill('400');
    await settings.getByLabel('Temperature').fill('0.8');
    await settings.getByLabel('Stop texts').fill('zebra');
    const prompt = talk().getByLabel('Prompt to all columns');
    await prompt.fill('Once upon a time');
    await prompt.press('Enter');
    // Something stands there before all of it does.
    const answer = talk().getByTestId('answer').first();
    await expect
      .poll(async () => (await answer.textContent())!.length, { timeout: patienceMs })
      .toBeGreaterThan(8);
    await talk().getByRole('button', { name: 'Stop answering' }).click();
    await talk().getByText('All 2 columns have answered.').waitFor({ timeout: patienceMs });
    await settings.getByLabel('Longest answer').fill('30');
    await settings.getByLabel('Temperature').fill('0');
    await prompt.fill(' and then');
    await talk().getByRole('button', { name: 'Send' }).click();
    const second = talk().getByRole('group', { name: 'Answers to prompt 2' });
    await expect.poll(() => second.getByText(/^30 tokens/).count(), { timeout: patienceMs }).toBe(2);
    const told = second.getByRole('article', { name: 'tales' });
    await told.getByText('ID-LoRA').waitFor();
    await told.getByText(/^As it was sent/).click();
    await told.getByText('Once upon a time').waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'chat');
  });

  it('is there after a reload, and keeps its columns within a narrow window', async () => {
    await page.setViewportSize({ width: 720, height: 900 });
    await page.reload();
    const second = talk().getByRole('group', { name: 'Answers to prompt 2' });
    await second.waitFor();
    await expect.poll(() => second.getByRole('article').count()).toBe(2);
    const width = await page.evaluate<number>('document.documentElement.scrollWidth');
    expect(width).toBeLessThanOrEqual(720);
    await takePicture(page, 'chat-narrow');
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('takes a turn back, and keeps a prompt by which models are scored', async () => {
    await talk().getByRole('button', { name: 'Take this turn back' }).click();
    await expect.poll(() => talk().getByRole('group', { name: 'Answers to prompt 2' }).count()).toBe(0);
    await talk().getByRole('button', { name: 'Keep as a test item' }).click();
    const form = talk().getByRole('form', { name: 'Keep as a test item' });
    await form.getByLabel('Take over what was said by').selectOption('base');
    await expect.poll(() => form.getByLabel('Expected answer').inputValue()).not.toBe('');
    await form.getByLabel('Expected answer').fill('a girl');
    await form.getByRole('button', { name: 'Keep', exact: true }).click();
    await talk().getByRole('link', { name: 'kept prompts' }).click();
    await page.getByText('Once upon a time').first().waitFor();
    await studio.goTo('Evaluate');
    const score = page.getByRole('region', { name: 'Score one model or adapter' });
    await score.getByLabel('Benchmark').selectOption('contains');
    await score.getByLabel('Items', { exact: true }).selectOption({ label: 'kept prompts' });
    await score.getByRole('button', { name: 'Evaluate' }).click();
    await score.getByRole('status').filter({ hasText: 'n = 1' }).waitFor({ timeout: patienceMs });
  });

  it('is there after a restart, hides names, and tells who was preferred when it is asked', async () => {
    await opened.restart();
    await studio.goTo('Chat');
    await talk().getByText('Once upon a time').first().waitFor();
    const blind = talk().getByRole('group', { name: 'Blind mode' });
    await blind.getByRole('button', { name: 'Hide the names, and begin a new conversation' }).click();
    await blind.getByText('0 prompts are judged.').waitFor();
    for (const [number, prompt] of ['One day', 'Lily'].entries()) {
      await talk().getByLabel('Prompt to all columns').fill(prompt);
      await talk().getByRole('button', { name: 'Send' }).click();
      const votes = talk().getByRole('group', { name: `Your vote on prompt ${number + 1}` });
      await votes.getByRole('button', { name: 'B is best' }).click({ timeout: patienceMs });
      await votes.getByRole('button', { name: 'B is best', pressed: true }).waitFor();
    }
    // Nothing on the page tells whose an answer is.
    await expect
      .poll(() =>
        talk()
          .getByText(/tales|base|ID-LoRA/)
          .count(),
      )
      .toBe(0);
    await expect.poll(() => talk().getByRole('article', { name: 'A' }).count()).toBe(2);
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'chat-blind');
    await blind.getByRole('button', { name: 'Show names and result' }).click();
    await blind.getByText(/Cannot tell which is preferred: base won (0|100) % .* of the 2 pairs/).waitFor();
    expect(await talk().getByRole('article', { name: 'tales' }).count()).toBe(2);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 720, height: 900 });
    await expect.poll(() => seriousProblems(page)).toEqual([]);
    await takePicture(page, 'chat-dark-720');
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: 'light' });
  });

  it('gives the memory back when a person ends it', async () => {
    await columns().getByRole('button', { name: 'End this chat, and free its memory' }).click();
    await page.getByRole('heading', { name: 'No chat is open' }).waitFor();
    expect(errors).toEqual([]);
  });
});
