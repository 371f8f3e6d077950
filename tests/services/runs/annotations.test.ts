import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openTrainingCore } from '../../support/core.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 4, alpha: 8 },
  maxSteps: 30,
  batch: 2,
  context: 64,
});

let core: Core;
const events: StudioEvent[] = [];

beforeAll(async () => {
  ({ core } = await openTrainingCore());
  core.events.subscribe(null, ({ event }) => events.push(event));
});
afterAll(() => core.close());

it('keeps notes, tags and a new name that are given while a run trains, and tells everybody', async () => {
  const { run, ended } = await core.runs.start(
    { name: 'a', model: 'tiny', dataset: 'sums', config },
    (event) => {
      if (event.type === 'step' && event.step === 5)
        core.runs.annotate('a', {
          name: 'better name',
          notes: 'rate too high?',
          tags: ['paper', 'paper', 'x'],
        });
    },
  );
  expect(run).toMatchObject({ notes: '', tags: [] });
  const annotated = { name: 'better name', notes: 'rate too high?', tags: ['paper', 'x'] };
  expect(await ended).toMatchObject({ ...annotated, state: 'done', step: 30 });
  expect(core.runs.get('better name')).toMatchObject({ ...annotated, id: run.id });
  const told = events.flatMap((event) => (event.type === 'run' ? [event.run] : []));
  const first = told.findIndex(({ notes }) => notes !== '');
  expect(told.slice(first).every(({ name }) => name === 'better name')).toBe(true);
});

it('changes only what is given, and refuses a name that another run has', async () => {
  expect(core.runs.annotate('better name', { tags: [] })).toMatchObject({
    notes: 'rate too high?',
    tags: [],
  });
  await (
    await core.runs.start({ name: 'b', model: 'tiny', dataset: 'sums', config: { ...config, maxSteps: 1 } })
  ).ended;
  expect(() => core.runs.annotate('b', { name: 'better name' })).toThrow(
    'There is already a run "better name"',
  );
  expect(core.runs.annotate('b', { name: 'b' }).name).toBe('b');
});
