import { subjectOfFile } from '../../data/readers/splitNames.ts';
import { benchmarkDefaults, type ChoiceBenchmark } from './benchmark.ts';
import { letteredQuestion, readChoices } from './choices.ts';
import { itemId, optionalText } from './recordFields.ts';

/**
 * MMLU as lm-evaluation-harness 0.4 runs it (version 1): the letter that is likeliest, 0 shots where nothing is said,
 * 5 from the subject's own dev file by convention; all items count the same. The subject is a field of the row, or the
 * name of its file (`anatomy_test.csv`).
 */
export const mmlu: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  name: 'mmlu',
  label: 'MMLU',
  about:
    'Questions with four answers in 57 subjects: accuracy of the likeliest letter, by subject. The convention of papers is 5 shots.',
  data: 'MMLU’s folder with dev and test (CSV), or one of its files; solved examples come from dev.',
  version: 'mmlu-1',
  showsScored: false,
  shots: { usual: 0, most: 5 },
  shown: 'first',
  item(record) {
    const read = readChoices(record, 'MMLU');
    const subject = optionalText(record, 'subject') ?? subjectOfFile(record.file).subject;
    const asked = letteredQuestion(read, '');
    return {
      ...asked,
      id: itemId(record, `${subject}\n${asked.question}`, 'id'),
      group: subject,
      description: `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
    };
  },
};
