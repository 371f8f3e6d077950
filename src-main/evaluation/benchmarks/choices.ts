import type { BenchmarkItem, BenchmarkRecord, ChoiceBenchmark } from './benchmark.ts';
import { choicesOfRow, type RowChoices } from '../../data/mapping/choices.ts';
import { detect } from '../../data/mapping/detect.ts';
import { checked, missingField } from './recordFields.ts';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Question, answers and the right one of a row in any of the usual layouts. @throws StudioError dataset_invalid */
export function readChoices(record: BenchmarkRecord, benchmark: string): RowChoices {
  const mapping = detect([record.value], 'multiple_choice')?.mappings[0];
  if (mapping?.kind !== 'choice') throw missingField(record, benchmark, 'with choices');
  return checked(record, () => choicesOfRow(record.value, mapping));
}

/** A question whose lines have the letters of its answers, and letters to choose from. */
export function letteredQuestion(
  { question, choices, right }: RowChoices,
  head: string,
): Pick<BenchmarkItem, 'question' | 'solution' | 'target' | 'choices' | 'right'> {
  const lines = choices.map((choice, i) => `${letters[i]}. ${choice}`);
  const answers = choices.map((_, i) => letters[i]!);
  return {
    question: `${head}${question}\n${lines.join('\n')}\nAnswer:`,
    solution: answers[right]!,
    target: answers[right]!,
    choices: answers,
    right,
  };
}

/**
 * Whether the right choice is the likeliest by character, which lm-evaluation-harness calls acc_norm: long answers are
 * not at a disadvantage.
 */
export const byLength: Pick<ChoiceBenchmark, 'others'> = {
  others: ({ choices = [], right }, logLikelihoods) => ({
    normalized: likeliestByLength(choices, logLikelihoods) === right,
  }),
};

function likeliestByLength(choices: readonly string[], logLikelihoods: readonly number[]): number {
  return indexOfGreatest(logLikelihoods.map((value, i) => value / Math.max(1, [...choices[i]!].length)));
}

/** The first of the greatest numbers, as numpy's argmax. */
export function indexOfGreatest(values: readonly number[]): number {
  let best = 0;
  values.forEach((value, i) => {
    if (value > values[best]!) best = i;
  });
  return best;
}
