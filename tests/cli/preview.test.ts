import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

it('datasets preview prints what training would see, through a template by name or as a file', async () => {
  const folder = temporaryFolder();
  const home = ['--home', join(folder, 'home')];
  const rows = join(folder, 'rows.jsonl');
  const turns = [
    { role: 'user', content: 'ab' },
    { role: 'assistant', content: 'cd' },
  ];
  writeFileSync(rows, JSON.stringify({ messages: turns }));
  const file = join(folder, 'own.jinja');
  writeFileSync(file, '{% for m in messages %}{{ m.role[0] + "=" + m.content + ";" }}{% endfor %}');
  expect((await studio(['datasets', 'add', rows, '--name', 'rows', ...home])).code).toBe(0);
  const preview = (...rest: string[]) =>
    studio(['datasets', 'preview', 'rows', '--model', tinyLlama, '--json', ...rest, ...home]);
  const named = await preview('--template', 'question_answer', '--context', '12');
  expect([named.code, named.stderr]).toEqual([0, expect.stringContaining('question and answer')]);
  const [row] = JSON.parse(named.stdout) as Record<string, unknown>[];
  expect(row).toMatchObject({ cut: true, leftOut: 'nothing_trained' });
  expect(row!['ids']).toHaveLength(12);
  const own = await preview('--template', file, '--train-on', 'all');
  expect(JSON.parse(own.stdout)).toEqual([
    expect.objectContaining({ text: '<s>u=ab;a=cd;</s>', cut: false, leftOut: null }),
  ]);
  const [seen] = JSON.parse(own.stdout) as { ids: number[]; trained: number[] }[];
  expect(seen!.trained).toEqual(seen!.ids.map((_, i) => (i === 0 ? 0 : 1)));
  const wrong = await preview('--template', 'nosuch');
  expect([wrong.code, wrong.stdout]).toEqual([2, expect.stringContaining('neither one of')]);
});
