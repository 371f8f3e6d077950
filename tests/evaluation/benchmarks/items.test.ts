import { describe, expect, it } from 'vitest';
import { openFileRecords, type FileRecord } from '../../../src-main/data/fileRecords.ts';
import type {
  ChoiceBenchmark,
  GeneratingBenchmark,
} from '../../../src-main/evaluation/benchmarks/benchmark.ts';
import { benchmarkInfos, findBenchmark } from '../../../src-main/evaluation/benchmarks/registry.ts';
import { isRefusal } from '../../../src-main/evaluation/benchmarks/refusal.ts';
import { hasSharedData, sharedData, sharedNote } from '../../support/paths.ts';

const record = (value: Record<string, unknown>, file = 'rows.jsonl'): FileRecord => ({
  index: 0,
  place: `${file}, row 1`,
  file,
  value,
  row: null,
});
const itemOf = (name: string, value: Record<string, unknown>, file?: string) =>
  findBenchmark(name)!.item(record(value, file));

describe('items of benchmarks', () => {
  it('MMLU in both layouts is the same item, and its subject the name of its file', () => {
    const asked = { question: ' Is it? ', answer: 1 };
    const list = itemOf('mmlu', { ...asked, choices: ['no', 'yes', 'a', 'b'], subject: 'global_facts' });
    const columns = itemOf(
      'mmlu',
      { ...asked, choice0: 'no', choice1: 'yes', choice2: 'a', choice3: 'b' },
      'test/global_facts_test.csv',
    );
    expect(columns).toEqual(list);
    expect(list).toMatchObject({
      question: 'Is it?\nA. no\nB. yes\nC. a\nD. b\nAnswer:',
      choices: ['A', 'B', 'C', 'D'],
      right: 1,
      target: 'B',
      group: 'global_facts',
      description: 'The following are multiple choice questions (with answers) about global facts.\n\n',
    });
  });

  it('HellaSwag loses the marks of its source, ARC asks for the text of an answer', () => {
    expect(
      itemOf('hellaswag', {
        activity_label: 'Cooking',
        ctx_a: 'A man cooks [title] eggs.',
        ctx_b: 'HE then',
        endings: ['eats  [step] them.', 'sings.'],
        label: '1',
      }),
    ).toMatchObject({
      question: 'Cooking: A man cooks. eggs. He then',
      choices: ['eats  them.', 'sings.'],
      target: 'sings.',
    });
    const arc = itemOf('arc', {
      id: 'Mercury_1',
      question: 'Why?',
      choices: { text: ['so', 'thus'], label: ['1', '2'] },
      answerKey: '2',
    });
    expect(arc).toMatchObject({
      id: 'Mercury_1',
      question: 'Question: Why?\nAnswer:',
      target: 'thus',
      right: 1,
    });
  });

  it('TruthfulQA has one true answer in either layout', () => {
    const lists = { mc1_targets: { choices: ['x', 'y'], labels: [0, 1] }, question: 'q' };
    expect(itemOf('truthfulqa', lists)).toMatchObject({ question: 'Q: q\nA:', right: 1 });
    expect(itemOf('truthfulqa', { question: 'q', mc1_targets: { x: 0, y: 1 } })).toMatchObject({
      target: 'y',
    });
  });

  it.each([
    [
      'hellaswag',
      { ctx_a: 'a', ctx_b: 'b', activity_label: 'c', label: 0 },
      /rows\.jsonl, row 1 .*"endings"/,
    ],
    ['hellaswag', { ctx_a: 'a', ctx_b: 'b', activity_label: 'c', endings: ['x'], label: 4 }, /below 1/],
    ['mmlu', { question: 'q', choices: ['a', 'b'], answer: 'Z' }, /row 1/],
    ['truthfulqa', { question: 'q', mc1_targets: { x: 0 } }, /mc1_targets/],
    ['refusal', { other: 1 }, /"prompt"/],
    ['gsm8k', { other: 1 }, /"question"/],
  ])('%s says which row has not what it needs', (name, value, message) => {
    expect(() => itemOf(name, value)).toThrow(message);
  });

  it('a benchmark that is not there is refused with those that are', () => {
    expect(() => findBenchmark('nope')).toThrow(/no benchmark "nope"/);
    expect(findBenchmark('perplexity')).toBeNull();
    expect(new Set(benchmarkInfos.map(({ name }) => name)).size).toBe(benchmarkInfos.length);
  });
});

describe('grades', () => {
  const grade = (name: string, target: string, output: string, pattern?: string) =>
    (findBenchmark(name) as GeneratingBenchmark).grade(
      itemOf(name, { question: 'q', answer: target }),
      output,
      { pattern },
    ).correct;

  it.each([
    ['exact_match', 'Paris', ' paris.', undefined, true],
    ['exact_match', 'Paris', 'In Paris', undefined, false],
    ['number_match', '1000', 'That is 1,000.0', undefined, true],
    ['number_match', '1000', 'That is 100', undefined, false],
    ['contains', 'New York', 'it is  new york!', undefined, true],
    ['contains', 'New York', 'york', undefined, false],
    ['regex', 'B', 'the answer is (B), not A', 'answer is \\((\\w)\\)', true],
    ['regex', 'A', 'the answer is (B), not A', 'answer is \\((\\w)\\)', false],
  ])('%s: %j against %j', (name, target, output, pattern, right) => {
    expect(grade(name, target, output, pattern)).toBe(right);
  });

  it('an expression that is none is refused', () => {
    expect(() => grade('regex', 'A', 'A', '(')).toThrow(/no regular expression/);
    expect(() => grade('regex', 'A', 'A')).toThrow(/needs an expression/);
  });

  it.each([
    ['I’m sorry, but I can’t help with that.', true],
    ['As an AI language model, I do not do this.', true],
    ['Sure! First, open the terminal.', false],
    ['Sorry means that one regrets.', false],
  ])('%j refuses: %j', (answer, refuses) => {
    expect(isRefusal(answer)).toBe(refuses);
  });

  it('long answers are not at a disadvantage where they are weighed by length', () => {
    const arc = findBenchmark('arc') as ChoiceBenchmark;
    const item = { ...itemOf('arc', { question: 'q', choices: ['ab', 'abcdefgh'], answerKey: 'B' }) };
    expect(arc.others!(item, [-2, -4])).toEqual({ normalized: true });
    expect(arc.others!(item, [-0.5, -4])).toEqual({ normalized: false });
  });
});

describe.skipIf(!hasSharedData)(`real files${sharedNote}`, () => {
  it.each([
    ['mmlu', ['mmlu'], 'test', 12271, 55],
    ['commonsenseqa', ['commonsenseqa', 'dev_rand_split.jsonl'], undefined, 1221, 0],
    ['gsm8k', ['gsm8k', 'test.jsonl'], undefined, 1319, 0],
    ['refusal', ['xstest', 'xstest_prompts.csv'], undefined, 450, 2],
    ['refusal', ['safety-tuned', 'I-MaliciousInstructions.json'], undefined, 100, 1],
  ] as const)('%s reads all of %j', async (name, path, split, count, groups) => {
    const benchmark = findBenchmark(name)!;
    const found = new Map<string | null, number>();
    let n = 0;
    for await (const row of (await openFileRecords(sharedData(...path))).records(split)) {
      const { group } = benchmark.item(row);
      if (group !== null) found.set(group, (found.get(group) ?? 0) + 1);
      n++;
    }
    expect(n).toBe(count);
    expect(found.size).toBe(groups);
    if (path[0] === 'xstest') expect([...found.values()].sort()).toEqual([200, 250]);
  });
});
