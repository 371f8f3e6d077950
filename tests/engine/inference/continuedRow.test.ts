import { expect, it } from 'vitest';
import { ContinuedRow, type EndRules } from '../../../src-main/engine/inference/continuedRow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

/** Bytes of UTF-8 as tokens, as those of an alphabet that a vocabulary lacks; counts what is decoded. */
function byteTokenizer() {
  const counted = { tokens: 0 };
  const tokenizer = {
    encode: (text: string) => [...Buffer.from(text)],
    decode(ids: readonly number[]) {
      counted.tokens += ids.length;
      return Buffer.from(ids).toString();
    },
    entryOf: () => null,
    vocabularySize: 256,
    bosId: null,
    eosId: null,
    endIds: [],
    encodeWithEnds: (text: string) => ({ ids: [...Buffer.from(text)], ends: null }),
    idOf: () => null,
    addedTokens: new Set<string>(),
    namedTokens: {},
  };
  return { tokenizer, counted };
}

function answerOf(text: string, rest: Partial<EndRules>) {
  const { tokenizer, counted } = byteTokenizer();
  const rules = { tokenizer, endIds: new Set([0]), stop: [], maxTokens: 1000, contextLength: 4096, ...rest };
  const row = new ContinuedRow([...Buffer.from('Frage: ')], rules, createRandom(1));
  for (const id of tokenizer.encode(text)) if (!row.ended) row.push(id);
  return { ...row.result(), decoded: counted.tokens };
}

it('ends before a stop string, wherever it stands and however many tokens a letter takes', () => {
  for (const before of ['', 'x', 'größer als zehn Zeichen, '.repeat(9), '€'.repeat(200)])
    for (const stop of ['#', '####', 'äöü', '€€€!', '\n\nQ:'])
      expect(answerOf(`${before}${stop} und weiter`, { stop: ['never', stop] })).toMatchObject({
        text: before,
        end: 'stop',
      });
  expect(answerOf('no such thing', { stop: ['€'] })).toMatchObject({ text: 'no such thing', end: 'length' });
});

it('does not decode a long answer anew for every token', () => {
  const text = 'word '.repeat(180);
  expect(answerOf(text, {}).decoded).toBeLessThan(2 * text.length);
  // Eight tokens around each, twice, however long the stop strings are.
  for (const stop of ['STOP', 'STOP'.repeat(50)])
    expect(answerOf(text, { stop: [stop] }).decoded).toBeLessThan(22 * text.length);
  // Bytes that never become a character are not kept waiting for one.
  const broken = Buffer.alloc(300, 0xff).toString('latin1');
  expect(answerOf(broken, { stop: ['x'] }).decoded).toBeLessThan(30 * 2 * broken.length);
});

it('tells an answer that is long enough from a context that is full', () => {
  expect(answerOf('abcdef', { maxTokens: 4 })).toMatchObject({ text: 'abcd', end: 'length' });
  expect(answerOf('abcdef', { maxTokens: 4, contextLength: 11 })).toMatchObject({ end: 'length' });
  expect(answerOf('abcdef', { maxTokens: 4, contextLength: 10 })).toMatchObject({
    text: 'abc',
    end: 'context',
  });
  expect(answerOf('ab\0cd', {})).toMatchObject({ text: 'ab', end: 'end_id' });
});

it('tells of a text only what does not change any more', () => {
  const { tokenizer } = byteTokenizer();
  const rules = { tokenizer, endIds: new Set([0]), stop: ['STOP'], maxTokens: 1000, contextLength: 4096 };
  const row = new ContinuedRow([...Buffer.from('Frage: ')], rules, createRandom(1));
  const settled: string[] = [];
  for (const id of tokenizer.encode('größer STEIN STOP')) {
    if (!row.ended) row.push(id);
    settled.push(row.settledText());
  }
  // Half a letter and what may begin the stop text wait; each one goes on where the one before ended.
  expect(settled.slice(0, 5)).toEqual(['g', 'gr', 'gr', 'grö', 'grö']);
  expect(settled).toContain('größer ');
  expect(settled).not.toContain('größer ST');
  expect(settled.at(-1)).toBe('größer STEIN ');
  settled.reduce((before, now) => {
    expect(now.startsWith(before)).toBe(true);
    return now;
  });
});
