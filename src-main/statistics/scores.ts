import type { Evaluation, ScoreSums } from '../contract/results.ts';
import { wilsonInterval, type Interval } from './intervals.ts';
import { studentQuantile } from './student.ts';

/** Sums over answers, of which each has a summed loss and a number of tokens. */
export function lossSums(rows: Iterable<{ lossSum: number; tokens: number }>): ScoreSums & { kind: 'loss' } {
  const sums = { kind: 'loss' as const, loss: 0, tokens: 0, lossSquares: 0, tokenSquares: 0, products: 0 };
  for (const { lossSum, tokens } of rows) {
    sums.loss += lossSum;
    sums.tokens += tokens;
    sums.lossSquares += lossSum ** 2;
    sums.tokenSquares += tokens ** 2;
    sums.products += lossSum * tokens;
  }
  return sums;
}

/** Share of right answers, or perplexity per answer token. */
export function scoreOf(sums: ScoreSums, n: number): number {
  return sums.kind === 'right' ? sums.right / n : Math.exp(sums.loss / sums.tokens);
}

/**
 * 95 % interval of a score: Wilson's for a share, else that of a ratio of sums over items with Student's t (Cochran
 * 1977, 6.3), taken to the exponent. One item says nothing of others: any perplexity is possible.
 */
export function scoreInterval(sums: ScoreSums, n: number): Interval {
  if (sums.kind === 'right') return wilsonInterval(sums.right, n);
  if (n < 2) return [1, Number.MAX_VALUE];
  const mean = sums.loss / sums.tokens;
  const squares = Math.max(0, sums.lossSquares - 2 * mean * sums.products + mean ** 2 * sums.tokenSquares);
  const error = Math.sqrt((n / (n - 1)) * squares) / sums.tokens;
  const half = studentQuantile(n - 1, 0.95) * error;
  return [Math.max(1, Math.exp(mean - half)), Math.min(Number.MAX_VALUE, Math.exp(mean + half))];
}

/**
 * An evaluation with the interval that today's rule gives: what is stored are the sums. One from before they were kept
 * has the number of right answers in its score; its perplexity keeps the interval that was stored.
 */
export function withInterval(evaluation: Evaluation): Evaluation {
  const { sums, metric, n, score } = evaluation;
  const known =
    sums ?? (metric === 'accuracy' ? { kind: 'right' as const, right: Math.round(score * n) } : null);
  return known ? { ...evaluation, interval: scoreInterval(known, n) } : evaluation;
}

/** A sentence where scored items were trained on: the score then says little about others. */
export function leakWarning({ leak, n, subject }: Pick<Evaluation, 'leak' | 'n' | 'subject'>): string[] {
  if (leak === null || leak.items === 0) return [];
  const share = (100 * leak.items) / n;
  return [
    `${leak.items} of ${n} scored items (${share.toFixed(share < 10 ? 1 : 0)} %) stand in the rows that ${subject} was trained on ("${leak.dataset}").`,
  ];
}
