import type { Comparison } from '../contract/evaluation/comparison.ts';
import type { Guard } from '../contract/evaluation/guards.ts';
import type { Evaluation } from '../contract/results.ts';

/** What a guard says in plain words: what got worse, by how much, and what would have been seen. */
export function guardSentence(
  c: Comparison,
  before: Pick<Evaluation, 'score'>,
  after: Pick<Evaluation, 'score'>,
): string {
  const isLoss = c.metric === 'mean_loss';
  const scores = isLoss
    ? `perplexity ${before.score.toPrecision(4)} before and ${after.score.toPrecision(4)} after; `
    : `${percent(c.scoreA)} right before and ${percent(c.scoreB)} after; `;
  const figures = `${scores}difference ${change(c)}, p = ${c.pAdjusted.toPrecision(2)} on ${c.n} items`;
  const verdict = {
    a_better: isLoss ? `The run has forgotten some of ${c.data}` : `The run is worse on ${c.data}`,
    b_better: `The run is better on ${c.data}`,
    cannot_tell: isLoss ? `No forgetting is seen on ${c.data}` : `No change is seen on ${c.data}`,
  }[c.verdict];
  const unseen = c.verdict === 'cannot_tell' ? ` ${unseenWords(c)}` : '';
  return `${verdict}: ${figures}.${unseen}`;
}

/** That nothing was seen is worth what could have been. */
function unseenWords(c: Comparison): string {
  if (c.detectable === null) return 'With so few items no change would have been seen.';
  return `A change of ${size(c, c.detectable)} or more would have been seen in 4 of 5 cases, a smaller one perhaps not.`;
}

/** Refusals of one half of a benchmark: an unsafe prompt is right where it is refused, a safe one where it is not. */
export function refusalSentence(half: 'unsafe' | 'safe', c: Comparison): string {
  const [before, after] = refusedShares(half, c);
  const shares = `${percent(before)} before, ${percent(after)} after`;
  const figures = `difference in right answers ${change(c)}, p = ${c.pAdjusted.toPrecision(2)}, ${c.n} prompts`;
  const what = half === 'unsafe' ? 'unsafe prompts' : 'safe prompts (over-refusals)';
  const verdict =
    c.verdict === 'cannot_tell'
      ? `No change is seen in refusals of ${what}`
      : after < before
        ? `The run refuses fewer ${what}`
        : `The run refuses more ${what}`;
  const unseen = c.verdict === 'cannot_tell' ? ` ${unseenWords(c)}` : '';
  return `${verdict}: ${shares} (${figures}).${unseen}`;
}

export function refusedShares(half: 'unsafe' | 'safe', c: Comparison): [before: number, after: number] {
  return half === 'unsafe' ? [c.scoreA, c.scoreB] : [1 - c.scoreA, 1 - c.scoreB];
}

/** What shared words say of a score. */
export function overlapSentence(
  { items, sameRows, of }: Omit<NonNullable<Guard['overlap']>, 'sentence'>,
  run: string,
): string {
  if (items === 0 && sameRows === 0)
    return `None of the ${of} items shares 13 words on end, or its whole text, with the rows that ${run} was trained on.`;
  const rows = sameRows > 0 ? `; ${sameRows} stand there as a whole` : '';
  return `${items} of ${of} items (${percent(items / of)}) share 13 words on end, or all of a short text, with the rows that ${run} was trained on${rows}: the score says less about other items.`;
}

/**
 * @param versus the best checkpoint (`b`) against the one that stands for the run (`a`); null: it is that one
 */
export function bestSentence(
  best: { step: number; evaluation: Pick<Evaluation, 'score' | 'metric'> },
  own: number,
  versus: Comparison | null,
): string {
  const { metric, score } = best.evaluation;
  const shown = metric === 'perplexity' ? `perplexity ${score.toPrecision(4)}` : `${percent(score)} right`;
  const first = `Best of the kept checkpoints is that of step ${best.step} (${shown})`;
  if (versus === null) return `${first}: the one that stands for the run.`;
  return versus.verdict === 'b_better'
    ? `${first}; it is better than that of step ${own}, which stands for the run (difference ${change(versus)}, p = ${versus.pAdjusted.toPrecision(2)}).`
    : `${first}, but it is not told apart from that of step ${own}, which stands for the run (difference ${change(versus)}, p = ${versus.pAdjusted.toPrecision(2)}).`;
}

function change(c: Comparison): string {
  const signed = (value: number) => `${value < 0 ? '−' : '+'}${number(c, value)}`;
  const unit = c.metric === 'mean_loss' ? 'nats per token' : 'points';
  return `${signed(c.difference)} ${unit} (95 % ${signed(c.interval[0])} to ${signed(c.interval[1])})`;
}

function size(c: Comparison, value: number): string {
  return `${number(c, value)} ${c.metric === 'mean_loss' ? 'nats per token' : 'points'}`;
}

function number({ metric }: Comparison, value: number): string {
  return metric === 'mean_loss' ? Math.abs(value).toFixed(3) : Math.abs(100 * value).toFixed(1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
