import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const home = temporaryFolder();
const folder = temporaryFolder();
const path = join(folder, 'pairs.jsonl');
const rows = [
  '{"frage":"1+1","antwort":"2"}',
  '{"frage":"1+2",',
  '{"frage":"1+3","antwort":" "}',
  '{"frage":"1+4","antwort":"5"}',
  '{"frage":"1+5","antwort":"6"}',
];
writeFileSync(path, rows.join('\n'));

async function datasets(
  ...args: string[]
): Promise<{ code: number | null; document: Record<string, unknown> }> {
  const { code, stdout } = await studio(['datasets', ...args, '--home', home, '--json']);
  return { code, document: JSON.parse(stdout) as Record<string, unknown> };
}
const mapped = ['--prompt', 'frage', '--answer', 'antwort'];

it('datasets: fields are named, rows set aside are listed, and a strict import refuses', async () => {
  expect(await datasets('add', path)).toMatchObject({
    code: 1,
    document: {
      error: { code: 'dataset_invalid', remedy: expect.stringContaining('--prompt FIELD') as string },
    },
  });
  expect(await datasets('add', path, ...mapped, '--strict')).toMatchObject({
    code: 1,
    document: { error: { message: expect.stringMatching(/^pairs\.jsonl, row 2 is not JSON/) as string } },
  });
  expect(await datasets('inspect', path, ...mapped)).toMatchObject({
    code: 0,
    document: { sampledRows: 5, unused: { rows: 2 }, mappings: [{ kind: 'prompt', prompt: 'frage' }] },
  });
  expect(await datasets('add', path, ...mapped, '--name', 'sums')).toMatchObject({
    code: 0,
    document: { rows: 3, unused: { rows: 2 }, stretches: [{ split: 'train', rows: 3 }] },
  });
  expect(await datasets('show', 'sums', '--unused')).toMatchObject({
    code: 0,
    document: {
      total: 2,
      listed: [
        { file: 'pairs.jsonl', number: 2, reason: 'not_json' },
        { file: 'pairs.jsonl', number: 3, reason: 'empty', column: 'antwort' },
      ],
    },
  });
}, 60_000);

it('datasets: rows are edited and taken back, parts and fields said otherwise', async () => {
  // Rows of the copy: the one that was no JSON is none of them.
  expect(await datasets('edit', 'sums', '--row', '2', '--set', 'antwort=4')).toMatchObject({
    document: { rows: 4, edits: { edited: 1 } },
  });
  expect(await datasets('edit', 'sums', '--row', '1', '--row', '3', '--exclude')).toMatchObject({
    document: { rows: 2, edits: { edited: 1, excluded: 2 } },
  });
  expect(await datasets('undo', 'sums')).toMatchObject({ document: { rows: 4, edits: { excluded: 0 } } });
  expect(await datasets('split', 'sums', '--as', 'test')).toMatchObject({
    document: { stretches: [{ split: 'test', rows: 4 }] },
  });
  expect(await datasets('map', 'sums', '--text', 'frage')).toMatchObject({
    document: { rows: 4, mappings: [{ kind: 'text', text: 'frage' }] },
  });
  expect((await studio(['datasets', 'edit', 'sums', '--home', home])).code).toBe(2);
  expect((await studio(['datasets', 'split', 'sums', '--as', 'half', '--home', home])).code).toBe(2);
}, 60_000);
