import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { renderingOf } from '../../../src-main/data/rendering/tokenizeRow.ts';
import { tokenizeExample } from '../../../src-main/data/tokenize.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { tokenizedRows } from '../../../src-main/services/tokenizer/tokenizedRows.ts';
import { createTokenizerThread } from '../../../src-main/services/tokenizer/tokenizerThread.ts';
import { endlessText, hostilePattern, withPattern } from '../../support/faults/hostileTokenizer.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe('the thread for tokenizers', () => {
  const thread = createTokenizerThread({ patienceMs: 1500 });
  afterAll(() => thread.close());
  const tokenize = (text: string, special: boolean, folder = tinyLlama) =>
    thread.tokenize({ name: 'tiny', folder }, text, special);

  it('gives pieces that make up the text, special tokens marked', async () => {
    const text = 'What is 12 + 7?';
    const pieces = await tokenize(text, true);
    const special = pieces.filter(({ isSpecial }) => isSpecial);
    expect(special.map(({ entry }) => entry)).toEqual(['<s>']);
    const plain = pieces.filter(({ isSpecial }) => !isSpecial);
    expect(plain.map((piece) => piece.text).join('')).toBe(text);
    expect(await tokenize(text, false)).toEqual(pieces.slice(1));
    expect(await tokenize('', false)).toEqual([]);
  });

  it('says what a tokenizer is like', async () => {
    expect(await thread.facts({ name: 'tiny', folder: tinyLlama })).toEqual({
      vocabularySize: 99,
      bosId: 1,
      eosId: 2,
      endIds: [2],
    });
  });

  it('answers each of several texts and models with its own', async () => {
    const other = join(fixtures, 'tiny-qwen3');
    const [a, b, c] = await Promise.all([
      tokenize('one', false),
      tokenize('two', false, other),
      tokenize('three', false),
    ]);
    expect([a, b, c].map((pieces) => pieces.map(({ text }) => text).join(''))).toEqual([
      'one',
      'two',
      'three',
    ]);
  });

  it('says what is wrong with a tokenizer', async () => {
    await expect(tokenize('x', false, temporaryFolder())).rejects.toMatchObject({
      code: 'model_invalid',
      message: 'tokenizer.json does not exist.',
    });
  });

  it('ends a pattern that does not come to an end; what waits behind it, and the next text, get their answers', async () => {
    const hostile = withPattern(hostilePattern);
    expect(await tokenize('ab', false, withPattern('b'))).toHaveLength(2);
    const begun = Date.now();
    const [stalled, behind] = await Promise.allSettled([
      tokenize(endlessText, false, hostile),
      tokenize('two', false),
    ]);
    expect(stalled).toMatchObject({
      reason: {
        code: 'model_invalid',
        message: 'The tokenizer of tiny took longer than 1.5 s on a text of 61 characters.',
      },
    });
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(behind).toMatchObject({ value: { length: 3 } });
    expect(await tokenize('one', false)).toHaveLength(3);
  });

  it('allows for each text by itself: many texts take as long as they take', async () => {
    const owner = { name: 'tiny', folder: tinyLlama };
    const impatient = createTokenizerThread({ patienceMs: 800 });
    const texts = Array.from({ length: 40 }, () => 'What is 12 + 7? '.repeat(400));
    await impatient.facts(owner);
    const begun = Date.now();
    let lists: number[][] = [];
    // More than one patience in all, however fast the machine is.
    while (Date.now() - begun < 1600) lists = await impatient.encode(owner, texts);
    impatient.close();
    expect(lists.map(({ length }) => length)).toEqual(texts.map(() => lists[0]!.length));
  });

  it('gives rows in their order, over many batches', async () => {
    const owner = { name: 'tiny', folder: tinyLlama };
    const examples = Array.from({ length: 300 }, (_, i) => ({ prompt: `${i}+1=`, answer: ` ${i + 1}` }));
    const direct = loadTokenizer(tinyLlama);
    const given = examples.map((example) => ({ kind: 'verbatim', ...example }) as const);
    const rows = [];
    for await (const row of tokenizedRows(thread, owner, given, renderingOf({ format: 'text' })))
      rows.push(row);
    expect(rows).toEqual(examples.map((example) => tokenizeExample(direct, example, true)));
  });

  it('a template that fills the memory fails alone', async () => {
    const owner = { name: 'tiny', folder: tinyLlama };
    const small = createTokenizerThread({ memoryMb: 48 });
    const source =
      '{% set n = namespace(all=[]) %}{% for i in range(2200) %}{% set n.all = [n.all, range(900)] %}{% endfor %}';
    const template = { name: 'custom', source, system: null } as const;
    const [full, behind] = await Promise.allSettled([small.check(owner, template), small.facts(owner)]);
    small.close();
    expect(full).toMatchObject({ reason: { code: 'model_invalid', message: /memory/ } });
    expect(behind).toMatchObject({ value: { vocabularySize: 99 } });
  });

  it('is closed in the middle of a text', async () => {
    const closing = createTokenizerThread();
    const asked = closing.encode({ name: 'x', folder: withPattern(hostilePattern) }, [endlessText]);
    setTimeout(() => closing.close(), 300);
    await expect(asked).rejects.toMatchObject({ code: 'cancelled' });
  });
});
