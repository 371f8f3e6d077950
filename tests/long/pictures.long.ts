import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import { studyQuestionSchema } from '../../src-main/contract/studies.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { createCore } from '../../src-main/core/createCore.ts';
import { starterScoring, starterSettings, starterTasks } from '../../src-main/services/projects/starter.ts';
import { chromiumNote, chromiumPath } from '../e2e/support/chromium.ts';
import { openStudio, type OpenedStudio } from '../e2e/support/openedStudio.ts';
import { takePicture } from '../e2e/support/pictures.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/*
 * The pictures of the documentation, of the starter lab as a person has it: `npm run docs:pictures` writes them into
 * docs/images. Without it they go to a folder that is thrown away.
 */
const folder = process.env['ID_LORA_STUDIO_PICTURES'] ?? temporaryFolder();
process.env['ID_LORA_STUDIO_PICTURES'] = folder;
/** A README with ten pictures should still open at once. */
const mostBytes = 150_000;
const viewport = { width: 1280, height: 800 };

describe.skipIf(!chromiumPath)(`pictures of the documentation${chromiumNote}`, () => {
  const home = mkdtempSync(join(tmpdir(), 'id-lora-e2e-'));
  const runs: Run[] = [];
  const scores: string[] = [];
  const ids = { mix: '', dataset: '', study: '' };
  let opened: OpenedStudio;

  beforeAll(async () => {
    const core = createCore({ home, project: 'default', mode: 'write' });
    const { signal } = new AbortController();
    try {
      core.grading.allowForNow();
      const { model, datasets, mix } = await core.addStarter();
      ids.mix = mix.id;
      ids.dataset = datasets[1]!.id;
      const config = (adapter: object, changes: object = {}) =>
        trainConfigSchema.parse({ ...starterSettings, maxSteps: 80, evalEvery: 10, ...changes, adapter });
      const wanted = [
        ['lora-r6', { method: 'lora', rank: 6, alpha: 12 }],
        ['idlora-r32', { method: 'idlora', rank: 32, alpha: 64 }],
      ] as const;
      for (const [name, adapter] of wanted) {
        const asked = { name, model: model.id, dataset: ids.dataset, config: config(adapter) };
        runs.push(await (await core.runs.start(asked)).ended);
      }
      const functions = starterTasks.find(({ name }) => name === 'functions')!;
      for (const adapter of [null, ...runs.map(({ id }) => id)]) {
        const asked = {
          ...starterScoring(functions, 60),
          model: model.id,
          adapter,
          precision: 'f32',
        } as const;
        scores.push((await core.evaluations.start(asked, signal)).id);
      }
      const { study, started } = await core.studies.start({
        name: 'two-methods',
        model: model.id,
        dataset: ids.dataset,
        question: studyQuestionSchema.parse({
          kind: 'equal_budget',
          methods: ['lora', 'idlora'],
          seeds: [0, 1],
          budget: { unit: 'parameters', most: 122_880 },
          config: config({ method: 'lora', rank: 6, alpha: 12 }, { maxSteps: 20 }),
        }),
      });
      ids.study = study.id;
      for (const { ended } of started) expect((await ended).error).toBeNull();
      const exported = await core.exports.create({ run: runs[0]!.id, folder: join(home, 'adapter') }, signal);
      expect(exported.certificate.equal).toBe(true);
    } finally {
      core.close();
    }
    opened = await openStudio({ home, viewport });
  });
  afterAll(() => opened?.close());

  const shot = async (page: Page, name: string) => {
    // What is still counted or drawn.
    await page.waitForLoadState('networkidle');
    await page.waitForTimeout(800);
    await takePicture(page, name, { isWindow: true });
    expect(readFileSync(join(folder, `${name}.png`)).length, name).toBeLessThan(mostBytes);
  };

  it('the first start, and the form that it fills', async () => {
    const first = await openStudio({ viewport });
    try {
      await first.page.getByRole('button', { name: 'Prepare a first run' }).waitFor();
      await first.page.getByText(/device (cpu|gpu)/).waitFor();
      await shot(first.page, 'home');
      await first.page.getByRole('button', { name: 'Prepare a first run' }).click();
      await first.page.waitForURL(/\/train$/);
      await first.page.getByText('The form is filled').waitFor();
      await first.page.getByRole('button', { name: /^Close: The form/ }).click();
      await shot(first.page, 'train');
    } finally {
      await first.close();
    }
  });

  it.each([
    ['data', () => `/data/${ids.dataset}`, /^starter-/],
    ['mix', () => `/data/mix/${ids.mix}`, /Asked and got/],
    ['plan', () => '/plan', /methods at rank/],
    ['run', () => `/train/runs/${runs[1]!.id}`, /^idlora-r32/],
    ['compare', () => `/evaluate/compare?e=${scores.join(',')}`, /^Score against trainable parameters/],
    ['study', () => `/plan/studies/${ids.study}`, /^two-methods/],
    ['export', () => `/export?run=${runs[0]!.id}`, /^Ways out of lora-r6/],
  ])('%s', async (name, path, heading) => {
    const { page, server } = opened;
    await page.goto(new URL(path(), server.url).href);
    await page.getByRole('heading', { name: heading }).first().waitFor();
    await shot(page, name);
    expect(opened.errors).toEqual([]);
  });
});
