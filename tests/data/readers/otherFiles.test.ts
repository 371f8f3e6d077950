import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { rowStreams } from '../../../src-main/data/readers/fileRows.ts';
import { findFiles } from '../../../src-main/data/readers/sourceFiles.ts';
import { tableLayout, tableRows } from '../../../src-main/data/readers/tableRows.ts';
import { textRows } from '../../../src-main/data/readers/textRows.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { memorySource, rowsOf } from '../../support/memorySource.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { zipOf } from '../../support/zipFile.ts';

/** Everything that files and folders hold. */
async function found(path: string, options: { config?: string } = {}) {
  const { files, skipped, configs } = await findFiles([path], options);
  const streams = (await Promise.all(files.map((file) => rowStreams(file, {})))).flat();
  const read = [];
  for (const stream of streams) read.push({ ...stream, rows: await rowsOf(stream.read()) });
  return {
    names: read.map(({ name }) => name),
    splits: read.map(({ stated }) => stated?.split ?? null),
    rows: read.flatMap(({ rows }) => rows),
    skipped: skipped.map(({ name }) => name),
    configs,
  };
}

function write(folder: string, files: Record<string, string | Uint8Array>): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

const lines = '{"text":"a"}\n{"text":"b"}\n';
const texts = [{ text: 'a' }, { text: 'b' }];

describe('tables', () => {
  const read = async (content: string | Uint8Array, pieceBytes = 5, encoding?: string) => {
    const source = memorySource(content, pieceBytes);
    return rowsOf(tableRows(source, await tableLayout(source, { encoding }), { encoding }));
  };
  it('with quotes, line breaks and empty lines in cells, whatever stands between them', async () => {
    const cells = [
      ['q', 'a'],
      ['"x"\n,;\ty', 'ä😀'],
      ['', '2'],
    ];
    const expected = [
      { q: '"x"\n,;\ty', a: 'ä😀' },
      { q: '', a: '2' },
    ];
    for (const sign of [',', ';', '\t', '|'])
      for (const end of ['\n', '\r\n']) {
        const quoted = cells.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(sign));
        for (const pieceBytes of [1, 4, 1000])
          expect(await read(`\ufeff${quoted.join(end)}${end}${end}`, pieceBytes)).toEqual(expected);
      }
  });
  it('whose rows have too many or too few cells, or bytes that are no text', async () => {
    const text = Buffer.from('q,a\n1,2\n1\n1,2,3\nö,4\n5,6\n', 'latin1');
    expect(await read(text)).toEqual([
      { q: '1', a: '2' },
      '3 cell_count',
      '4 cell_count',
      { q: '\udcf6', a: '4' },
      { q: '5', a: '6' },
    ]);
    expect((await read(text, 3, 'windows-1252'))[3]).toEqual({ q: 'ö', a: '4' });
  });
  it('with names that are missing or there twice', async () => {
    expect(await read('q,,q\n1,2,3')).toEqual([{ q: '1', 'column 2': '2', 'q 3': '3' }]);
    expect(Object.keys((await read('__proto__,a\n1,2'))[0] as object)).toEqual(['__proto__', 'a']);
  });
  it('of MMLU as it was published, without a header', async () => {
    expect(await read('"How many, in all?",0,4,2,6,B\nWhy?,a,b,c,d,A')).toEqual([
      { question: 'How many, in all?', A: '0', B: '4', C: '2', D: '6', answer: 'B' },
      { question: 'Why?', A: 'a', B: 'b', C: 'c', D: 'd', answer: 'A' },
    ]);
    expect(await read('question,A,B,C,D,answer\nWhy?,a,b,c,d,A')).toHaveLength(1);
    // Its subject is in the name of its file alone.
    const source = { ...memorySource('Why?,a,b,c,d,A\nHow?,a,b,c,d,C'), name: 'dev/college_physics_dev.csv' };
    const rows = await rowsOf(tableRows(source, await tableLayout(source, {}), {}));
    expect(rows).toMatchObject([{ subject: 'college_physics', answer: 'A' }, { subject: 'college_physics' }]);
    const headed = { ...memorySource('question,choice0,choice1,choice2,choice3,answer\nWhy?,a,b,c,d,0') };
    const named = { ...headed, name: 'test/anatomy_test.csv' };
    const layout = await tableLayout(named, {});
    expect(await rowsOf(tableRows(named, layout, {}))).toMatchObject([{ choice0: 'a', subject: 'anatomy' }]);
    // A table that only looks alike says nothing of a subject.
    expect((await tableLayout({ ...memorySource('q,a\n1,2'), name: 'x_test.csv' }, {})).fields).toEqual({});
  });
});

describe('plain text', () => {
  it('is cut at empty lines into pieces of some length', async () => {
    const paragraph = 'word '.repeat(300).trim();
    const read = await rowsOf(textRows(memorySource(`${`${paragraph}\n\n`.repeat(5)}end`, 99), false, {}));
    expect(read).toEqual([
      { text: `${paragraph}\n\n${paragraph}` },
      { text: `${paragraph}\n\n${paragraph}` },
      { text: `${paragraph}\n\nend` },
    ]);
  });
  it('and before headings, where it is Markdown', async () => {
    const text = '# One\na\nb\n\nc\n## Two\n\nd';
    expect(await rowsOf(textRows(memorySource(text), true, {}))).toEqual([
      { text: '# One\na\nb\n\nc' },
      { text: '## Two\n\nd' },
    ]);
    expect(await rowsOf(textRows(memorySource(text), false, {}))).toHaveLength(1);
  });
});

it.each(['snappy', 'zstd', 'gzip', 'brotli', 'none'])('Parquet, packed by %s', async (codec) => {
  const { rows } = await found(join(fixtures, 'datasets', `sums-${codec}.parquet`));
  expect(rows).toHaveLength(7);
  expect(rows[3]).toEqual({
    id: 3,
    messages: [
      { role: 'user', content: 'What is 3 + 3? ä😀' },
      { role: 'assistant', content: '6' },
    ],
    score: null,
    tags: ['sum', null],
    note: null,
    made: '2026-01-01T12:03:00.000Z',
  });
});

it('a damaged Parquet file is named', async () => {
  const folder = temporaryFolder();
  const bytes = readFileSync(join(fixtures, 'datasets', 'sums-zstd.parquet'));
  bytes.fill(0x55, 20, 200);
  write(folder, { 'a.parquet': bytes, 'b.parquet': bytes.subarray(0, 500) });
  for (const name of ['a.parquet', 'b.parquet'])
    await expect(found(join(folder, name))).rejects.toThrow(new RegExp(`^${name} cannot be read as Parquet`));
});

describe('packed files', () => {
  it.each([
    ['a.jsonl.gz', gzipSync(lines)],
    ['a.jsonl.zst', zstdCompressSync(lines)],
    ['without an ending', gzipSync(lines)],
    ['a.zip', zipOf({ 'inner/a.jsonl': lines, LICENSE: 'free', '__MACOSX/a.jsonl': lines })],
  ])('%s', async (name, bytes) => {
    const folder = write(temporaryFolder(), { [name]: bytes });
    expect((await found(join(folder, name))).rows).toEqual(texts);
  });
  it('a table in an archive, with the parts that its files are', async () => {
    const bytes = zipOf({ 'train.csv': 'text\na\n', 'test.csv': 'text\nb\n' });
    const folder = write(temporaryFolder(), { 'a.zip': bytes });
    expect(await found(join(folder, 'a.zip'))).toMatchObject({ splits: ['train', 'test'], rows: texts });
  });
  it.each([
    ['a.jsonl.gz', gzipSync(lines).subarray(0, 20)],
    ['a.jsonl.zst', zstdCompressSync(lines).subarray(0, 15)],
    ['a.zip', zipOf({ 'a.jsonl': lines }).subarray(0, 60)],
    ['a.zip', zipOf({ '../../a.jsonl': lines })],
    ['a.zip', zipOf({ '/etc/a.jsonl': lines })],
    ['a.zip', zipOf({ 'a\\..\\b.jsonl': lines })],
  ])('%s that is damaged, or has names that lead out of it, is refused by its name', async (name, bytes) => {
    const folder = write(temporaryFolder(), { [name]: bytes });
    await expect(found(join(folder, name))).rejects.toMatchObject({
      code: 'dataset_invalid',
      message: expect.stringMatching(/^a\.(jsonl|zip).* cannot be unpacked: /) as string,
    });
  });
  it('what is made to fill a disk is refused as it comes', async () => {
    // Together a little more than may come out of anything.
    const zeros = Buffer.alloc(36 * 1024 * 1024);
    const eight = <T>(part: T): T[] => Array.from({ length: 8 }, () => part);
    const folder = write(temporaryFolder(), {
      'a.jsonl.gz': Buffer.concat(eight(gzipSync(zeros, { level: 1 }))),
      'b.jsonl.zst': Buffer.concat(eight(zstdCompressSync(zeros))),
      'c.zip': zipOf(Object.fromEntries(eight(zeros).map((part, i) => [`${i}.jsonl`, part]))),
    });
    for (const name of ['a.jsonl.gz', 'b.jsonl.zst', 'c.zip'])
      await expect(found(join(folder, name))).rejects.toThrow(/unpacks to more than 200 times its size/);
  });
});

describe('folders', () => {
  it('give their files with rows, each of the part that its name or folder states', async () => {
    const folder = write(temporaryFolder(), {
      'data/train-00000-of-00002.jsonl': lines,
      'data/train-00001-of-00002.jsonl': lines,
      'data/dev/a.jsonl': lines,
      'TestSet.jsonl': lines,
      'README.md': 'about it',
      'dataset_infos.json': '{}',
      'notes.txt': 'about it',
      '.hidden.jsonl': lines,
    });
    const { names, splits, skipped } = await found(folder);
    expect(names.map((name) => name.split('/').slice(1).join('/'))).toEqual([
      'TestSet.jsonl',
      'data/dev/a.jsonl',
      'data/train-00000-of-00002.jsonl',
      'data/train-00001-of-00002.jsonl',
    ]);
    expect(splits).toEqual(['test', 'validation', 'train', 'train']);
    expect(skipped).toEqual(['README.md', 'dataset_infos.json', 'notes.txt']);
  });
  it('of plain texts give all of them', async () => {
    const folder = write(temporaryFolder(), { 'a.txt': 'a', 'sub/b.md': 'b', LICENSE: 'x' });
    expect((await found(folder)).rows).toEqual(texts);
  });
  it('of the Hub give the configuration that is wanted', async () => {
    const card = [
      '---',
      'configs:',
      '- config_name: main',
      '  data_files:',
      '  - split: train',
      '    path: main/tr*.jsonl',
      '  - split: test',
      '    path: ["main/*-test.jsonl"]',
      '- config_name: other',
      '  data_files: other/**',
      '---',
      '# A set',
    ];
    const folder = write(temporaryFolder(), {
      'README.md': card.join('\n'),
      'main/tr.jsonl': lines,
      'main/x-test.jsonl': lines,
      'other/deep/a.jsonl': '{"text":"c"}',
    });
    expect(await found(folder)).toMatchObject({
      splits: ['train', 'test'],
      configs: ['main', 'other'],
      skipped: ['other/deep/a.jsonl', 'README.md'].sort((a, b) => (a < b ? -1 : 1)),
    });
    expect((await found(folder, { config: 'other' })).rows).toEqual([{ text: 'c' }]);
    await expect(found(folder, { config: 'none' })).rejects.toThrow(/has no configuration "none"/);
  });
  it('are not left by links', async () => {
    const folder = write(temporaryFolder(), { 'a.jsonl': lines });
    execFileSync('ln', ['-s', '/', join(folder, 'all')]);
    expect((await found(folder)).rows).toEqual(texts);
  });
});

it('a text whose ending says nothing is known by what it holds', async () => {
  const folder = write(temporaryFolder(), { 'rows.data': lines, 'rows.txt': lines, 'words.data': 'a' });
  expect((await found(join(folder, 'rows.data'))).rows).toEqual(texts);
  expect((await found(join(folder, 'rows.txt'))).rows).toEqual(texts);
  expect((await found(join(folder, 'words.data'))).rows).toEqual([{ text: 'a' }]);
  appendFileSync(join(folder, 'words.data'), '');
});

it('Parquet files of any damage end with an error of their own, and no other one', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'a.parquet');
  const whole = readFileSync(join(fixtures, 'datasets', 'sums-zstd.parquet'));
  const stray: unknown[] = [];
  const note = (error: unknown) => stray.push(error);
  process.on('unhandledRejection', note);
  const random = createRandom(3);
  let refused = 0;
  try {
    for (let trial = 0; trial < 30; trial++) {
      const bytes = Buffer.from(whole);
      for (let i = 0; i < 4; i++) bytes[random.integer(bytes.length)] = random.integer(256);
      writeFileSync(path, bytes);
      await found(path).catch((error: unknown) => {
        expect(error).toMatchObject({
          code: 'dataset_invalid',
          message: expect.stringMatching(/^a\.parquet /) as string,
        });
        refused++;
      });
    }
  } finally {
    process.off('unhandledRejection', note);
  }
  expect(stray).toEqual([]);
  expect(refused).toBeGreaterThan(5);
});
