import { describe, expect, it } from 'vitest';
import { readFileRows } from '../../src-main/data/readFileRows.ts';
import { exampleOf } from '../../src-main/data/rowExample.ts';
import { fewShotPrefix, flexibleAnswer, gradeGsm8k, gsm8kItem } from '../../src-main/evaluation/gsm8k.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';

it('finds the last number, as the harness does', () => {
  expect(flexibleAnswer('It is 3 + 4 = 7.')).toBe('7.');
  expect(flexibleAnswer('$1,234.50 in all')).toBe('$1,234.50');
  expect(flexibleAnswer('minus -5')).toBe('-5');
  expect(flexibleAnswer('none')).toBe('[invalid]');
});

it.each([
  ['The answer is $1,200.', '#### 1200', true],
  ['so 7', '... #### 7', true],
  ['so 8', '#### 7', false],
  ['', '#### 7', false],
])('grades %j against %j', (output, solution, correct) => {
  expect(gradeGsm8k(output, solution).correct).toBe(correct);
});

describe.skipIf(!hasSharedData)(`GSM8K${sharedNote}`, () => {
  it.each(['train.jsonl', 'test.jsonl'])(
    'every reference solution of %s is right against itself',
    async (file) => {
      let n = 0;
      for await (const { row, format } of readFileRows(sharedData('gsm8k', file), 'gsm8k')) {
        const item = gsm8kItem(exampleOf(row, format), n++);
        expect(gradeGsm8k(item.solution, item.solution), item.solution).toMatchObject({ correct: true });
      }
      expect(n).toBe(file === 'test.jsonl' ? 1319 : 7473);
    },
  );
});

it('few-shot examples are solved, joined as the harness joins them, and chosen by seed', () => {
  const pool = Array.from({ length: 20 }, (_, i) => ({
    index: i,
    prompt: `Question: q${i}\nAnswer:`,
    solution: `#### ${i}`,
  }));
  const prefix = fewShotPrefix(pool, 3, 1);
  expect(prefix.split('\n\n')).toHaveLength(4);
  expect(prefix).toMatch(/^(Question: q(\d+)\nAnswer: #### \2\n\n){3}$/);
  expect(fewShotPrefix(pool, 3, 1)).toBe(prefix);
});
