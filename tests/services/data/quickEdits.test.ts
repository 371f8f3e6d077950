import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RowChange } from '../../../src-main/contract/datasets/datasetProcedures.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { homePaths } from '../../../src-main/services/homePaths.ts';
import { contentKeys } from '../../../src-main/services/mixes/runRows.ts';
import { rowKeysOf } from '../../../src-main/services/data/sharedRows.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

let core: Core;
let home: string;
beforeAll(() => {
  ({ core, home } = openTestCore());
});
afterAll(() => core.close());

const folder = temporaryFolder();
type Value = Record<string, unknown>;

function imported(name: string, rows: readonly Value[]) {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return core.datasets.add({
    path,
    name,
    mappings: [{ kind: 'prompt', prompt: 'question', answer: 'answer' }],
  });
}

it('an edit, and taking it back, read the row that it concerns alone', async () => {
  const rows = Array.from({ length: 3000 }, (_, i) => ({ question: `question ${i}`, answer: `answer ${i}` }));
  const dataset = await imported('alone', rows);
  const copy = join(home, 'datasets', dataset.file);
  const lines = readFileSync(copy, 'utf8').split('\n');
  // Of the copy nothing but three rows is left that could be read.
  const left = new Set([0, 1500, 2999]);
  writeFileSync(copy, lines.map((line, i) => (left.has(i) ? line : 'x'.repeat(line.length))).join('\n'));

  const edited = await core.datasets.edit('alone', [{ index: 1500, values: { answer: 'answer 3' } }]);
  expect(edited).toMatchObject({
    rows: 3000,
    edits: { edited: 1 },
    statistics: { promptCharactersMean: dataset.statistics.promptCharactersMean, duplicateRows: 0 },
  });
  expect(edited.statistics.answerCharactersMean).toBeCloseTo(
    dataset.statistics.answerCharactersMean - 3 / 3000,
    9,
  );
  const excluded = await core.datasets.edit('alone', [
    { index: 2999, isExcluded: true, tags: ['odd'] },
    { index: 0, values: { answer: '' } },
    { index: 17, isExcluded: true },
  ]);
  expect(excluded).toMatchObject({
    rows: 2997,
    edits: { edited: 2, excluded: 2, tagged: 1 },
    unused: { rows: 1, reasons: [{ reason: 'empty', column: 'answer', number: 1 }] },
  });
  const asTest = await core.datasets.setSplit('alone', 'test');
  expect(asTest.stretches).toEqual([{ split: 'test', sourceRows: 3000, rows: 2997 }]);
  expect(await core.datasets.undoEdit('alone')).toMatchObject({ rows: 3000, unused: { rows: 0 } });
  expect(await core.datasets.undoEdit('alone')).toMatchObject({
    rows: 3000,
    edits: null,
    statistics: dataset.statistics,
  });
  // Another mapping reads all rows, and here meets the first that is none.
  const mappings = [{ kind: 'prompt', prompt: 'question', answer: 'answer', system: 'no' }] as const;
  await expect(core.datasets.setMapping('alone', { mappings })).rejects.toThrow();
});

it('what edits make of a dataset is what an import of the edited rows would be', async () => {
  const random = createRandom(3);
  const word = () => `w${random.integer(40)}`;
  const valueOf = (): Value => {
    const kind = random.integer(12);
    return {
      question: kind === 0 ? null : word().repeat(1 + random.integer(3)),
      ...(kind !== 1 && { answer: kind === 2 ? ' ' : word() }),
      ...(kind === 3 && { task: random.integer(2) === 0 ? 'first' : 2 }),
    };
  };
  const now: { value: Value; isExcluded: boolean }[] = Array.from({ length: 200 }, () => ({
    value: valueOf(),
    isExcluded: false,
  }));
  await imported(
    'edited',
    now.map(({ value }) => value),
  );
  for (let round = 0; round < 12; round++) {
    const changes = Array.from({ length: 1 + random.integer(20) }, (): RowChange => {
      const index = random.integer(now.length);
      if (random.integer(3) > 0) return { index, isExcluded: random.integer(2) === 0 };
      return { index, values: { answer: null, task: null, ...valueOf() } };
    });
    for (const { index, values, isExcluded } of changes) {
      const row = now[index]!;
      if (values) row.value = { ...row.value, ...values };
      if (isExcluded !== undefined) row.isExcluded = isExcluded;
    }
    const edited = await core.datasets.edit('edited', changes);
    const rows = now.filter((row) => !row.isExcluded).map(({ value }) => value);
    const fresh = await imported(`fresh ${round}`, rows);
    const counts = ({ rows: of, reasons }: typeof fresh.unused) => [
      of,
      reasons.map(({ reason, column, detail, rows: count }) => [reason, column, detail, count]),
    ];
    expect(edited.rows).toBe(fresh.rows);
    expect(edited.promptRows).toBe(fresh.promptRows);
    expect(edited.statistics).toEqual(fresh.statistics);
    expect(counts(edited.unused)).toEqual(counts(fresh.unused));
    for (const { file, number, reason, column } of edited.unused.reasons) {
      const { value, isExcluded } = now[number - 1]!;
      expect([file, isExcluded]).toEqual(['edited.jsonl', false]);
      expect(['null', 'missing', 'empty']).toContain(reason);
      expect(String(value[column!] ?? '').trim()).toBe('');
    }
  }
});

it('keys of rows follow the edits, and facts that are gone are found out again', async () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({ question: `question ${i}`, answer: `${i % 7}` }));
  await imported('keyed', rows);
  const edited = await core.datasets.edit('keyed', [
    { index: 3, isExcluded: true },
    { index: 7, values: { question: 'another' } },
  ]);
  const context = { paths: homePaths(home) };
  const keys = await rowKeysOf(context, edited);
  const contents = await contentKeys(context, edited, 'train');
  for (const name of readdirSync(join(home, 'datasets')))
    if (name.endsWith('.facts')) rmSync(join(home, 'datasets', name));
  expect(await rowKeysOf(context, edited)).toEqual(keys);
  expect(await contentKeys(context, edited, 'train')).toEqual(contents);
  expect(keys).toHaveLength(49);
  const again = await core.datasets.edit('keyed', [{ index: 3, isExcluded: false }]);
  expect(again).toMatchObject({ rows: 50, edits: { edited: 1, excluded: 0 } });
  expect(readdirSync(join(home, 'datasets')).filter((name) => name.endsWith('.facts'))).toHaveLength(1);
});
