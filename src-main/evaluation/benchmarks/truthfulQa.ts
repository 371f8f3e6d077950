import { benchmarkDefaults, type BenchmarkRecord, type ChoiceBenchmark } from './benchmark.ts';
import { itemId, missingField, optionalText, requiredText, structure, textList } from './recordFields.ts';

/**
 * TruthfulQA's single true answer (mc1). lm-evaluation-harness puts six fixed questions before each: here the question
 * stands alone, which is why scores are not those of other tables.
 */
export const truthfulQa: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  name: 'truthfulqa',
  label: 'TruthfulQA (mc1)',
  about:
    'Is the one true answer likelier than all false ones? Without the six questions that papers put before each.',
  data: 'TruthfulQA’s multiple-choice file, with mc1_targets.',
  version: 'truthfulqa_mc1-bare-1',
  shots: { usual: 0, most: 0 },
  item(record) {
    const question = requiredText(record, 'TruthfulQA', 'question', 'Question');
    const targets = structure(record, 'mc1_targets');
    const { choices, right } = singleTrue(record, targets);
    const target = choices[right]!;
    return {
      id: itemId(record, question, 'id'),
      group: optionalText(record, 'category') ?? null,
      question: `Q: ${question}\nA:`,
      solution: target,
      target,
      choices,
      right,
    };
  },
};

/** Answers with their labels, as lists (Hugging Face) or as an object of answers (the authors' file). */
function singleTrue(record: BenchmarkRecord, targets: unknown): { choices: string[]; right: number } {
  if (typeof targets === 'object' && targets !== null) {
    const { choices, labels } = targets as { choices?: unknown; labels?: unknown };
    const [names, marks] =
      Array.isArray(choices) && Array.isArray(labels)
        ? [textList(record, choices, 'mc1_targets.choices') ?? [], labels as unknown[]]
        : [Object.keys(targets), Object.values(targets) as unknown[]];
    const right = marks.findIndex((mark) => Number(mark) === 1);
    if (names.length >= 2 && names.length === marks.length && right >= 0) return { choices: names, right };
  }
  throw missingField(record, 'TruthfulQA', '"mc1_targets" with one true answer');
}
