import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../src-main/cli/arguments.ts';
import { benchmarkOptions, benchmarkSettings } from '../../src-main/cli/benchmarkArguments.ts';
import { StudioError } from '../../src-main/contract/errors.ts';

const read = (...args: string[]) => benchmarkSettings(parseCommand(args, benchmarkOptions).values);
const problem = (...args: string[]) => {
  try {
    read(...args);
  } catch (error) {
    if (error instanceof StudioError) return `${error.message} ${error.remedy}`;
  }
  throw new Error('It was not refused.');
};

describe('options of eval and compare', () => {
  it('go to all benchmarks that are asked', () => {
    const both = { data: { path: 'items.jsonl' }, limit: 5, shots: undefined, maxTokens: undefined };
    expect(read('--benchmark', 'gsm8k,commonsenseqa', '--path', 'items.jsonl', '--limit', '5')).toMatchObject(
      [
        { benchmark: 'gsm8k', ...both },
        { benchmark: 'commonsenseqa', ...both },
      ],
    );
    expect(read()).toMatchObject([{ benchmark: 'perplexity', data: undefined }]);
  });

  it('go to one alone where its name stands before them', () => {
    expect(
      read(
        ...['--benchmark', 'gsm8k,commonsenseqa,perplexity', '--path', 'gsm8k=a=b/test.jsonl'],
        ...['--path', 'commonsenseqa=dev.jsonl', '--limit', '400', '--limit', 'gsm8k=32'],
        ...['--shots', 'gsm8k=2', '--max-tokens', 'gsm8k=96'],
      ),
    ).toMatchObject([
      { benchmark: 'gsm8k', data: { path: 'a=b/test.jsonl' }, limit: 32, shots: 2, maxTokens: 96 },
      { benchmark: 'commonsenseqa', data: { path: 'dev.jsonl' }, limit: 400, shots: undefined },
      // What is scored of a run without data are the rows that it held out.
      { benchmark: 'perplexity', data: undefined, limit: 400 },
    ]);
  });

  it('are refused for a benchmark that is not asked, twice for the same one, and where they are no number', () => {
    expect(problem('--benchmark', 'mmlu', '--path', 'gsm8k=x')).toMatch(
      /^--path gsm8k=x is for a benchmark that is not asked\. .*\.\/gsm8k=x$/,
    );
    expect(problem('--limit', '5', '--limit', '6')).toContain('--limit is given twice.');
    expect(problem('--benchmark', 'gsm8k', '--shots', 'gsm8k=1', '--shots', 'gsm8k=2')).toContain(
      'twice for gsm8k',
    );
    expect(problem('--benchmark', 'gsm8k', '--limit', 'gsm8k=few')).toContain('"few" is not a number');
    expect(problem('--benchmark', 'gsm9k')).toContain('gsm9k');
  });
});
