import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { alpacaPrompt } from '../../src-main/data/rowExample.ts';
import type { Row } from '../../src-main/contract/rows.ts';
import { countShared, rowKey } from '../../src-main/data/rowKeys.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { keysOfGsm8k } from './writeKnownSplits.ts';

const question = 'Natalia sold clips to 48 of her friends in April. How many clips did she sell?';

const verbatim = (prompt: string, answer: string): Row => ({ kind: 'verbatim', prompt, answer });
const chat = (content: string, answer: string, more: { input?: string } = {}): Row => ({
  kind: 'chat',
  turns: [
    { role: 'user', content, ...more },
    { role: 'assistant', content: answer },
  ],
});

describe('a row is recognized', () => {
  const key = rowKey(chat(question, '48\n#### 48'));

  it.each([
    ['the frame of before', verbatim(`Question: ${question}\nAnswer:`, ' 48\n#### 48')],
    ['another template', verbatim(alpacaPrompt(question, ''), '48')],
    ['a question and its input', verbatim(alpacaPrompt(...halves(question)), '48')],
    ['an instruction and its input', chat(halves(question)[0], '48', { input: halves(question)[1] })],
    ['a chat', verbatim(`user: ${question}\nassistant:`, ' 48')],
    ['other spelling', chat(question.toUpperCase().replaceAll(' ', ' \n '), 'forty-eight')],
  ])('in %s', (_, row) => expect(rowKey(row)).toBe(key));

  it('by its answer, too, where it asks little', () => {
    expect(rowKey({ kind: 'text', text: 'a text' })).toBe(rowKey(verbatim('', 'A  text')));
    expect(rowKey(verbatim('1 + 1 =', '2'))).not.toBe(rowKey(verbatim('1 + 1 =', '3')));
    expect(rowKey(verbatim('1 + 1 =', '2'))).not.toBe(rowKey(verbatim('1 - 1 =', '2')));
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
