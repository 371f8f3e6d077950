import type { EvaluationItem } from '../../../../src-main/contract/results.ts';
import { createRandom } from '../../../../src-main/statistics/random.ts';

/** Two answers to one question, and which of them stands left. */
export interface BlindPair {
  id: string;
  question: string;
  a: string;
  b: string;
  /** The first subject's answer stands left. */
  isALeft: boolean;
}

/**
 * The pairs of answers that can be judged: both are there and differ. Order and sides are drawn by a seed, so that they
 * are the same again, and nobody can tell by them whose an answer is.
 */
export function blindPairs(
  first: readonly EvaluationItem[],
  second: readonly EvaluationItem[],
  seed: number,
): BlindPair[] {
  const others = new Map(second.map((item) => [item.id, item]));
  const random = createRandom(seed);
  const pairs = first.flatMap((item): BlindPair[] => {
    const [a, b] = [item.output, others.get(item.id)?.output ?? null];
    // Drawn for every item: those that are left out must not turn the sides of the others.
    const isALeft = random.integer(2) === 0;
    if (a === null || b === null || a.trim() === b.trim()) return [];
    return [{ id: item.id, question: item.question ?? item.id, a, b, isALeft }];
  });
  return random.shuffle(pairs);
}

/** What a vote for a side says of the two subjects. */
export function choiceOf(
  pair: Pick<BlindPair, 'isALeft'>,
  side: 'left' | 'right' | 'tie' | 'both_bad',
): 'a' | 'b' | 'tie' | 'both_bad' {
  if (side === 'tie' || side === 'both_bad') return side;
  return (side === 'left') === pair.isALeft ? 'a' : 'b';
}
