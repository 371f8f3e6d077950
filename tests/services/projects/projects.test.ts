import { afterEach, expect, it } from 'vitest';
import type { EvaluationItem } from '../../../src-main/contract/results.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { neverAborted } from '../../support/core.ts';
import { sampleEvaluation, sampleItem, sampleKeys } from '../../support/sampleEvaluation.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { join } from 'node:path';

let core: Core | null = null;
afterEach(() => {
  core?.close();
  core = null;
});
const open = (home: string, project: string | null = null) =>
  (core = createCore({ home, project, mode: 'write' }));

/** Writes beside the services, as an earlier session would have done. */
function fill(home: string, write: (database: ReturnType<typeof openWritable>) => void): void {
  const database = openWritable(join(home, 'studio.db'));
  write(database);
  database.writable.close();
}

it('opens another project while the studio runs: its runs, its names, and the next start too', () => {
  const home = temporaryFolder();
  const first = open(home);
  expect(first.project).toBe('default');
  const events: StudioEvent[] = [];
  first.events.subscribe(null, ({ event }) => events.push(event));
  first.projects.create('Arithmetic');
  fill(home, (database) => {
    insertRun(database, sampleRun({ name: 'same', state: 'done' }));
    insertRun(database, sampleRun({ id: 'other', name: 'same', project: 'Arithmetic', state: 'running' }));
  });
  first.projects.open('Arithmetic');
  expect(events).toContainEqual({ type: 'project.opened', project: 'Arithmetic' });
  expect(first.runs.list().map(({ id }) => id)).toEqual(['other']);
  expect(first.runs.get('same').id).toBe('other');
  first.projects.open('default');
  expect(first.runs.get('same').project).toBe('default');
  // A job of a project that is not open can still be reached: by its id.
  expect(first.runs.get('other').project).toBe('Arithmetic');
  expect(first.projects.list().map(({ title, runs, activeRuns }) => [title, runs, activeRuns])).toEqual([
    ['Arithmetic', 1, 1],
    ['default', 1, 0],
  ]);
  first.projects.open('Arithmetic');
  first.close();
  expect(open(home).project).toBe('Arithmetic');
  core?.close();
  expect(open(home, 'default').project).toBe('default');
});

it('renames a project without losing what belongs to it, and refuses a name that is taken', () => {
  const home = temporaryFolder();
  const { projects } = open(home);
  projects.update('default', { title: 'Sums', question: 'Which method?', maxTrainable: 5000 });
  projects.create('Chat');
  expect(() => projects.update('Chat', { title: 'sums' })).toThrow(/already/);
  expect(() => projects.create('DEFAULT')).toThrow(/already/);
  core?.close();
  const again = open(home, 'Sums');
  expect(again.project).toBe('default');
  expect(again.projects.list()[1]).toMatchObject({
    name: 'default',
    title: 'Sums',
    question: 'Which method?',
    benchmark: null,
    maxTrainable: 5000,
  });
});

it('answers from stored scores who leads, against whom, and whether it can be told', async () => {
  const home = temporaryFolder();
  const { handlers } = open(home);
  const answer = () => handlers['projects.answer']({}, { signal: neverAborted });
  expect(await answer()).toEqual({ evaluations: [], comparison: null, passedOver: [] });
  const items = (right: number): EvaluationItem[] =>
    Array.from({ length: 10 }, (_, index) => sampleItem(index, { correct: index < right }));
  fill(home, (database) => {
    for (const [id, right] of [
      ['lora', 1],
      ['idlora', 9],
    ] as const) {
      insertRun(database, sampleRun({ id, name: id, state: 'done', trainable: 1000 }));
      const evaluation = sampleEvaluation({ runId: id, subject: id, score: right / 10 });
      insertEvaluation(database, evaluation, sampleKeys(id), items(right));
    }
  });
  const found = await answer();
  expect(found.evaluations.map(({ subject }) => subject)).toEqual(['idlora', 'lora']);
  expect(found.comparison).toMatchObject({ a: 'lora', b: 'idlora', verdict: 'b_better', n: 10 });
});

it('keeps scores that can tell where newer ones cannot, and says which were passed over', async () => {
  const home = temporaryFolder();
  const { handlers } = open(home);
  const losses = (shift: number): EvaluationItem[] =>
    Array.from({ length: 30 }, (_, index) =>
      sampleItem(index, { loss: 2 + shift + Math.sin(index) / 100, tokens: 10 }),
    );
  const wrong = losses(0).map((item) => ({ ...item, correct: false, loss: null, target: '1' }));
  fill(home, (database) => {
    for (const [id, shift] of [
      ['lora', 0],
      ['idlora', 0.2],
    ] as const) {
      insertRun(
        database,
        sampleRun({ id, name: id, state: 'done', trainable: 1000, step: id === 'lora' ? 260 : 200 }),
      );
      const perplexity = {
        benchmark: 'perplexity',
        metric: 'perplexity',
        score: Math.exp(2 + shift),
      } as const;
      insertEvaluation(
        database,
        sampleEvaluation({ runId: id, subject: id, n: 30, ...perplexity }),
        sampleKeys(id),
        losses(shift),
      );
      const later = { n: 30, score: 0, createdAt: '2026-02-01T00:00:00.000Z' };
      insertEvaluation(
        database,
        sampleEvaluation({ runId: id, subject: id, ...later }),
        sampleKeys(`${id} gsm8k`),
        wrong,
      );
    }
  });
  const { comparison, passedOver } = await handlers['projects.answer']({}, { signal: neverAborted });
  expect(comparison).toMatchObject({ benchmark: 'perplexity', a: 'idlora', b: 'lora', verdict: 'b_better' });
  expect(comparison!.confounders).toEqual(['steps: 260 against 200']);
  expect(passedOver).toHaveLength(1);
  expect(passedOver[0]).toMatch(/^Newer scores on 30 items of gsm8k are passed over: .* differ on 0 of them/);
});
