import type { Example } from '../contract/entities.ts';
import { createRandom } from '../statistics/random.ts';

/**
 * GSM8K as lm-evaluation-harness 0.4 runs it: zero-shot by default, greedy, exact match of the number behind `####`
 * (strict) or of the last number (flexible). The studio's score is the flexible one, since a model that was never shown
 * `####` cannot meet the strict one.
 */
export const gsm8kVersion = 'gsm8k-3-flexible';

/** Generation ends before the first of these. */
export const gsm8kStop = ['Question:', '</s>', '<|im_end|>'] as const;

export interface Gsm8kItem {
  index: number;
  prompt: string;
  /** The full reference solution. */
  solution: string;
}

/** An item from a row as it is imported: "Question: ...\nAnswer:" and the solution behind a space. */
export function gsm8kItem({ prompt, answer }: Example, index: number): Gsm8kItem {
  return { index, prompt, solution: answer.replace(/^ /, '') };
}

/** The few-shot text in front of an item: `count` solved examples drawn by seed from the training rows. */
export function fewShotPrefix(examples: readonly Gsm8kItem[], count: number, seed: number): string {
  return createRandom(seed)
    .shuffle(examples)
    .slice(0, count)
    .map(({ prompt, solution }) => `${prompt} ${solution}\n\n`)
    .join('');
}

const strictPattern = /#### (-?[0-9.,]+)/;
const flexiblePattern = /(-?[$0-9.,]{2,})|(-?[0-9]+)/g;

/** The number of a reference solution. */
export function gsm8kTarget(solution: string): string {
  return normalize(strictPattern.exec(solution)?.[1] ?? '');
}

/** The last number in an output, or `[invalid]`. */
export function flexibleAnswer(output: string): string {
  const last = [...output.matchAll(flexiblePattern)].at(-1);
  return last ? (last[1] ?? last[2] ?? '[invalid]') : '[invalid]';
}

/** Grades an output against the reference solution. */
export function gradeGsm8k(
  output: string,
  solution: string,
): { correct: boolean; answer: string; target: string } {
  const answer = flexibleAnswer(output);
  const target = gsm8kTarget(solution);
  return { correct: normalize(answer) === target, answer, target };
}

/** exact_match's normalization: commas, dollar signs, everything up to `#### ` and a final full stop are dropped. */
function normalize(text: string): string {
  return text
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replace(/^[\s\S]*#### /, '')
    .replace(/\.$/, '')
    .toLowerCase();
}
