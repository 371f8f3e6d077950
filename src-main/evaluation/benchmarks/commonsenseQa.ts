import { benchmarkDefaults, type ChoiceBenchmark } from './benchmark.ts';
import { letteredQuestion, readChoices } from './choices.ts';
import { itemId } from './recordFields.ts';

/** CommonsenseQA as lm-evaluation-harness 0.4 runs it: the letter that is likeliest, on the validation split. */
export const commonsenseQa: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  name: 'commonsenseqa',
  label: 'CommonsenseQA',
  about: 'Everyday questions with five answers: accuracy of the likeliest letter.',
  data: 'CommonsenseQA’s validation file (dev_rand_split.jsonl, or Parquet).',
  version: 'commonsense_qa-1',
  item(record) {
    const asked = letteredQuestion(readChoices(record, 'CommonsenseQA'), 'Question: ');
    return { ...asked, id: itemId(record, asked.question, 'id'), group: null };
  },
};
