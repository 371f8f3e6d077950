import { rowQuestion } from './rowQuestion.ts';
import { benchmarkDefaults, type GeneratingBenchmark, type Grade } from './benchmark.ts';
import { itemId, optionalText } from './recordFields.ts';

/**
 * GSM8K as lm-evaluation-harness 0.4 runs it (task gsm8k, version 3), but zero-shot where nothing is said: greedy,
 * exact match of the number behind `####` (strict) or of the last number (flexible). The studio's score is the flexible
 * one, since a model that was never shown `####` cannot meet the strict one.
 */
export const gsm8k: GeneratingBenchmark = {
  ...benchmarkDefaults('generate'),
  name: 'gsm8k',
  label: 'GSM8K',
  about:
    'Grade-school word problems: exact match of the last number in the answer (flexible) and of the one behind #### (strict).',
  data: 'GSM8K’s test.jsonl; solved examples come from train.jsonl beside it.',
  version: 'gsm8k-3-flexible',
  showsScored: false,
  stop: ['Question:', '</s>', '<|im_end|>'],
  item(record) {
    const { question, answer } = rowQuestion(record, 'GSM8K', {
      question: ['question'],
      answer: ['answer'],
    });
    return {
      id: itemId(record, question, 'id', 'question_id'),
      group: optionalText(record, 'group') ?? null,
      question: `Question: ${question}\nAnswer:`,
      solution: answer,
      target: gsm8kTarget(answer),
    };
  },
  grade: (item, output) => gradeGsm8k(output, item.solution),
};

const strictPattern = /#### (-?[0-9.,]+)/;
const flexiblePattern = /(-?[$0-9.,]{2,})|(-?[0-9]+)/g;

/** The number of a reference solution. */
export function gsm8kTarget(solution: string): string {
  return normalize(strictPattern.exec(solution)?.[1] ?? solution);
}

/** The last number in an output, or `[invalid]`. */
export function flexibleAnswer(output: string): string {
  const last = [...output.matchAll(flexiblePattern)].at(-1);
  return last ? (last[1] ?? last[2] ?? '[invalid]') : '[invalid]';
}

/** Grades an output against the reference solution; `answer` is null where it holds no number. */
export function gradeGsm8k(output: string, solution: string): Grade {
  const answer = flexibleAnswer(output);
  const target = gsm8kTarget(solution);
  const strict = strictPattern.exec(output)?.[1];
  return {
    correct: normalize(answer) === target,
    answer: answer === '[invalid]' ? null : answer,
    others: { strict: strict !== undefined && normalize(strict) === target },
  };
}

/** exact_match's normalization: commas, dollar signs, everything up to `#### ` and a final full stop are dropped. */
export function normalize(text: string): string {
  return text
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replace(/^[\s\S]*#### /, '')
    .replace(/\.$/, '')
    .toLowerCase();
}
