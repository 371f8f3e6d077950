import type { Page } from 'playwright-core';
import { patienceMs } from '../../support/patience.ts';

/** A state that a run's page can show. */
type StateWord = 'waiting' | 'running' | 'paused' | 'stopped' | 'done' | 'failed' | 'interrupted';

/** The studio as a person uses it: by what is written on the page. */
export class StudioPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(60_000);
  }

  async goTo(section: string): Promise<void> {
    await this.page.getByRole('navigation').getByRole('link', { name: section }).click();
    await this.page.getByRole('heading', { level: 1 }).waitFor();
  }

  async addModel(folder: string): Promise<void> {
    await this.goTo('Models');
    await this.page.getByLabel('Model folder').fill(folder);
    await this.page.getByRole('button', { name: 'Add model' }).click();
  }

  async addDataset(path: string): Promise<void> {
    await this.goTo('Data');
    await this.page.getByLabel('Files or folders').fill(path);
    await this.page.getByRole('button', { name: 'Add dataset' }).click();
  }

  /** Fills the form of the Train page; what is not given stays as it is. */
  async configure(values: {
    method: 'LoRA' | 'ID-LoRA';
    name: string;
    fields: Record<string, string>;
  }): Promise<void> {
    await this.goTo('Train');
    await this.page.getByRole('radio', { name: new RegExp(`^${values.method}\\b`) }).check();
    for (const [label, value] of Object.entries(values.fields))
      await this.page
        .getByLabel(label, { exact: false })
        .and(this.page.locator('input[type=number]'))
        .fill(value);
    await this.page.getByLabel('Run name').fill(values.name);
  }

  async start(): Promise<void> {
    await this.page.getByRole('button', { name: 'Start training' }).click();
    await this.page.waitForURL(/\/train\/runs\/.+/);
  }

  async waitForState(state: StateWord): Promise<void> {
    await this.page
      .getByTestId('run-state')
      .filter({ hasText: new RegExp(state, 'i') })
      .waitFor({ timeout: patienceMs });
  }

  /** The step that the run's page shows. */
  async shownStep(): Promise<number> {
    return Number((await this.page.getByTestId('run-step').textContent())?.replaceAll(',', ''));
  }

  async waitForStep(step: number): Promise<void> {
    const until = Date.now() + 60_000;
    while (!((await this.shownStep()) >= step)) {
      if (Date.now() > until) throw new Error(`step ${step} was not shown within 60 s`);
      await this.page.waitForTimeout(100);
    }
  }

  /** A call of the core, as the page makes it. */
  async call<T>(name: string, input: unknown): Promise<T> {
    return this.page.evaluate(
      async ([procedure, body]) => {
        const response = await fetch(`/rpc/${procedure}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: body!,
        });
        const reply = (await response.json()) as { ok: boolean; value: T };
        if (!reply.ok) throw new Error(JSON.stringify(reply));
        return reply.value;
      },
      [name, JSON.stringify(input)],
    );
  }

  /** Training losses of the shown run, as the core keeps them. */
  async lossCurve(): Promise<number[]> {
    const id = new URL(this.page.url()).pathname.split('/').at(-1);
    return this.page.evaluate(async (run) => {
      const response = await fetch('/rpc/runs.curves', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ run }),
      });
      const { value } = (await response.json()) as { value: { steps: { loss: number }[] } };
      return value.steps.map(({ loss }) => loss);
    }, id);
  }

  /** The training loss that the run's page shows: the mean of its last steps. */
  async recentLoss(): Promise<number> {
    return Number(await this.page.getByTestId('recent-loss').textContent());
  }
}
