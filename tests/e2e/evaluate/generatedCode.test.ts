import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousProblems } from '../support/accessibility.ts';
import { chromiumNote, chromiumPath } from '../support/chromium.ts';
import { openStudio, type OpenedStudio } from '../support/openedStudio.ts';
import { takePicture } from '../support/pictures.ts';
import type { StudioPage } from '../support/studioPage.ts';
import { patienceMs } from '../../support/patience.ts';

/** The switch that lets benchmarks run what a model wrote; what it allows is in the data folder, and nowhere else. */
describe.skipIf(!chromiumPath)(`consent to generated code in a browser${chromiumNote}`, () => {
  let opened: OpenedStudio;
  let page: Page;
  let studio: StudioPage;
  const consent = () => existsSync(join(opened.server.home, 'code-execution'));
  const section = () => page.getByRole('region', { name: 'Generated code' });
  /** Each answer waits until the sandbox was tried with two programs. */
  const saysSoon = () =>
    expect.poll(() => section().getByRole('status').textContent(), { timeout: patienceMs });

  beforeAll(async () => {
    opened = await openStudio();
    ({ page, studio } = opened);
  });
  afterAll(() => opened?.close());

  it('is off at first, and says in which sandbox programs would run and what they may use', async () => {
    await studio.goTo('Settings');
    await section()
      .getByText(/^Sandbox: (bubblewrap|Pyodide)/i)
      .waitFor({ timeout: patienceMs });
    await saysSoon().toBe('Programs are not run.');
    expect(consent()).toBe(false);
    await section().getByText('What a program may use').click();
    await section()
      .getByText(/of memory and \d+ seconds; one that takes more\s+is ended/)
      .waitFor();
    expect(await seriousProblems(page)).toEqual([]);
    await takePicture(page, 'generated-code');
  });

  it('stays on once it was turned on, and goes off again', async () => {
    await section().getByRole('button', { name: 'Run generated programs in the sandbox' }).click();
    await saysSoon().toMatch(/^You have agreed/);
    expect(consent()).toBe(true);
    await page.reload();
    await saysSoon().toMatch(/^You have agreed/);
    await section().getByRole('button', { name: 'Run no more programs' }).click();
    await saysSoon().toBe('Programs are not run.');
    expect(consent()).toBe(false);
    await page.reload();
    await saysSoon().toBe('Programs are not run.');
  });
});
