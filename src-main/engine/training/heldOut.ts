import type { EvalMetric, RouterRecord, SourceLoss } from '../../contract/runRecords.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { RowSet } from '../../data/mix/rowPlan.ts';
import { packRows } from '../../data/packing.ts';
import type { BatchLayout } from '../model/wholeRows.ts';
import { batchFeeds, batchFromRows, rowLengths, type Batch } from '../model/batches.ts';
import { RoutingMean } from '../model/routing.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/** What an evaluation finds; null where there was nothing to score, or no expert to watch. */
export interface Evaluation {
  metric: Omit<EvalMetric, 'step'> | null;
  /** Of a mix: the sources of which rows were scored; else empty. */
  sources: SourceLoss[];
  routing: Omit<RouterRecord, 'step'> | null;
}

/**
 * Held-out loss: the mean over all labels of the first `heldOutRows` rows, without dropout, in all and of each source.
 * Rows weigh by their labels.
 * @param spare batches whose routing is watched where no row is held out
 */
export function evaluateHeldOut(
  { session, routing }: Pick<TrainingGraph, 'session' | 'routing'>,
  rows: RowSet | null,
  config: Pick<TrainConfig, 'heldOutRows' | 'packing'>,
  layout: BatchLayout,
  spare: readonly Batch[],
): Evaluation {
  const count = Math.min(rows?.rowCount ?? 0, config.heldOutRows);
  const mean = routing && new RoutingMean(routing);
  const score = (batch: Batch) => {
    const scores = session.run('score', batchFeeds(batch));
    mean?.add(scores.routing!, batch.tokens);
    return scores.loss;
  };
  if (!rows || count === 0) {
    if (mean) spare.forEach(score);
    return { metric: null, sources: [], routing: mean?.result() ?? null };
  }
  const numbers = Array.from((rows.epochRows?.(0) ?? Array(rows.rowCount).keys()) as Iterable<number>);
  const chosen = numbers.slice(0, count);
  const sums = rows.sources.map(() => ({ lossSum: 0, tokens: 0 }));
  // A row of the batch holds rows of one source alone, so that its loss is that source's.
  const packs = rows.sources.flatMap((_, source) => {
    const own = chosen.filter((row) => rows.sourceOf(row) === source);
    return config.packing ? packRows(rowLengths(rows), own, layout.tokens) : own.map((row) => [row]);
  });
  for (let first = 0; first < packs.length; first += layout.batch) {
    const taken = packs.slice(first, first + layout.batch);
    const batch = batchFromRows(taken, rows, layout);
    const losses = score(batch);
    taken.forEach((pack, i) => {
      const sum = sums[rows.sourceOf(pack[0]!)]!;
      sum.lossSum += losses[i]!;
      sum.tokens += labelsIn(batch, i, layout);
    });
  }
  const lossSum = sums.reduce((total, sum) => total + sum.lossSum, 0);
  const tokens = sums.reduce((total, sum) => total + sum.tokens, 0);
  return {
    metric: tokens === 0 ? null : { loss: lossSum / tokens, rows: count, tokens },
    sources: rows.sources.length < 2 ? [] : sums.flatMap(sourceLoss),
    routing: mean?.result() ?? null,
  };
}

function sourceLoss({ lossSum, tokens }: { lossSum: number; tokens: number }, source: number): SourceLoss[] {
  return tokens === 0 ? [] : [{ source, loss: lossSum / tokens, tokens }];
}

function labelsIn({ labels }: Batch, row: number, { tokens }: BatchLayout): number {
  return labels
    .subarray(row * tokens, (row + 1) * tokens)
    .reduce((count, label) => count + Number(label >= 0), 0);
}
