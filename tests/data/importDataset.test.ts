import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { detectFormat, toExample } from '../../src-main/data/formats.ts';
import { importDataset, readExamples } from '../../src-main/data/importDataset.ts';
import { readLines } from '../../src-main/data/lines.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { splitRows } from '../../src-main/data/split.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe.skipIf(!hasSharedData)(`real files${sharedNote}`, () => {
  it.each([
    [['gsm8k', 'train.jsonl'], 'gsm8k', 7473],
    [['gsm8k', 'test.jsonl'], 'gsm8k', 1319],
    [['alpaca', 'alpaca_data_subset_2000.json'], 'alpaca', 2000],
    [['codealpaca', 'new_codealpaca.json'], 'alpaca', 4535],
    [['safety-tuned', 'safety_only_data_Instructions.json'], 'alpaca', 2483],
  ] as const)('%s', async (path, format, rows) => {
    const folder = temporaryFolder();
    const imported = await importDataset({ path: sharedData(...path), format: 'auto', folder });
    expect(imported).toMatchObject({ format, rows });
    let read = 0;
    for await (const example of readExamples(join(folder, imported.file))) {
      read++;
      expect(example.answer.trim().length).toBeGreaterThan(0);
    }
    expect(read).toBe(rows);
  });
});

it('imports rows as prompt and answer, counts duplicates, and reads any range back', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'in.jsonl');
  const rows = ['a', 'b', 'a\u2028c'].map((text) => JSON.stringify({ question: text, answer: '1' }));
  writeFileSync(path, `\uFEFF${[...rows, rows[0]].join('\r\n')}\n\n`);
  const imported = await importDataset({ path, format: 'auto', folder });
  expect(imported).toMatchObject({ format: 'gsm8k', rows: 4, statistics: { duplicateRows: 1 } });
  const examples = [];
  for await (const example of readExamples(join(folder, imported.file), { offset: 1, limit: 2 }))
    examples.push(example);
  expect(examples).toEqual([
    { prompt: 'Question: b\nAnswer:', answer: ' 1' },
    { prompt: 'Question: a\u2028c\nAnswer:', answer: ' 1' },
  ]);
});

it.each([
  [
    { instruction: 'Add.', input: '1 2', output: '3' },
    'alpaca',
    /### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:$/,
    '3',
  ],
  [
    { instruction: 'Hi.', input: '', output: 'Yes' },
    'alpaca',
    /^(?!.*Input)[\s\S]*### Instruction:\nHi.\n\n### Response:$/,
    'Yes',
  ],
  [{ prompt: 'p', completion: 'c' }, 'prompt_completion', /^p$/, 'c'],
  [{ prompt: 'p', answer: 'c' }, 'prompt_completion', /^p$/, 'c'],
  [
    {
      messages: [
        { role: 'user', content: 'u' },
        { role: 'assistant', content: 'a' },
      ],
    },
    'chat',
    /^user: u\nassistant:$/,
    ' a',
  ],
  [
    {
      conversations: [
        { from: 'human', value: 'u' },
        { from: 'gpt', value: 'a' },
      ],
    },
    'chat',
    /^user: u\nassistant:$/,
    ' a',
  ],
  [{ text: 't' }, 'text', /^$/, 't'],
])('%j is %s', (value, format, prompt, answer) => {
  expect(detectFormat(value)).toBe(format);
  const example = toExample('x', { number: 1, value }, format as 'text');
  expect(example.prompt).toMatch(prompt);
  expect(example.answer).toBe(answer);
});

it('a number in the field "task" is the task of the row; words there mean something else', () => {
  const example = (task: unknown) =>
    toExample('x', { number: 3, value: { prompt: 'p', completion: 'c', task } }, 'prompt_completion');
  expect(example(4)).toEqual({ prompt: 'p', answer: 'c', task: 4 });
  for (const task of [undefined, null, 'summarize', { id: 1 }])
    expect(example(task)).toEqual({ prompt: 'p', answer: 'c' });
  for (const task of [-1, 1.5, 1001])
    expect(() => example(task)).toThrow(
      `x, row 3 has the task ${task}; tasks are whole numbers from 0 to 1000.`,
    );
});

it('a chat without an assistant is refused with the reason', () => {
  const value = { messages: [{ role: 'user', content: 'u' }] };
  expect(() => toExample('x', { number: 3, value }, 'chat')).toThrow(
    'x, row 3 has no assistant turn to learn from.',
  );
});

it('a line that is too long ends the reading at once', async () => {
  const path = join(temporaryFolder(), 'long');
  writeFileSync(path, `ok\n${'x'.repeat(1000)}`);
  const read = async () => {
    for await (const line of readLines(path, 100)) expect(line.text).toBe('ok');
  };
  await expect(read()).rejects.toThrow('longer than 100 bytes');
});

it('lines are cut at every chunk border as anywhere else', async () => {
  const path = join(temporaryFolder(), 'many');
  const expected = Array.from({ length: 40_000 }, (_, i) => `zeile ${i} äöü`);
  writeFileSync(path, expected.join('\n'));
  const lines: string[] = [];
  for await (const { text } of readLines(path, 1000)) lines.push(text);
  expect(lines).toEqual(expected);
});

it('splits by seed: parts are disjoint, complete, and one row always stays for training', () => {
  const { train, heldOut } = splitRows(100, 0.1, 4);
  expect(heldOut).toHaveLength(10);
  expect([...train, ...heldOut].toSorted((a, b) => a - b)).toEqual([...Array(100).keys()]);
  expect(splitRows(100, 0.1, 4)).toEqual({ train, heldOut });
  expect(splitRows(100, 0.1, 5).heldOut).not.toEqual(heldOut);
  expect(splitRows(1, 0.5, 0).train).toEqual([0]);
});

it('the generator is uniform, and shuffles keep all items', () => {
  const random = createRandom(1);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[random.integer(10)]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  expect(random.shuffle([1, 2, 3, 4]).toSorted()).toEqual([1, 2, 3, 4]);
});
