import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { endlessText, hostilePattern, withPattern } from '../../support/faults/hostileTokenizer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  maxSteps: 2,
  batch: 2,
});

let core: Core;
let dataFile: string;

beforeAll(async () => {
  ({ core } = openTestCore());
  await core.models.add({ folder: withPattern(hostilePattern), name: 'stranger', copy: false });
  dataFile = join(temporaryFolder(), 'rows.jsonl');
  const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: i === 20 ? endlessText : 'x', answer: ' y' }));
  writeFileSync(dataFile, rows.map((row) => JSON.stringify(row)).join('\n'));
  await core.datasets.add({ path: dataFile, name: 'rows', format: 'auto' });
});
afterAll(() => core.close());

it('a pattern without an end fails what needs it, with the reason; the core answers all the while', async () => {
  const error = {
    code: 'model_invalid',
    message: expect.stringMatching(
      /^The tokenizer of stranger took longer than 10 s on a text of 6[13] characters\.$/,
    ) as string,
  };
  const input = procedures['evaluations.start'].input.parse({
    model: 'stranger',
    benchmark: 'perplexity',
    data: { path: dataFile },
  });
  const progress: StudioEvent[] = [];
  core.events.subscribe(null, ({ event }) => {
    if ('task' in event && event.task.startsWith('run ')) progress.push(event);
  });
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const run = core.runs.start({ name: 'r', model: 'stranger', dataset: 'rows', config });
  const outcomes = Promise.allSettled([
    run.then(({ ended }) => ended),
    core.forecasts.lengths('stranger', 'rows', neverAborted),
    core.evaluations.start(input, neverAborted),
    core.generation.text(
      procedures['generate.text'].input.parse({ model: 'stranger', prompt: endlessText }),
      neverAborted,
    ),
    core.models.tokenize('stranger', endlessText, false),
  ]);
  const [ended, ...others] = await outcomes;
  delay.disable();
  expect(ended).toMatchObject({ value: { state: 'failed', error } });
  for (const other of others) expect(other).toMatchObject({ status: 'rejected', reason: error });
  // Nobody is left with the progress of work that has ended.
  expect(progress.at(-1)).toMatchObject({ type: 'progress.ended' });
  // Five threads turn on the cores meanwhile.
  expect(delay.max / 1e6).toBeLessThan(2000);
});

it('is cancelled in the middle of a row', async () => {
  const controller = new AbortController();
  const begun = performance.now();
  const lengths = core.forecasts.lengths('stranger', 'rows', controller.signal);
  setTimeout(() => controller.abort(), 500);
  await expect(lengths).rejects.toMatchObject({ code: 'cancelled' });
  const { ended } = await core.runs.start({ name: 's', model: 'stranger', dataset: 'rows', config });
  setTimeout(() => void core.runs.stop('s', { save: true }), 500);
  expect(await ended).toMatchObject({ state: 'stopped', step: 0 });
  expect(performance.now() - begun).toBeLessThan(8000);
});
