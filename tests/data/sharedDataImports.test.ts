import { beforeAll, describe, expect, it } from 'vitest';
import { readRows } from '../../src-main/data/readRows.ts';
import { importDataset } from '../../src-main/data/importDataset.ts';
import type { Row } from '../../src-main/contract/rows.ts';
import { testSetOf } from '../../src-main/services/data/sharedRows.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

type Parts = Partial<Record<'train' | 'validation' | 'test', number>>;

/** Every file and folder with rows, with its format, its parts and how many of its rows cannot be used. */
const expected: [path: string, format: string, parts: Parts, unused?: number][] = [
  ['gsm8k', 'gsm8k', { train: 7473, test: 1319 }],
  ['gsm8k/train.jsonl', 'gsm8k', { train: 7473 }],
  ['gsm8k/test.jsonl', 'gsm8k', { test: 1319 }],
  ['humaneval', 'humaneval', { test: 164 }],
  ['humaneval/HumanEval.jsonl.gz', 'humaneval', { test: 164 }],
  ['codealpaca', 'alpaca', { train: 6550 }, 2],
  ['codealpaca/code_alpaca_2k.json', 'alpaca', { train: 2015 }, 2],
  ['codealpaca/new_codealpaca.json', 'alpaca', { train: 4535 }],
  ['alpaca', 'alpaca', { train: 2000 }],
  ['alpaca/alpaca_data_subset_2000.json', 'alpaca', { train: 2000 }],
  ['safety-tuned', 'alpaca', { train: 2483, test: 468 }],
  ['safety-tuned/safety_only_data_Instructions.json', 'alpaca', { train: 2483 }],
  ['safety-tuned/I-Alpaca.json', 'prompts', { test: 50 }],
  ['safety-tuned/I-CoNa.json', 'prompts', { test: 178 }],
  ['safety-tuned/I-Controversial.json', 'prompts', { test: 40 }],
  ['safety-tuned/I-MaliciousInstructions.json', 'prompts', { test: 100 }],
  ['safety-tuned/Q-Harm.json', 'prompts', { test: 100 }],
  ['xstest', 'prompts', { test: 450 }],
  ['xstest/xstest_prompts.csv', 'prompts', { test: 450 }],
  ['mmlu', 'multiple_choice', { validation: 275, test: 12271 }],
  ['mmlu/dev', 'multiple_choice', { validation: 275 }],
  ['mmlu/test', 'multiple_choice', { test: 12271 }],
  ['commonsenseqa', 'multiple_choice', { validation: 1221 }],
  ['commonsenseqa/dev_rand_split.jsonl', 'multiple_choice', { validation: 1221 }],
];

async function imported(path: string) {
  const folder = temporaryFolder();
  const { imported: dataset } = await importDataset({
    paths: [sharedData(...path.split('/'))],
    format: 'auto',
    folder,
    testSetOf,
  });
  const rows: Row[] = [];
  for await (const { row } of readRows(folder, { name: 'a', ...dataset })) rows.push(row);
  return { dataset, rows };
}

describe.skipIf(!hasSharedData)(`real files import without a mapping of anybody's${sharedNote}`, () => {
  it.each(expected)('%s is %s with %j', async (path, format, parts, unused = 0) => {
    const { dataset, rows } = await imported(path);
    expect(dataset).toMatchObject({ format, unused: { rows: unused } });
    expect(Object.fromEntries(dataset.stretches.map((one) => [one.split, one.rows]))).toEqual(parts);
    expect(rows).toHaveLength(Object.values(parts).reduce((sum, count) => sum + count, 0));
    const prompts = rows.filter(
      (row) => row.kind === 'chat' && !row.turns.some(({ role }) => role === 'assistant'),
    );
    expect(prompts).toHaveLength(dataset.promptRows);
    expect(dataset.promptRows).toBe(format === 'prompts' ? rows.length : path === 'safety-tuned' ? 468 : 0);
  });

  describe('and say what they said', () => {
    let first: Record<string, Row | undefined>;
    beforeAll(async () => {
      const paths = ['mmlu/dev', 'commonsenseqa', 'codealpaca/code_alpaca_2k.json', 'humaneval'];
      const read = await Promise.all(
        paths.map(async (path) => [path, (await imported(path)).rows[0]] as const),
      );
      first = Object.fromEntries(read);
    });
    it('the subject of each of MMLU’s questions', async () => {
      const { dataset, rows } = await imported('mmlu/test/college_physics_test.csv');
      expect(dataset.columns.at(-1)).toBe('subject');
      expect(dataset.unreadColumns).toEqual(['subject']);
      expect(rows).toHaveLength(102);
    });
    it('choices with letters, whether the answer is a number or a letter', () => {
      expect(first['mmlu/dev']).toEqual({
        kind: 'chat',
        turns: [
          {
            role: 'user',
            content: 'Find all c in Z_3 such that Z_3[x]/(x^2 + c) is a field.\nA. 0\nB. 1\nC. 2\nD. 3',
          },
          { role: 'assistant', content: 'B' },
        ],
      });
      expect(first['commonsenseqa']).toMatchObject({
        turns: [
          {
            content: expect.stringMatching(/what\?\nA\. bank\nB\. library\n.*\n.*\nE\. new york$/) as string,
          },
          { content: 'A' },
        ],
      });
    });
    it('an input apart from its instruction', () => {
      expect(first['codealpaca/code_alpaca_2k.json']).toMatchObject({
        turns: [
          {
            content: 'What are the distinct values from the given list?',
            input: 'dataList = [3, 9, 3, 5, 7, 9, 5]',
          },
          { role: 'assistant' },
        ],
      });
    });
    it('code that is continued as it stands', () => {
      expect(first['humaneval']).toMatchObject({
        kind: 'verbatim',
        prompt: expect.stringMatching(/^from typing import List\n/) as string,
        answer: expect.stringMatching(/^ {4}for idx, elem in enumerate/) as string,
      });
    });
  });
});
