import { benchmarkDefaults, type BenchmarkRecord, type ChoiceBenchmark } from './benchmark.ts';
import { byLength } from './choices.ts';
import { itemId, missingField, requiredText, structure, textList } from './recordFields.ts';

/** HellaSwag's texts come from WikiHow with marks of their own (lm-evaluation-harness 0.4, hellaswag version 1). */
function withoutMarks(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** As Python's str.capitalize: the first letter large, all others small. */
function capitalized(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}

export const hellaSwag: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  ...byLength,
  name: 'hellaswag',
  label: 'HellaSwag',
  about: 'Which of four endings goes on: accuracy of the likeliest ending, and by its length (normalized).',
  data: 'HellaSwag’s validation file.',
  version: 'hellaswag-1',
  item(record) {
    const [a, b] = [requiredText(record, 'HellaSwag', 'ctx_a'), requiredText(record, 'HellaSwag', 'ctx_b')];
    const endings = textList(record, structure(record, 'endings'), 'endings');
    if (!endings) throw missingField(record, 'HellaSwag', '"endings"');
    const question = withoutMarks(
      `${requiredText(record, 'HellaSwag', 'activity_label')}: ${a} ${capitalized(b)}`,
    );
    const choices = endings.map(withoutMarks);
    const right = rightOf(record, 'HellaSwag', choices.length);
    const target = choices[right]!;
    return {
      id: itemId(record, question, 'ind', 'id'),
      group: null,
      question,
      solution: target,
      target,
      choices,
      right,
    };
  },
};

function rightOf(record: BenchmarkRecord, benchmark: string, count: number): number {
  const label = Number(requiredText(record, benchmark, 'label', 'gold'));
  if (Number.isInteger(label) && label >= 0 && label < count) return label;
  throw missingField(record, benchmark, `"label" with a number below ${count}`);
}
