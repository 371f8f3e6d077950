import { describe, expect, it } from 'vitest';
import { openFileRecords } from '../../../src-main/data/fileRecords.ts';
import { flexibleAnswer, gradeGsm8k, gsm8k } from '../../../src-main/evaluation/benchmarks/gsm8k.ts';
import { hasSharedData, sharedData, sharedNote } from '../../support/paths.ts';

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
      for await (const record of (await openFileRecords(sharedData('gsm8k', file))).records()) {
        const item = gsm8k.item(record);
        n++;
        expect(gsm8k.grade(item, item.solution, {}), item.solution).toMatchObject({
          correct: true,
          others: { strict: true },
        });
      }
      expect(n).toBe(file === 'test.jsonl' ? 1319 : 7473);
    },
  );
});
