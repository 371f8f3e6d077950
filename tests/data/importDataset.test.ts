import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { importDataset, type ImportedDataset } from '../../src-main/data/importDataset.ts';
import { readRows, type RowRange } from '../../src-main/data/readRows.ts';
import { exampleOf } from '../../src-main/data/rowExample.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { splitRows } from '../../src-main/data/split.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function examplesOf(folder: string, imported: ImportedDataset, range?: RowRange) {
  const examples = [];
  for await (const { index, row } of readRows(folder, { name: 'a', ...imported }, range))
    examples.push({ index, ...exampleOf(row, imported.format) });
  return examples;
}

it('imports rows, counts duplicates, and reads any range back', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'in.jsonl');
  const rows = ['a', 'b', 'a\u2028c'].map((text) => JSON.stringify({ question: text, answer: '1' }));
  writeFileSync(path, `\uFEFF${[...rows, rows[0]].join('\r\n')}\n\n`);
  const { imported } = await importDataset({ paths: [path], format: 'auto', folder });
  expect(imported).toMatchObject({ format: 'question_answer', rows: 4, statistics: { duplicateRows: 1 } });
  expect(await examplesOf(folder, imported, { offset: 1, limit: 2 })).toEqual([
    { index: 1, prompt: 'Question: b\nAnswer:', answer: ' 1' },
    { index: 2, prompt: 'Question: a\u2028c\nAnswer:', answer: ' 1' },
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
      return importDataset({ paths: [path], format: 'auto', folder });
    });
    for (const [i, { imported }] of (await Promise.all(imports)).entries())
      expect((await examplesOf(folder, imported)).map(({ answer }) => answer)).toEqual(texts[i]);
  } finally {
    clock.mockRestore();
  }
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
  const library = join(folder, 'library');
  const { imported: dataset } = await importDataset({
    paths: [path],
    format: 'auto',
    encoding,
    folder: library,
  });
  return dataset;
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
    ['a.jsonl.xz', Buffer.from('\xfd7zXZ\0...', 'latin1'), /is compressed with xz/, /unxz -k "a.jsonl.xz"/],
    [
      'a.jsonl',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
      /pointer of Git LFS/,
      /git lfs pull/,
    ],
    ['a.json', '<!DOCTYPE html><html>', /is a web page/, /raw/],
    ['a.parquet', 'PAR1....', /cannot be read as Parquet/, /Fetch the file again/],
  ])('%s', async (name, content, message, remedy) => {
    await expect(imported(content, name)).rejects.toMatchObject({
      code: 'dataset_invalid',
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
  });
  it('a folder without data, and one that was saved as Arrow files', async () => {
    const path = temporaryFolder();
    writeFileSync(join(path, 'LICENSE'), 'free');
    const read = () => importDataset({ paths: [path], format: 'auto', folder: temporaryFolder() });
    await expect(read()).rejects.toThrow(/holds no file with rows \(there are LICENSE\)/);
    writeFileSync(join(path, 'dataset_info.json'), '{}');
    writeFileSync(join(path, 'data-00000-of-00001.arrow'), 'ARROW1');
    await expect(read()).rejects.toMatchObject({
      message: expect.stringMatching(/saved as Arrow files/) as string,
      remedy: expect.stringMatching(/load_from_disk/) as string,
    });
  });
});

describe('rows that cannot be used', () => {
  const rows = (outputs: unknown[]) =>
    JSON.stringify(outputs.map((output) => ({ instruction: 'i', output })));

  it('are set aside and counted, with the first of each kind', async () => {
    const dataset = await imported(rows(['a', '', 'b', ' ', null, 'c', 'd', 'e']), 'a.json');
    expect(dataset).toMatchObject({ rows: 5, stretches: [{ split: 'train', rows: 5, sourceRows: 8 }] });
    expect(dataset.unused).toEqual({
      rows: 3,
      reasons: [
        { reason: 'empty', column: 'output', detail: null, rows: 2, file: 'a.json', number: 2 },
        { reason: 'null', column: 'output', detail: null, rows: 1, file: 'a.json', number: 5 },
      ],
    });
  });

  it('end an import where they are more than half of all, and leave nothing behind', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.json');
    writeFileSync(path, rows(['a', '', '', ' ']));
    const library = join(folder, 'library');
    const read = importDataset({ paths: [path], format: 'auto', folder: library });
    await expect(read).rejects.toThrow(
      'a.json, row 2 has an empty "output": there is nothing to learn; so it is with 3 rows. 1 of 4 rows can be used.',
    );
    expect(readdirSync(library)).toEqual([]);
  });

  it('end a strict import, however few they are', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.json');
    writeFileSync(path, rows(['a', 'b', 'c', '']));
    const options = { paths: [path], format: 'auto' as const, folder };
    await expect(importDataset({ ...options, strict: true })).rejects.toThrow(/^a.json, row 4 has an empty/);
    expect((await importDataset(options)).imported.rows).toBe(3);
  });
});
