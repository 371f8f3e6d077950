import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { alpacaPrompt } from '../../src-main/data/formats.ts';
import { countShared, rowKey } from '../../src-main/data/rowKeys.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { keysOfGsm8k } from './writeKnownSplits.ts';

const question = 'Natalia sold clips to 48 of her friends in April. How many clips did she sell?';

describe('a row is recognized', () => {
  const key = rowKey({ prompt: `Question: ${question}\nAnswer:`, answer: ' 48\n#### 48' });

  it.each([
    ['another template', { prompt: alpacaPrompt(question, ''), answer: '48' }],
    ['a question and its input', { prompt: alpacaPrompt(...halves(question)), answer: '48' }],
    ['a chat', { prompt: `user: ${question}\nassistant:`, answer: ' 48' }],
    ['other spelling', { prompt: question.toUpperCase().replaceAll(' ', ' \n '), answer: 'forty-eight' }],
  ])('in %s', (_, row) => expect(rowKey(row)).toBe(key));

  it('by its answer, too, where it asks little', () => {
    expect(rowKey({ prompt: '', answer: 'a text' })).toBe(rowKey({ prompt: '', answer: 'A  text' }));
    expect(rowKey({ prompt: '1 + 1 =', answer: '2' })).not.toBe(rowKey({ prompt: '1 + 1 =', answer: '3' }));
    expect(rowKey({ prompt: '1 + 1 =', answer: '2' })).not.toBe(rowKey({ prompt: '1 - 1 =', answer: '2' }));
  });
});

function halves(text: string): [string, string] {
  const at = text.indexOf('. ') + 1;
  return [text.slice(0, at), text.slice(at + 1)];
}

describe.skipIf(!hasSharedData)(`GSM8K${sharedNote}`, () => {
  it('has the keys that the studio knows its test set by, and no row of it among those for training', async () => {
    const bytes = readFileSync(new URL('../../resources/splits/gsm8k-test.keys', import.meta.url));
    const known = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    expect(await keysOfGsm8k(sharedData('gsm8k', 'test.jsonl'))).toEqual(known);
    expect(countShared(await keysOfGsm8k(sharedData('gsm8k', 'train.jsonl')), new Set(known))).toBe(0);
  });
});
