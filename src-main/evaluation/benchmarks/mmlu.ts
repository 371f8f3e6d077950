import { basename } from 'node:path';
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
    const subject = optionalText(record, 'subject') ?? subjectOfFile(record.file);
    const asked = letteredQuestion(read, '');
    return {
      ...asked,
      id: itemId(record, `${subject}\n${asked.question}`, 'id'),
      group: subject,
      description: `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
    };
  },
};

/** `high_school_physics` of `test/high_school_physics_test.csv`. */
export function subjectOfFile(file: string): string {
  return basename(file)
    .replace(/\.\w+(\.gz)?$/, '')
    .replace(/[_-](test|dev|val|validation|auxiliary_train)$/, '');
}
