import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

/** A model with a template: what is scored goes through it as what was trained did. */
const template =
  '{% for m in messages %}{{ m.role[0] + ":" + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}';

let core: Core;
let dataFile: string;
beforeAll(async () => {
  ({ core, dataFile } = openTestCore());
  const folder = temporaryFolder();
  cpSync(tinyLlama, folder, { recursive: true });
  writeFileSync(join(folder, 'chat_template.jinja'), template);
  await core.models.add({ folder, name: 'chat', copy: false });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 2,
    batch: 2,
    context: 96,
    heldOutFraction: 0.2,
    samples: { prompts: ['2 + 2?'], every: 0, maxTokens: 3 },
  });
  for (const [name, chosen] of [
    ['own', {}],
    ['alpaca', { template: 'question_answer', system: 'S' }],
  ] as const) {
    const run = await core.runs.start({
      name,
      model: 'chat',
      dataset: 'sums',
      config: { ...config, ...chosen },
    });
    expect(await run.ended).toMatchObject({ state: 'done' });
  }
});
afterAll(() => core.close());

const start = (rest: object) =>
  core.evaluations.start(
    procedures['evaluations.start'].input.parse({ model: 'chat', adapter: 'own', maxTokens: 2, ...rest }),
    neverAborted,
  );

it('held-out rows are scored as they were in training, through the template of the run', async () => {
  for (const adapter of ['own', 'alpaca']) {
    const { score } = await start({ adapter, benchmark: 'perplexity' });
    const { evals } = core.runs.curves(adapter, {});
    expect(Math.log(score)).toBeCloseTo(evals.at(-1)!.loss, 3);
  }
});

it('a benchmark that generates asks through the template where that is wanted, and is another score then', async () => {
  const settings = { benchmark: 'gsm8k', data: { path: dataFile }, limit: 2 };
  const plain = await start(settings);
  const chat = await start({ ...settings, chat: true });
  const other = await start({ ...settings, chat: true, adapter: 'alpaca' });
  expect(plain.version).toBe('gsm8k-3-flexible');
  expect(chat.version).toBe('gsm8k-3-flexible-chat');
  expect(new Set([plain.id, chat.id, other.id]).size).toBe(3);
  expect((await start({ ...settings, chat: true })).id).toBe(chat.id);
});

it('says in the log that sample prompts go through a template', () => {
  const lines = core.runs.logs('own', { limit: 100 }).lines.map(({ line }) => line);
  expect(lines).toContain('sample prompts go through the template of the run: model');
});
