import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { givenData } from '../../../src-main/services/evaluations/evaluationData.ts';
import { readJsonObject } from '../../../src-main/formats/files/jsonFile.ts';
import { openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const file = (name: string, text: string, encoding: BufferEncoding = 'utf8') => {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(text, encoding));
  return path;
};
const { core } = openTestCore();
afterAll(() => core.close());

it('a dataset is imported in the encoding that is named, from a path in quotes', async () => {
  const path = file('old file.jsonl', '{"text":"Größe"}', 'latin1');
  await expect(core.datasets.add({ path, format: 'auto' })).rejects.toMatchObject({
    code: 'dataset_invalid',
    remedy: expect.stringContaining('--encoding windows-1252') as string,
  });
  const dataset = await core.datasets.add({ path: `"${path}"`, format: 'auto', encoding: 'windows-1252' });
  expect(dataset).toMatchObject({ name: 'old file', sourcePath: path });
  const { rows } = await core.datasets.rows(dataset.id, { offset: 0, limit: 1 });
  expect(rows).toMatchObject([{ number: 1, row: { kind: 'text', text: 'Größe' } }]);
});

it('evaluation files are read alike', async () => {
  const first = async (path: string) => {
    for await (const { row } of (await givenData(core.datasets, { path })).rows()) return row;
    return null;
  };
  expect(await first(file('marked.jsonl', '\ufeff{"text":"Größe"}', 'utf16le'))).toEqual({
    kind: 'text',
    text: 'Größe',
  });
  await expect(first(file('old.jsonl', '{"text":"Größe"}', 'latin1'))).rejects.toThrow(
    /^old\.jsonl is not UTF-8: byte 0xF6 at position 11 \(line 1\); it is probably windows-1252\.$/,
  );
  mkdirSync(join(folder, 'inner'));
  await expect(first(join(folder, 'inner'))).rejects.toMatchObject({
    code: 'dataset_empty',
    message: 'inner holds no file with rows.',
  });
});

it('JSON files of models and adapters are read alike', () => {
  const read = (path: string) => readJsonObject(path, 1000, 'model_invalid');
  expect(read(file('a.json', '\ufeff{"a":"Größe"}'))).toEqual({ a: 'Größe' });
  expect(() => read(file('b.json', '{"a":"Größe"}', 'latin1'))).toThrow(/b\.json is not UTF-8: byte 0xF6/);
});
