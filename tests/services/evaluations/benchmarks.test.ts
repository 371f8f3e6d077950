import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { procedures, type ProcedureInput } from '../../../src-main/contract/procedures.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { evaluationSchema } from '../../../src-main/contract/results.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

let core: Core;
let dataFile: string;
let folder: string;
beforeAll(async () => {
  ({ core, dataFile } = await openTrainingCore());
  folder = temporaryFolder();
});
afterAll(() => core.close());

const lines = (rows: object[]) => rows.map((row) => JSON.stringify(row)).join('\n');

function start(rest: Omit<ProcedureInput<'evaluations.start'>, 'model'>, signal: AbortSignal = neverAborted) {
  return core.evaluations.start(
    procedures['evaluations.start'].input.parse({ model: 'tiny', ...rest }),
    signal,
  );
}

const question = (i: number) => ({
  question: `${i}?`,
  choices: ['no', 'yes'],
  answer: i % 2 === 0 ? 'A' : 'B',
});

it('chooses among answers, by group, with the log-likelihood of each', async () => {
  const path = join(folder, 'own.jsonl');
  writeFileSync(path, lines([0, 1, 2, 3].map((i) => ({ ...question(i), subject: i < 2 ? 'x' : 'y' }))));
  const evaluation = await start({ benchmark: 'multiple_choice', data: { path } });
  expect(evaluation).toMatchObject({ n: 4, metric: 'accuracy', cutAnswers: null });
  expect(evaluation.groups.map(({ name, n }) => [name, n])).toEqual([
    ['x', 2],
    ['y', 2],
  ]);
  // What was asked can be asked again of another subject.
  expect(evaluationSchema.parse(evaluation)).toEqual(evaluation);
  expect((await start(evaluation.asked!)).id).toBe(evaluation.id);
  const items = await core.evaluations.items(evaluation.id);
  for (const item of items) {
    expect(item.choiceLogLikelihoods).toHaveLength(2);
    const [a, b] = item.choiceLogLikelihoods!;
    expect(item).toMatchObject({
      answer: b! > a! ? 'B' : 'A',
      correct: (b! > a! ? 'B' : 'A') === item.target,
    });
  }
  expect(evaluation.prompts).toMatchObject({ chat: false, first: 'Question: 0?\nA. no\nB. yes\nAnswer:' });
  expect(items.filter(({ correct }) => correct).length / 4).toBe(evaluation.score);
});

it('of a folder with parts scores the test, and shows the subject’s own solved examples', async () => {
  const mmlu = join(folder, 'mmlu');
  for (const part of ['dev', 'test']) {
    mkdirSync(join(mmlu, part), { recursive: true });
    for (const [subject, offset] of [
      ['sums', 0],
      ['terms', 10],
    ] as const)
      writeFileSync(
        join(mmlu, part, `${subject}_${part}.csv`),
        `question,choice0,choice1,choice2,choice3,answer\n${[1, 2]
          .map((i) => `${part[0]}${offset + i},a,b,c,d,${i}`)
          .join('\n')}\n`,
      );
  }
  const evaluation = await start({ benchmark: 'mmlu', shots: 1, data: { path: mmlu } });
  expect(evaluation).toMatchObject({ n: 4, shots: 1 });
  expect(evaluation.groups.map(({ name }) => name)).toEqual(['sums', 'terms']);
  expect(evaluation.prompts!.first).toBe(
    'The following are multiple choice questions (with answers) about sums.\n\n' +
      'd1\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\nt1\nA. a\nB. b\nC. c\nD. d\nAnswer:',
  );
  await expect(start({ benchmark: 'mmlu', shots: 3, data: { path: mmlu } })).rejects.toThrow(
    /3 solved examples are asked for, and there are 2 of sums/,
  );
});

it('goes on behind what was graded when it is stopped, and with more items begins with those', async () => {
  const asked = { benchmark: 'gsm8k', data: { path: dataFile }, maxTokens: 24, limit: 40 } as const;
  const stop = new AbortController();
  const seen: StudioEvent[] = [];
  const off = core.events.subscribe(null, ({ event }) => {
    seen.push(event);
    if (event.type === 'progress' && event.label.includes('so far') && event.done > 0) stop.abort();
  });
  await expect(start(asked, stop.signal)).rejects.toMatchObject({ code: 'cancelled' });
  const before = seen.flatMap((event) =>
    event.type === 'progress' && event.label.includes('so far') ? [event] : [],
  );
  expect(before.at(-1)!.label).toMatch(/% right \(\d+ to \d+ %\) so far/);
  expect(before.at(-1)!.secondsLeft).toBeGreaterThan(0);
  const kept = before.at(-1)!.done;
  expect(kept).toBeLessThan(40);
  seen.length = 0;
  const evaluation = await start(asked);
  const totals = seen.flatMap((event) =>
    event.type === 'progress' && event.label.includes('so far') ? [event.total] : [],
  );
  expect(new Set(totals)).toEqual(new Set([40 - kept]));
  expect(evaluation).toMatchObject({ n: 40, measured: null });
  // Nothing of the first ones is computed again for ten more, and all are as without the break.
  seen.length = 0;
  const longer = await start({ ...asked, limit: 50 });
  off();
  expect(
    seen.flatMap((event) => (event.type === 'progress' && event.total !== null ? [event.total] : [])),
  ).toContain(10);
  const whole = await start({ ...asked, limit: 50, seed: 7 });
  const outputs = async (id: string) =>
    (await core.evaluations.items(id)).map(({ id: item, output }) => [item, output]);
  expect(await outputs(longer.id)).toEqual(await outputs(whole.id));
  expect(whole.measured).not.toBeNull();
});

it('an answer that was cut off before it said anything widens the interval', async () => {
  const evaluation = await start({
    benchmark: 'number_match',
    data: { path: dataFile },
    maxTokens: 1,
    limit: 6,
  });
  const items = await core.evaluations.items(evaluation.id);
  const cut = items.filter(({ state }) => state === 'cut_off');
  expect(cut.length).toBeGreaterThan(0);
  expect(cut.every(({ correct, end }) => correct === null && end === 'length')).toBe(true);
  expect(evaluation.cutAnswers).toBeGreaterThanOrEqual(cut.length);
  expect(evaluation.sums).toMatchObject({ kind: 'right', ungraded: cut.length });
  // All of them may be right.
  expect(evaluation.interval[1]).toBeGreaterThan((cut.length - 1) / 6);
});

it('tells items apart that a file holds twice', async () => {
  const path = join(folder, 'twice.jsonl');
  writeFileSync(path, lines([question(1), question(1)]));
  const { id } = await start({ benchmark: 'multiple_choice', data: { path } });
  const [first, second] = await core.evaluations.items(id);
  expect(second!.id).toBe(`${first!.id} (2)`);
  // Rows of one product may be summed in another order: without AVX-512 the last digit of f32 differs.
  first!.choiceLogLikelihoods!.forEach((value, choice) =>
    expect(second!.choiceLogLikelihoods![choice]).toBeCloseTo(value, 5),
  );
});

describe('programs', () => {
  /** What a model writes behind it is a comment: only the tests tell them apart. */
  const task = (id: string, expected: number) => ({
    task_id: id,
    prompt: 'def one():\n    return 1\n#',
    entry_point: 'one',
    canonical_solution: 'x',
    test: `def check(candidate):\n    assert candidate() == ${expected}\n`,
  });
  const asked = (path: string) =>
    ({ benchmark: 'humaneval', data: { path }, maxTokens: 1, seed: 3 }) as const;

  it('are run once a person agreed, and grade their items', async () => {
    const path = join(folder, 'HumanEval.jsonl');
    writeFileSync(path, lines([task('HumanEval/0', 1), task('HumanEval/1', 2)]));
    await expect(start(asked(path))).rejects.toMatchObject({ code: 'consent_missing' });
    core.grading.allowForNow();
    const evaluation = await start(asked(path));
    expect(evaluation).toMatchObject({
      n: 2,
      score: 0.5,
      sandbox: expect.stringContaining('Python') as string,
    });
    expect(evaluation.passAtK).toMatchObject([{ k: 1, score: 0.5 }]);
    expect(await core.evaluations.items(evaluation.id)).toMatchObject([
      { id: 'HumanEval/0', correct: true, answer: 'passed', remark: 'passed', state: 'graded' },
      { id: 'HumanEval/1', correct: false, answer: 'failed', state: 'graded' },
    ]);
    expect((await core.evaluations.items(evaluation.id))[1]!.remark).toMatch(/AssertionError/);
    const several = await start({ ...asked(path), samples: 5, temperature: 1 });
    expect(several.passAtK!.map(({ k, score }) => [k, score])).toEqual([
      [1, 0.5],
      [5, 0.5],
    ]);
    expect(several.sums).toMatchObject({ kind: 'share', sum: 1 });
    const [first] = await core.evaluations.items(several.id);
    expect(first).toMatchObject({ correct: null, share: 1, answer: '5 of 5 passed' });
    expect(first!.outputs).toHaveLength(5);
  });
});
