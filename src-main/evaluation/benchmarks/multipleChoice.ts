import { benchmarkDefaults, type ChoiceBenchmark } from './benchmark.ts';
import { letteredQuestion, readChoices } from './choices.ts';
import { itemId, optionalText } from './recordFields.ts';

export const multipleChoice: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  name: 'multiple_choice',
  label: 'Any rows with choices',
  about: 'Your own questions with answers to choose from: accuracy of the likeliest letter.',
  data: 'Any dataset or file whose rows have a question, choices and the right one.',
  version: 'multiple_choice-1',
  item(record) {
    const asked = letteredQuestion(readChoices(record, 'multiple_choice'), 'Question: ');
    return {
      ...asked,
      id: itemId(record, asked.question, 'id'),
      group: optionalText(record, 'group', 'subject', 'category') ?? null,
    };
  },
};
