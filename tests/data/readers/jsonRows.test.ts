import { describe, expect, it } from 'vitest';
import { jsonLayout, jsonRows } from '../../../src-main/data/readers/jsonRows.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { memorySource, rowsOf } from '../../support/memorySource.ts';

async function read(content: string | Uint8Array, pieceBytes = 7, encoding?: string) {
  const source = memorySource(content, pieceBytes);
  const layout = await jsonLayout(source, { encoding });
  const fields = layout.kind === 'fields' ? layout.fields : [null];
  const rows = [];
  for (const field of fields)
    for (const row of await rowsOf(jsonRows(source, layout, field?.name ?? null, { encoding })))
      rows.push(row);
  return { kind: layout.kind, fields: layout.fields, rows };
}

const row = (text: string) => ({ text, deep: [{ a: '}],"' }, null], n: 1.5 });
const rows = ['a', 'b\\"c', 'ä\u2028ö', '{[', ''].map(row);

describe('rows are found however they stand', () => {
  it.each([
    ['lines', rows.map((one) => JSON.stringify(one)).join('\n')],
    ['lines', `\ufeff${rows.map((one) => JSON.stringify(one)).join('\r\n\r\n')}\r\n`],
    ['list', JSON.stringify(rows)],
    ['list', `\n ${JSON.stringify(rows, null, 2)}\n`],
    ['values', rows.map((one) => JSON.stringify(one, null, 2)).join('\n')],
    ['fields', JSON.stringify({ version: 1, meta: { data: [1] }, data: rows, tail: 'x' })],
    ['fields', JSON.stringify({ tags: ['x'], rows, few: [{ a: 1 }] }, null, 4)],
  ])('%s', async (kind, text) => {
    for (const pieceBytes of [1, 3, 64, 100_000])
      expect(await read(text, pieceBytes)).toMatchObject({ kind, rows });
  });

  it('in lists for parts of the data', async () => {
    const found = await read(JSON.stringify({ info: [{ a: 1 }], train: rows, test: [row('t')] }));
    expect(found.fields).toEqual([
      { name: 'train', split: 'train' },
      { name: 'test', split: 'test' },
    ]);
    expect(found.rows).toEqual([...rows, row('t')]);
  });

  it('as a list for each column, of which empty ones are none', async () => {
    const found = await read(JSON.stringify({ instructions: ['a', 'b'], tags: [['x'], []], inputs: [] }));
    expect(found.rows).toEqual([
      { instructions: 'a', tags: ['x'] },
      { instructions: 'b', tags: [] },
    ]);
  });

  it('where the only object has a list beside other fields', async () => {
    const only = { question: 'q', answers: ['a', 'b'] };
    expect((await read(JSON.stringify(only))).rows).toEqual([only]);
    expect((await read(JSON.stringify(only, null, 2))).rows).toEqual([only]);
  });

  it('where the only line is a conversation', async () => {
    const only = { messages: [{ role: 'user', content: 'u' }] };
    expect(await read(JSON.stringify(only))).toMatchObject({ kind: 'lines', rows: [only] });
  });
});

describe('a bad row does no harm to the others', () => {
  it('in lines, the first one included', async () => {
    const text = '{"a": 1\n{"a":2}\n[3]\n"x"\n{"a":NaN,"b":"NaN"}\n{"a":-Infinity}\n{"a":5}';
    expect((await read(text)).rows).toEqual([
      '1 not_json',
      { a: 2 },
      '3 not_object',
      '4 not_object',
      { a: null, b: 'NaN' },
      { a: null },
      { a: 5 },
    ]);
  });
  it('in a list', async () => {
    expect((await read('[{"a":1}, {"a" 2}, 3, {"a":NaN}, {"a":4}]')).rows).toEqual([
      { a: 1 },
      '2 not_json',
      '3 not_object',
      { a: null },
      { a: 4 },
    ]);
  });
  it('where the file ends in the middle of it', async () => {
    expect((await read('[{"a":1},{"a":2},{"a":"th')).rows).toEqual([{ a: 1 }, { a: 2 }, '3 not_json']);
    expect((await read('{"a":1}\n{"a":"th')).rows).toEqual([{ a: 1 }, '2 not_json']);
  });
  it('where it is nested beyond all measure', async () => {
    const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    const found = (await read(`{"a":1}\n${deep}\n{"a":2}`, 65_536)).rows;
    expect(found).toHaveLength(3);
    expect([found[0], found[2]]).toEqual([{ a: 1 }, { a: 2 }]);
  });
  it('where it is as long as a library', { timeout: 60_000 }, async () => {
    const long = `{"a":"${'x'.repeat(100 * 1024 * 1024)}"}`;
    for (const text of [`{"a":1}\n${long}\n{"a":2}`, `[{"a":1},${long},{"a":2}]`])
      expect((await read(text, 1024 * 1024)).rows).toEqual([{ a: 1 }, '2 too_long', { a: 2 }]);
  });
  it('where its bytes are no UTF-8: they are seen in its text', async () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"ä"}\n'), Buffer.from('{"a":"ö"}', 'latin1')]);
    expect((await read(bytes, 3)).rows).toEqual([{ a: 'ä' }, { a: '\udcf6' }]);
    expect((await read(Buffer.from('[{"a":"ö"},{"a":"b"}]', 'latin1'), 3)).rows).toEqual([
      { a: '\udcf6' },
      { a: 'b' },
    ]);
  });
});

it('reads other encodings in pieces of any size', async () => {
  const text = '{"a":"Größe 😀"}\n{"a":"ü"}';
  const expected = [{ a: 'Größe 😀' }, { a: 'ü' }];
  for (const pieceBytes of [1, 5, 1000]) {
    expect((await read(Buffer.from(`\ufeff${text}`, 'utf16le'), pieceBytes)).rows).toEqual(expected);
    expect((await read(text, pieceBytes)).rows).toEqual(expected);
  }
  expect((await read(Buffer.from('[{"a":"ü"}]', 'latin1'), 2, 'windows-1252')).rows).toEqual([{ a: 'ü' }]);
});

it('ends for any damage, and reads what is whole as JSON does', { timeout: 120_000 }, async () => {
  const random = createRandom(7);
  const signs = '{}[]",:\\ \n\u0000ntue0-é'.split('');
  const whole = JSON.stringify(rows);
  for (let trial = 0; trial < 3000; trial++) {
    const text = whole.split('');
    const damages = trial % 3 === 0 ? 0 : 1 + random.integer(4);
    for (let i = 0; i < damages; i++) {
      const at = random.integer(text.length);
      if (random.integer(2) === 0) text.splice(at, 1);
      else text[at] = signs[random.integer(signs.length)]!;
    }
    const begin = trial % 2 === 0 ? '' : '{"x":0,"rows":';
    const content = `${begin}${text.join('')}${begin && '}'}`;
    const found = await read(content, 1 + random.integer(40));
    if (damages === 0) expect(found.rows).toEqual(rows);
  }
});
