import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { detectFormat, toExample } from '../../src-main/data/formats.ts';
import { importDataset } from '../../src-main/data/importDataset.ts';
import { readRows } from '../../src-main/data/readRows.ts';
import { exampleOf } from '../../src-main/data/rowExample.ts';
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
    for await (const { row } of readRows(folder, { name: 'a', ...imported })) {
      read++;
      expect(exampleOf(row).answer.trim().length).toBeGreaterThan(0);
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
  const numbers = [];
  for await (const { index, row } of readRows(folder, { name: 'a', ...imported }, { offset: 1, limit: 2 })) {
    numbers.push(index);
    examples.push(exampleOf(row));
  }
  expect(numbers).toEqual([1, 2]);
  expect(examples).toEqual([
    { prompt: 'Question: b\nAnswer:', answer: ' 1' },
    { prompt: 'Question: a\u2028c\nAnswer:', answer: ' 1' },
  ]);
});

it('keeps two imports apart that begin in the same millisecond', async () => {
  const folder = temporaryFolder();
  const clock = vi.spyOn(Date, 'now').mockReturnValue(1);
  try {
    const texts = ['a', 'b'].map((letter) => Array.from({ length: 500 }, (_, i) => `${letter}${i}`));
    const imports = texts.map((rows, i) => {
      const path = join(folder, `${i}.jsonl`);
      writeFileSync(path, rows.map((text) => `${JSON.stringify({ text })}\n`).join(''));
      return importDataset({ path, format: 'auto', folder });
    });
    for (const [i, imported] of (await Promise.all(imports)).entries()) {
      const answers: string[] = [];
      for await (const { row } of readRows(folder, { name: 'a', ...imported }))
        answers.push(exampleOf(row).answer);
      expect(answers).toEqual(texts[i]);
    }
  } finally {
    clock.mockRestore();
  }
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

it('a whole number in the field "task" is the task of the row; anything else there means something else', () => {
  const example = (task: unknown) =>
    toExample('x', { number: 3, value: { prompt: 'p', completion: 'c', task } }, 'prompt_completion');
  expect(example(4)).toEqual({ prompt: 'p', answer: 'c', task: 4 });
  for (const task of [undefined, null, 'summarize', { id: 1 }, -1, 1.5, 1001, '3'])
    expect(example(task)).toEqual({ prompt: 'p', answer: 'c' });
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
  await expect(read()).rejects.toThrow('longer than 100 characters');
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

/** Imports one file of this content. */
async function imported(content: string | Uint8Array, name: string, encoding?: string) {
  const folder = temporaryFolder();
  const path = join(folder, name);
  writeFileSync(path, content);
  return importDataset({ path, format: 'auto', encoding, folder: join(folder, 'library') });
}

it('says how many rows have a foreign field "task"', async () => {
  const rows = [1, 'sum', null, 2.5].map((task) => JSON.stringify({ text: 't', task }));
  const { statistics, ...dataset } = await imported(rows.join('\n'), 'a.jsonl');
  expect(dataset.rows).toBe(4);
  expect(statistics.foreignTasks).toEqual({ rows: 2, example: '"sum"' });
  expect((await imported('{"text":"t"}', 'a.jsonl')).statistics).not.toHaveProperty('foreignTasks');
});

describe('text that is not UTF-8', () => {
  const rows = ['Größe', 'für'].map((text) => ({ text }));
  const contents = {
    'a.json': JSON.stringify(rows, null, 1),
    'a.jsonl': rows.map((row) => JSON.stringify(row)).join('\n'),
  };
  const utf8 = imported(contents['a.json'], 'a.json');
  it.each(Object.entries(contents))(
    '%s is refused with place and remedy, and read when named',
    async (name, text) => {
      const bytes = Buffer.from(text, 'latin1');
      await expect(imported(bytes, name)).rejects.toMatchObject({
        code: 'dataset_invalid',
        message: expect.stringMatching(
          new RegExp(
            `^${name} is not UTF-8: byte 0xF6 at position \\d+ \\(line \\d\\); it is probably windows-1252\\.$`,
          ),
        ) as string,
        remedy: expect.stringContaining(`datasets add "${name}" --encoding windows-1252`) as string,
      });
      const read = await imported(bytes, name, 'windows-1252');
      expect(read.contentHash).toBe((await utf8).contentHash);
    },
  );
  it.each(Object.entries(contents))('%s in UTF-16 with a byte order mark is read', async (name, text) => {
    const little = Buffer.from(`\ufeff${text}`, 'utf16le');
    for (const bytes of [little, Buffer.from(little).swap16()])
      expect((await imported(bytes, name)).contentHash).toBe((await utf8).contentHash);
  });
});

describe('files that are no rows are named for what they are, with a way out', () => {
  it.each<[string, string | Uint8Array, RegExp, RegExp]>([
    [
      'a.jsonl.gz',
      Uint8Array.of(0x1f, 0x8b, 8, 0, 0),
      /^a.jsonl.gz is compressed with gzip/,
      /gunzip -k "a.jsonl.gz"/,
    ],
    ['a.parquet', 'PAR1....', /is a Parquet file/, /read_parquet\("a.parquet"\).to_json\("a.jsonl"/],
    [
      'a.csv',
      'question,answer\n1,2\n',
      /is a CSV table|seems to be a CSV table with the columns question, answer/,
      /csv.DictReader/,
    ],
    ['a.tsv', 'q\ta\n1\t2\n', /seems to be a TSV table with the columns q, a/, /delimiter="\\t"/],
    [
      'a.json',
      JSON.stringify({ version: 1, data: [{ text: 'a' }, { text: 'b' }] }),
      /its rows \(2\) are in the field "data"/,
      /\["data"\]/,
    ],
    [
      'a.json',
      JSON.stringify({ data: [{ text: 'a' }] }, null, 2),
      /its rows \(1\) are in the field "data"/,
      /\["data"\]/,
    ],
    ['a.json', JSON.stringify({ text: 'a' }, null, 2), /is one JSON object over several lines/, /jq -c/],
    [
      'a.jsonl',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
      /pointer of Git LFS/,
      /git lfs pull/,
    ],
    ['a.json', '<!DOCTYPE html><html>', /is a web page/, /raw/],
  ])('%s', async (name, content, message, remedy) => {
    await expect(imported(content, name)).rejects.toMatchObject({
      code: 'dataset_invalid',
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
  });
  it('a folder, with the files in it', async () => {
    const path = temporaryFolder();
    const read = importDataset({ path, format: 'auto', folder: temporaryFolder() });
    await expect(read).rejects.toThrow(/is a folder\.$/);
    writeFileSync(join(path, 'train.jsonl'), '{"text":"a"}');
    const again = importDataset({ path, format: 'auto', folder: temporaryFolder() });
    await expect(again).rejects.toMatchObject({
      message: expect.stringMatching(/is a folder, with the files train\.jsonl/) as string,
      remedy: 'Give one of the files.',
    });
  });
});

it('names every row that cannot be used, the first with what is wrong', async () => {
  const rows = ['a', '', 'b', ' '].map((output) => ({ instruction: 'i', output }));
  await expect(imported(JSON.stringify(rows), 'a.json')).rejects.toThrow(
    'a.json, row 2 has an empty "output": there is no answer to learn. Nor can row 4 be used.',
  );
});
