import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createTokenizerThread } from '../../../src-main/services/tokenizer/tokenizerThread.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder, tinyLlama } from '../../support/trainingRun.ts';

describe('the thread for tokenizers', () => {
  const thread = createTokenizerThread({ patienceMs: 1500 });
  afterAll(() => thread.close());
  const tokenize = (text: string, special: boolean, folder = tinyLlama) =>
    thread.tokenize(folder, text, special);

  /** tiny-llama with another way of cutting text into words. */
  function withPattern(pattern: string): string {
    const folder = join(temporaryFolder(), 'model');
    cpSync(tinyLlama, folder, { recursive: true });
    const path = join(folder, 'tokenizer.json');
    const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    json['pre_tokenizer'] = {
      type: 'Split',
      pattern: { Regex: pattern },
      behavior: 'Isolated',
      invert: false,
    };
    writeFileSync(path, JSON.stringify(json));
    return folder;
  }

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
    expect(await thread.facts(tinyLlama)).toEqual({ vocabularySize: 99, bosId: 1, eosId: 2 });
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

  it('ends a pattern that does not come to an end, and goes on with the next text', async () => {
    const hostile = withPattern('(a+)+$');
    expect(await tokenize('ab', false, withPattern('b'))).toHaveLength(2);
    const begun = Date.now();
    await expect(tokenize(`${'a'.repeat(60)}b`, false, hostile)).rejects.toMatchObject({
      code: 'model_invalid',
      message: 'The tokenizer did not come to an end within 1.5 s.',
    });
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(await tokenize('one', false)).toHaveLength(3);
  });
});
