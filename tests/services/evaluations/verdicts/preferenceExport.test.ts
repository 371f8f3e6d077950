import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Core } from '../../../../src-main/core/createCore.ts';
import type { PreferenceRow } from '../../../../src-main/evaluation/preferencePairs.ts';
import type { ProcedureInput } from '../../../../src-main/contract/procedures.ts';
import { procedures } from '../../../../src-main/contract/procedures.ts';
import { openWritable } from '../../../../src-main/store/database.ts';
import { insertEvaluation } from '../../../../src-main/store/results.ts';
import { studio } from '../../../support/commandLine.ts';
import { neverAborted, openTestCore } from '../../../support/core.ts';
import { sampleEvaluation, sampleItem } from '../../../support/sampleEvaluation.ts';

const plain = { chat: false, template: null, system: null, first: '', cut: 0 };
const chat = { chat: true, template: 'chatml', system: 'Be brief.', first: '', cut: 0 };
const context = { signal: neverAborted };

/** Answers of two subjects to six questions: right twice, only one, only the other, the same, both wrong. */
const answers: Record<string, [string, boolean][]> = {
  x: [
    ['4', true],
    ['right', true],
    ['wrong', false],
    ['same', false],
    ['no', false],
    ['', true],
  ],
  y: [
    ['four', true],
    ['bad', false],
    ['good', true],
    ['same ', true],
    ['nay', false],
    ['c', false],
  ],
};

describe('preference data from pairs of answers', () => {
  let core: Core;
  let home: string;
  beforeAll(() => {
    ({ core, home } = openTestCore());
    const database = openWritable(join(home, 'studio.db'));
    for (const [form, prompts] of Object.entries({ text: plain, turns: chat }))
      for (const [subject, given] of Object.entries(answers))
        insertEvaluation(
          database,
          sampleEvaluation({
            id: `${subject} ${form}`,
            benchmark: 'exact_match',
            subject,
            n: given.length,
            prompts,
            version: form,
          }),
          { key: `${subject} ${form}`, itemsKey: `${subject} ${form}` },
          given.map(([output, correct], i) => sampleItem(i, { question: `q${i}`, output, correct })),
        );
    database.writable.close();
  });
  afterAll(() => core.close());

  const pair = (form: string) => ({ evaluations: [`x ${form}`, `y ${form}`] });
  const write = (input: ProcedureInput<'preferences.export'>) =>
    core.handlers['preferences.export'](procedures['preferences.export'].input.parse(input), context);
  const rowsOf = (path: string) =>
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PreferenceRow);

  it('takes items that one alone got right, writes texts, and never writes over a file', async () => {
    const path = join(home, 'pairs.jsonl');
    const told = await write({ ...pair('text'), path });
    expect(told).toMatchObject({ form: 'standard', rows: 2, byGrade: 2, byVote: 0, byHand: 0, path });
    // An empty answer that is graded right teaches to say nothing.
    expect(told.leftOut).toEqual({ undecided: 0, contradicted: 0, empty: 1, repeated: 0 });
    expect(rowsOf(path)).toEqual([
      {
        prompt: 'q1',
        chosen: 'right',
        rejected: 'bad',
        origin: {
          source: 'grade',
          by_hand: null,
          benchmark: 'exact_match',
          item: '1',
          chosen_subject: 'x',
          rejected_subject: 'y',
          chosen_evaluation: 'x text',
          rejected_evaluation: 'y text',
          shots: 0,
          template: null,
        },
      },
      expect.objectContaining({ prompt: 'q2', chosen: 'good', rejected: 'wrong' }),
    ]);
    writeFileSync(path, 'mine');
    await expect(write({ ...pair('text'), path })).rejects.toThrow(/already: it was left as it is/);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    // Without a name it goes beside what lies there.
    const first = await write(pair('text'));
    const second = await write(pair('text'));
    expect([existsSync(first.path), existsSync(second.path), first.path === second.path]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('lets a person’s votes and grades stand before the stored grades, and says which row is whose', async () => {
    const keep = core.handlers['preferences.keep'];
    const vote = { a: 'y turns', b: 'x turns', seed: 1 };
    await keep({ ...vote, item: '0', choice: 'a' }, context);
    await keep({ ...vote, item: '1', choice: 'a' }, context);
    await keep({ ...vote, item: '2', choice: 'both_bad' }, context);
    const grade = { evaluation: 'x turns', comment: '', seen: 'names' } as const;
    await core.handlers['overrides.keep']({ ...grade, item: '4', grade: 'pass' }, context);
    const path = join(home, 'turns.jsonl');
    const told = await write({ ...pair('turns'), path });
    expect(told).toMatchObject({ form: 'conversational', rows: 3, byVote: 2, byGrade: 1, byHand: 1 });
    expect(told.leftOut).toEqual({ undecided: 1, contradicted: 1, empty: 1, repeated: 0 });
    const rows = rowsOf(path);
    expect(rows[0]).toMatchObject({
      prompt: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'q0' },
      ],
      chosen: [{ role: 'assistant', content: 'four' }],
      rejected: [{ role: 'assistant', content: '4' }],
      origin: { source: 'blind_vote', chosen_subject: 'y', template: 'chatml' },
    });
    expect(rows.map(({ origin }) => [origin.item, origin.source, origin.by_hand])).toEqual([
      ['0', 'blind_vote', null],
      ['1', 'blind_vote', null],
      ['4', 'grade', 'names'],
    ]);
    expect(await write({ ...pair('turns'), path: join(home, 'grades.jsonl'), votes: false })).toMatchObject({
      rows: 1,
      byVote: 0,
    });
  });

  it.each(['text', 'turns'])(
    'is read by the studio’s own importer as preference pairs (%s)',
    async (form) => {
      const { path, rows } = await write(pair(form));
      const dataset = await core.datasets.add({ path, name: `back ${form}`, format: 'auto' });
      expect(dataset).toMatchObject({ format: 'preference', rows });
    },
  );

  it('refuses answers to other questions, and says where no pair has a better one', async () => {
    await expect(write({ evaluations: ['x text', 'y turns'] })).rejects.toThrow(
      /did not answer the same items/,
    );
    await expect(write({ ...pair('text'), grades: false })).rejects.toThrow(/nothing was written/);
    await expect(write({ evaluations: ['x text', 'nope'] })).rejects.toThrow(/no evaluation "nope"/);
  });

  it('is written from the command line, too', async () => {
    const out = join(home, 'line.jsonl');
    const from = (benchmark: string) => ['preferences', 'export', 'x', 'y', '--benchmark', benchmark];
    const places = ['--home', home, '--out', out];
    const none = await studio([...from('gsm8k'), ...places]);
    expect(none).toMatchObject({ code: 1 });
    expect(none.stderr).toContain('have no scores of gsm8k on the same items');
    const written = await studio([...from('exact_match'), ...places, '--votes', 'false']);
    expect(written.stdout).toContain(
      `${out}: 1 pairs (0 by blind votes, 1 by grades, 1 of them changed by hand)`,
    );
    expect(rowsOf(out)).toHaveLength(1);
    const again = await studio([...from('exact_match'), ...places]);
    expect(again).toMatchObject({ code: 1 });
    expect(again.stderr).toContain('it was left as it is');
    expect((await studio(['preferences', 'list'])).code).toBe(2);
  });
});
