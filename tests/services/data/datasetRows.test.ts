import { appendFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import type { Dataset } from '../../../src-main/contract/entities.ts';
import type { Row } from '../../../src-main/contract/rows.ts';
import { trainingRefusal } from '../../../src-main/contract/datasets/parts.ts';
import { givenData } from '../../../src-main/services/evaluations/evaluationData.ts';
import { openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

let core: Core;
let home: string;
beforeAll(() => {
  ({ core, home } = openTestCore());
});
afterAll(() => core.close());

const folder = temporaryFolder();
const file = (name: string, rows: readonly unknown[]) => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return path;
};
const pair = (i: number) => ({ frage: `q${i}`, antwort: `a${i}`, id: i });
const mapping = { kind: 'prompt', prompt: 'frage', answer: 'antwort' } as const;
const answers = async (dataset: Dataset, split?: 'train' | 'validation' | 'test') => {
  const rows: Row[] = [];
  for await (const { row } of core.datasets.read(dataset, { split })) rows.push(row);
  return rows.map((row) => (row.kind === 'chat' ? row.turns.at(-1)!.content : row));
};
const stored = () => readdirSync(join(home, 'datasets')).sort();

describe('which field is what', () => {
  it('is refused where nothing says so, named, and kept for the next file of the same shape', async () => {
    const path = file('a.jsonl', [pair(1), pair(2)]);
    await expect(core.datasets.add({ path })).rejects.toThrow(
      'a.jsonl, row 1 has the fields frage, antwort, id, which fit no known format.',
    );
    const dataset = await core.datasets.add({ path, mappings: [mapping] });
    expect(dataset).toMatchObject({
      rows: 2,
      isMappedByHand: true,
      unreadColumns: ['id'],
      reason: 'The fields were named.',
    });
    const next = await core.datasets.add({ path: file('b.jsonl', [pair(3)]) });
    expect(next).toMatchObject({ rows: 1, mappings: [mapping] });
    expect(await answers(next)).toEqual(['a3']);
  });

  it('is changed without the file that the rows came from', async () => {
    const path = file('c.jsonl', [
      { prompt: 'p', completion: 'c', better: 'b' },
      { prompt: 'q', completion: 'd', better: ' ' },
    ]);
    const dataset = await core.datasets.add({ path });
    rmSync(path);
    const better = [{ kind: 'prompt', prompt: 'prompt', answer: 'better' }] as const;
    // Tried first: what the rows would say, and nothing changed.
    const tried = await core.datasets.rows(dataset.id, { offset: 0, limit: 2, mappings: better });
    expect(tried.rows.map(({ row, unusable }) => unusable?.reason ?? row)).toEqual([
      {
        kind: 'chat',
        turns: [
          { role: 'user', content: 'p' },
          { role: 'assistant', content: 'b' },
        ],
      },
      'empty',
    ]);
    expect(core.datasets.get(dataset.id)).toEqual(dataset);
    const changed = await core.datasets.setMapping(dataset.id, { mappings: better });
    expect(await answers(changed)).toEqual(['b']);
    expect(changed).toMatchObject({ rows: 1, unreadColumns: ['completion'], unused: { rows: 1 } });
    expect(changed.contentHash).not.toBe(dataset.contentHash);
    const back = await core.datasets.setMapping(dataset.id, { mappings: dataset.mappings });
    expect(back.contentHash).toBe(dataset.contentHash);
    expect(await answers(back)).toEqual(['c', 'd']);
    const nothing = core.datasets.setMapping(dataset.id, { mappings: [{ kind: 'text', text: 'none' }] });
    await expect(nothing).rejects.toThrow(/no row of the dataset "c" could be used/);
    expect(core.datasets.get(dataset.id)).toEqual(back);
  });
});

describe('rows that are looked for', () => {
  it('are found by a text in any field as it was edited, from any row on, and named among all rows', async () => {
    const rows = [pair(1), 'no JSON', { ...pair(2), antwort: '' }, pair(3), { ...pair(4), frage: 'Q3\n"x"' }];
    const dataset = await core.datasets.add({ path: file('found.jsonl', rows), mappings: [mapping] });
    const find = (text: string, from = 0, limit = 10) =>
      core.datasets.find(dataset.id, { text, from, limit });
    expect(await find('q3')).toEqual({ indices: [2, 3], next: null });
    expect(await find('q3', 0, 1)).toEqual({ indices: [2], next: 3 });
    expect(await find('q3', 3)).toEqual({ indices: [3], next: null });
    expect(await find('q3\n"x')).toEqual({ indices: [3], next: null });
    expect(await find('nothing of it')).toEqual({ indices: [], next: null });
    await core.datasets.edit(dataset.id, [{ index: 0, values: { antwort: 'says Q3 now' } }]);
    expect((await find('q3')).indices).toEqual([0, 2, 3]);
    core.datasets.remove(dataset.id);
    core.trash.empty();
  });

  it('are shown by their numbers among all rows, or among the usable ones, and nothing else of them', async () => {
    const rows = [{ ...pair(0), antwort: '' }, pair(1), { ...pair(2), antwort: '' }, pair(3), pair(4)];
    const dataset = await core.datasets.add({ path: file('named.jsonl', rows), mappings: [mapping] });
    const shown = async (named: { usable?: number[]; indices?: number[] }, offset = 0) => {
      const { total, rows: found } = await core.datasets.rows(dataset.id, { offset, limit: 2, ...named });
      return [total, found.map(({ index }) => index)];
    };
    expect(await shown({ usable: [0, 2] })).toEqual([2, [1, 4]]);
    expect(await shown({ usable: [0, 1, 2] }, 1)).toEqual([3, [3, 4]]);
    expect(await shown({ indices: [4, 0] })).toEqual([2, [4, 0]]);
  });
});

describe('parts of the data', () => {
  it('are read apart, and a test set is trained on where somebody says so alone', async () => {
    const train = file('train.jsonl', [pair(1), pair(2), pair(3)]);
    const test = file('test.jsonl', [pair(4), pair(5)]);
    const both = await core.datasets.add({ paths: [test, train], name: 'both', mappings: [mapping] });
    expect(both.stretches).toEqual([
      { split: 'train', rows: 3, sourceRows: 3 },
      { split: 'test', rows: 2, sourceRows: 2 },
    ]);
    expect(await answers(both)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5']);
    expect(await answers(both, 'test')).toEqual(['a4', 'a5']);
    expect(await answers(both, 'validation')).toEqual([]);
    expect(trainingRefusal(both)).toBeNull();

    const alone = await core.datasets.add({ path: test, name: 'alone', mappings: [mapping] });
    expect(trainingRefusal(alone)).toMatchObject({
      message: expect.stringMatching(
        /^The dataset "alone" is test data alone \(test.jsonl: its name says "test"\)/,
      ) as string,
      remedy: expect.stringContaining('datasets split "alone" --as train') as string,
    });
    const said = await core.datasets.setSplit('alone', 'train');
    expect(trainingRefusal(said)).toBeNull();
    expect(said.files[0]!.split).toBe('train');
    expect(await answers(said, 'train')).toEqual(['a4', 'a5']);
    expect((await core.datasets.setSplit('both', 'validation', 'test')).stretches[1]!.split).toBe(
      'validation',
    );
  });

  it('without answers are for asking alone', async () => {
    const dataset = await core.datasets.add({ path: file('p.jsonl', [{ prompt: 'p' }]), split: 'train' });
    expect(trainingRefusal(dataset)?.message).toMatch(/holds prompts without answers/);
  });
});

it('of a dataset with parts, those are scored that are not for training, and the others are shown as solved', async () => {
  const solved = (i: number) => ({ question: `q${i}`, answer: `a\n#### ${i}` });
  const train = file('train.jsonl', [solved(1), solved(2), solved(3)]);
  const test = file('test.jsonl', [solved(4), solved(5)]);
  const both = await core.datasets.add({ paths: [train, test], name: 'solved' });
  const data = await givenData(core.datasets, { dataset: 'solved' });
  const asked = async (records: AsyncIterable<{ value: Record<string, unknown> }>) => {
    const questions = [];
    for await (const { value } of records) questions.push(value['question']);
    return questions;
  };
  expect(await asked(data.records())).toEqual(['q4', 'q5']);
  expect(await asked(data.others()!)).toEqual(['q1', 'q2', 'q3']);
  expect(data).toMatchObject({ path: 'solved, test rows' });
  expect(data.hash).not.toBe(both.contentHash);
});

describe('rows that were set aside', () => {
  it('are listed, each with its file, number and reason', async () => {
    const path = file('d.jsonl', [
      pair(1),
      '{"frage": 2,',
      pair(3),
      { frage: 'q', antwort: null },
      '',
      pair(6),
      '{"frage":"q","antwort":"\\ud800"}',
      pair(8),
    ]);
    const dataset = await core.datasets.add({ path, mappings: [mapping] });
    expect(dataset).toMatchObject({ rows: 4, unused: { rows: 3 } });
    const { total, rows } = await core.datasets.unused(dataset.id, { offset: 0, limit: 10 });
    expect(total).toBe(3);
    expect(rows.map(({ number, reason, column }) => [number, reason, column])).toEqual([
      [2, 'not_json', null],
      [4, 'null', 'antwort'],
      [7, 'half_character', 'antwort'],
    ]);
    expect((await core.datasets.unused(dataset.id, { offset: 1, limit: 1 })).rows).toEqual([rows[1]]);
    expect(await answers(dataset)).toEqual(['a1', 'a3', 'a6', 'a8']);
    const shown = await core.datasets.rows(dataset.id, { offset: 1, limit: 2 });
    expect(shown.total).toBe(6);
    expect(shown.rows.map(({ number, unusable }) => [number, unusable?.reason])).toEqual([
      [3, undefined],
      [4, 'null'],
    ]);
    const unused = await core.datasets.rows(dataset.id, { offset: 0, limit: 9, which: 'unused' });
    expect(unused.rows.map(({ number }) => number)).toEqual([4, 7]);
  });
});

describe('edits', () => {
  it('lie over the file, change its identity, and are taken back one by one', async () => {
    const dataset = await core.datasets.add({
      path: file('e.jsonl', [pair(1), pair(2), pair(3), { frage: 'q4' }]),
      mappings: [mapping],
    });
    expect(dataset.rows).toBe(3);
    const edited = await core.datasets.edit(dataset.id, [
      { index: 1, values: { antwort: 'better' }, tags: ['seen'] },
      { index: 3, values: { antwort: 'a4' } },
    ]);
    expect(edited).toMatchObject({
      rows: 4,
      edits: { edited: 2, excluded: 0, tagged: 1 },
      unused: { rows: 0 },
    });
    expect(await answers(edited)).toEqual(['a1', 'better', 'a3', 'a4']);
    const excluded = await core.datasets.edit(dataset.id, [{ index: 0, isExcluded: true }]);
    expect(await answers(excluded)).toEqual(['better', 'a3', 'a4']);
    expect(excluded.unused.rows).toBe(0);
    const changed = await core.datasets.rows(dataset.id, { offset: 0, limit: 9, which: 'changed' });
    expect(
      changed.rows.map(({ index, isExcluded, original, tags }) => [index, isExcluded, original, tags]),
    ).toEqual([
      [0, true, null, []],
      [1, false, { antwort: 'a2' }, ['seen']],
      [3, false, { antwort: null }, []],
    ]);
    const hashes = [dataset, edited, excluded].map(({ contentHash }) => contentHash);
    expect(new Set(hashes).size).toBe(3);
    expect((await core.datasets.undoEdit(dataset.id)).contentHash).toBe(edited.contentHash);
    const back = await core.datasets.undoEdit(dataset.id);
    expect(back).toMatchObject({ contentHash: dataset.contentHash, edits: null });
    expect(await answers(back)).toEqual(['a1', 'a2', 'a3']);
    await expect(core.datasets.undoEdit(dataset.id)).rejects.toThrow(/has no edit that could be taken back/);
    await expect(core.datasets.edit(dataset.id, [{ index: 4, isExcluded: true }])).rejects.toThrow(
      /has no row 4/,
    );
  });

  it('go with the dataset', async () => {
    const before = stored();
    const dataset = await core.datasets.add({
      path: file('f.jsonl', [pair(1), pair(22)]),
      mappings: [mapping],
    });
    await core.datasets.edit(dataset.id, [{ index: 0, isExcluded: true }]);
    await core.datasets.edit(dataset.id, [{ index: 1, tags: ['x'] }]);
    expect(stored().filter((name) => name.endsWith('.edits'))).toHaveLength(2);
    core.datasets.remove(dataset.id);
    core.trash.empty();
    expect(stored()).toEqual(before);
  });
});

describe('a file that is used where it lies', () => {
  it('has no copy, and is refused by its name when it has changed', async () => {
    const path = file('g.jsonl', [pair(1), 'broken', pair(2), { frage: 'q' }, pair(3)]);
    const dataset = await core.datasets.add({ path, mappings: [mapping], inPlace: true });
    expect(stored()).not.toContain(dataset.file);
    expect(await answers(dataset)).toEqual(['a1', 'a2', 'a3']);
    utimesSync(path, 1, 1);
    expect(await answers(dataset)).toEqual(['a1', 'a2', 'a3']);
    appendFileSync(path, ' ');
    await expect(answers(dataset)).rejects.toThrow(
      'g.jsonl, which the dataset "g" uses where it lies, was changed after it was imported.',
    );
    rmSync(path);
    await expect(core.datasets.rows(dataset.id, { offset: 0, limit: 1 })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
  it('is one file in JSON Lines', async () => {
    const path = join(folder, 'h.json');
    writeFileSync(path, JSON.stringify([pair(1)]));
    const add = core.datasets.add({ path, mappings: [mapping], inPlace: true });
    await expect(add).rejects.toThrow(/can be used where it lies/);
  });
});

it('files are looked at before anything is imported', async () => {
  const path = file('i.jsonl', [
    { question: 'q', answer: 'a', id: 1 },
    'no row',
    { question: 'r', answer: '' },
  ]);
  const before = stored();
  expect(await core.datasets.inspect({ paths: [path] })).toMatchObject({
    files: [{ name: 'i.jsonl', split: 'train' }],
    format: 'question_answer',
    mappings: [{ kind: 'prompt', prompt: 'question', answer: 'answer' }],
    columns: ['question', 'answer', 'id'],
    unreadColumns: ['id'],
    sampledRows: 3,
    unused: {
      rows: 2,
      reasons: [
        { reason: 'not_json', number: 2 },
        { reason: 'empty', column: 'answer', number: 3 },
      ],
    },
    rows: [
      { number: 1, raw: { id: 1 }, row: { kind: 'chat' }, unusable: null },
      { number: 2, raw: null, row: null, unusable: { reason: 'not_json' } },
      { number: 3, row: null, unusable: { reason: 'empty' } },
    ],
  });
  expect(stored()).toEqual(before);
});

it('an import that is cancelled leaves nothing behind', async () => {
  const before = stored();
  const path = file(
    'j.jsonl',
    Array.from({ length: 20_000 }, (_, i) => pair(i)),
  );
  const cancel = new AbortController();
  const adding = core.datasets.add({ path, mappings: [mapping] }, cancel.signal);
  const totals: (number | null)[] = [];
  const unsubscribe = core.events.subscribe(null, ({ event }) => {
    if (event.type !== 'progress') return;
    totals.push(event.total);
    if (event.done > 0) cancel.abort();
  });
  await expect(adding).rejects.toMatchObject({ code: 'cancelled' });
  unsubscribe();
  expect(new Set(totals)).toEqual(new Set([statSync(path).size]));
  expect(stored()).toEqual(before);
});

it('rows of a dataset from before there were mappings are read as they were', async () => {
  const hash = 'c'.repeat(64);
  writeFileSync(
    join(home, 'datasets', `${hash}.jsonl`),
    '{"prompt":"p","answer":" a"}\n{"prompt":"q","answer":" b","task":3}\n',
  );
  const [any] = core.datasets.list();
  const old = {
    ...any!,
    id: 'old',
    name: 'old',
    file: `${hash}.jsonl`,
    contentHash: hash,
    sourceHash: null,
    mappings: [],
    stretches: [],
    rows: 2,
  };
  const rows: Row[] = [];
  for await (const { row } of core.datasets.read(old, { split: 'train' })) rows.push(row);
  expect(rows).toEqual([
    { kind: 'verbatim', prompt: 'p', answer: ' a' },
    { kind: 'verbatim', prompt: 'q', answer: ' b', task: 3 },
  ]);
});
