import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fitToContext, tokenizeExample } from '../../../src-main/data/tokenize.ts';
import {
  TokenFileReader,
  TokenFileWriter,
  writeTokenFile,
} from '../../../src-main/formats/files/tokenFile.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { hasSharedData, sharedData, sharedNote, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe.skipIf(!hasSharedData)(`tokenizers of real models${sharedNote}`, () => {
  it('stories260K: ids and text of the recorded story', () => {
    const folder = sharedData('stories260K-hf');
    const expected = JSON.parse(readFileSync(join(folder, 'expected_greedy.json'), 'utf8')) as {
      prompt: string;
      prompt_ids: number[];
      greedy_ids: number[];
      text: string;
    };
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.encode(expected.prompt, { specialTokens: true })).toEqual(expected.prompt_ids);
    expect(tokenizer.decode(expected.greedy_ids)).toBe(expected.text);
    expect(tokenizer).toMatchObject({ vocabularySize: 512, bosId: 1, eosId: 2 });
  });

  it.each(['gpt2', 'gpt-neox-20b', 'phi-3-mini', 'mistral', 'torchtune-tiny-llama3-like'])(
    '%s: text comes back',
    (name) => {
      const tokenizer = loadTokenizer(sharedData('tokenizers', name));
      const text = 'Natalia sold 48/2 = 24 clips in May: é, 漢字, 🙂.';
      const ids = tokenizer.encode(text, { specialTokens: false });
      expect(Math.max(...ids)).toBeLessThan(tokenizer.vocabularySize);
      expect(tokenizer.decode(ids).trim()).toBe(text);
    },
  );
});

const tokenizer = loadTokenizer(tinyLlama);

describe('examples as tokens', () => {
  it('only the answer and the end token are labels', () => {
    const row = tokenizeExample(tokenizer, { prompt: 'ab:', answer: ' c' }, true);
    expect([...row.ids]).toEqual([1, ...tokenizer.encode('ab: c', { specialTokens: false }), 2]);
    expect([...row.trained]).toEqual([0, 0, 0, 0, 1, 1, 1]);
  });
  it("a prompt's trailing space belongs to the answer", () => {
    const spaced = tokenizeExample(tokenizer, { prompt: 'ab: ', answer: 'c' }, true);
    expect(spaced).toEqual(tokenizeExample(tokenizer, { prompt: 'ab:', answer: ' c' }, true));
  });
  it('without prompt everything but the beginning is a label', () => {
    expect([...tokenizeExample(tokenizer, { prompt: '', answer: 'ab' }, true).trained]).toEqual([0, 1, 1, 1]);
  });
  it('counts what the context cuts, and leaves out rows without a label', async () => {
    const { rows, counts } = await fitToContext(
      [
        { prompt: 'ab', answer: 'cd' },
        { prompt: 'abcd', answer: 'efghij' },
        { prompt: 'abcdefgh', answer: 'i' },
      ].map((example) => tokenizeExample(tokenizer, example, true)),
      8,
    );
    expect(rows.map(({ ids }) => ids.length)).toEqual([6, 8]);
    expect(counts).toEqual({
      truncatedRows: 1,
      droppedRows: 1,
      refusedRows: 0,
      tokens: 14,
      trainedTokens: 6,
    });
  });
});

describe('rows on their way into a context', () => {
  const row = (length: number, trainedFrom: number) => ({
    ids: Int32Array.from({ length }, (_, i) => i),
    trained: Uint8Array.from({ length }, (_, i) => (i >= trainedFrom ? 1 : 0)),
  });
  it('are cut at their begin or left out, and counted', async () => {
    const rows = [row(6, 3), row(10, 9), row(8, 2)];
    const left = await fitToContext(rows, 8, 'left');
    expect(left.rows.map(({ ids }) => [...ids])).toEqual([
      [0, 1, 2, 3, 4, 5],
      [2, 3, 4, 5, 6, 7, 8, 9],
      [0, 1, 2, 3, 4, 5, 6, 7],
    ]);
    expect(left.counts).toMatchObject({ truncatedRows: 1, droppedRows: 0, trainedTokens: 3 + 1 + 6 });
    const drop = await fitToContext(rows, 8, 'drop');
    expect(drop.counts).toMatchObject({ truncatedRows: 0, droppedRows: 1, refusedRows: 0 });
    expect(drop.rows).toEqual([rows[0], rows[2]]);
  });
  it('that a template refuses are counted; where none is left, the reason is said', async () => {
    const refused = { ...row(0, 0), refused: 'two users in a row' };
    const { rows, counts } = await fitToContext([refused, row(4, 2)], 8);
    expect([rows.length, counts.refusedRows]).toEqual([1, 1]);
    await expect(fitToContext([refused, refused], 8)).rejects.toThrow(
      'The template takes none of the 2 rows; of the first it says: two users in a row.',
    );
    await expect(fitToContext([row(9, 2), row(12, 2)], 8, 'drop')).rejects.toThrow('the shortest has 9');
    await expect(fitToContext([row(4, 4)], 8)).rejects.toThrow('anything to train');
    await expect(fitToContext([row(12, 10)], 8)).rejects.toThrow('the shortest prompt alone has 10 tokens');
  });
});

describe('token files', () => {
  const rows = [
    { ids: Int32Array.of(1, 0, 7), trained: Uint8Array.of(0, 1, 1) },
    { ids: Int32Array.of(5), trained: Uint8Array.of(0) },
  ];
  it('give back rows and labels, id 0 included', () => {
    const path = join(temporaryFolder(), 'rows');
    writeTokenFile(path, [rows[0]!, { ...rows[1]!, task: 7 }]);
    const file = new TokenFileReader(path);
    expect(file.rowCount).toBe(2);
    expect([file.row(1), file.row(0)]).toEqual([
      { ...rows[1], task: 7 },
      { ...rows[0], task: 0 },
    ]);
    expect([...file.tasks]).toEqual([0, 7]);
    file.close();
  });
  it('of earlier versions are made anew, as the message says', () => {
    const path = join(temporaryFolder(), 'rows');
    const words = new Uint32Array([0x544c4449, 2, 2, 0, 0, 0, 2, 0, 3, 0, 0, 0, 5, 4294967289, 8, 0]);
    writeFileSync(path, new Uint8Array(words.buffer));
    expect(() => new TokenFileReader(path)).toThrow(/not a complete token file/);
  });
  it('can be written twice at once', () => {
    const path = join(temporaryFolder(), 'rows');
    const row = { ids: Int32Array.of(4, 5, 6), trained: Uint8Array.of(1, 0, 1) };
    const [one, other] = [new TokenFileWriter(path), new TokenFileWriter(path)];
    for (const writer of [one, other, one, other]) writer.add(row);
    expect([one.finish(), other.finish()]).toEqual([2, 2]);
    const file = new TokenFileReader(path);
    expect(file.row(1).ids).toEqual(row.ids);
    file.close();
  });
  it('tell labels, tasks and the content of each row', () => {
    const path = join(temporaryFolder(), 'rows');
    const row = { ids: Int32Array.of(4, 5, 6), trained: Uint8Array.of(1, 0, 1) };
    const other = { ids: Int32Array.of(4, 5), trained: Uint8Array.of(0, 1), task: 2 };
    writeTokenFile(path, [row, other, row]);
    const file = new TokenFileReader(path);
    // The first token is never predicted.
    expect([...file.labels]).toEqual([1, 1, 1]);
    expect([...file.tasks]).toEqual([0, 2, 0]);
    expect(file.keys[2]).toBe(file.keys[0]);
    expect(file.keys[1]).not.toBe(file.keys[0]);
    expect(file.row(1)).toEqual(other);
    file.close();
  });
  it('carry the task of an example, cut or whole', async () => {
    const tokenizer = loadTokenizer(tinyLlama);
    const examples = [
      { prompt: 'ab', answer: 'cdefghijklmnop', task: 3 },
      { prompt: 'ab', answer: 'cd' },
    ];
    const { rows: made, counts } = await fitToContext(
      examples.map((example) => tokenizeExample(tokenizer, example, true)),
      8,
    );
    expect(counts.truncatedRows).toBe(1);
    expect(made.map(({ task }) => task)).toEqual([3, 0]);
  });
  it('that are cut are refused', () => {
    const path = join(temporaryFolder(), 'rows');
    writeTokenFile(path, rows);
    truncateSync(path, 20);
    expect(() => new TokenFileReader(path)).toThrow(/not a complete token file \(20 bytes\)/);
  });
});
