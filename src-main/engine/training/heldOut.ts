import type { EvalMetric, RouterRecord, SourceLoss } from '../../contract/runRecords.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { scoredRows, scoringPasses } from '../../data/mix/laidOutRun.ts';
import type { RowSet } from '../../data/mix/rowPlan.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import type { HostArray } from '../graph/session.ts';
import { addBySource, batchFeeds, batchFromRows, type Batch, type LossSum } from '../model/batches.ts';
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
 * @param layout of the session's `score`
 * @param spare rows on which routing is watched where none is held out
 */
export function evaluateHeldOut(
  { session, routing }: Pick<TrainingGraph, 'session' | 'routing'>,
  rows: RowSet | null,
  config: Pick<TrainConfig, 'heldOutRows'>,
  layout: BatchLayout,
  spare: { rows: RowSet; numbers: readonly number[] },
): Evaluation {
  const chosen = rows ? scoredRows(rows, config.heldOutRows) : [];
  const mean = routing && new RoutingMean(routing);
  const score = (set: RowSet, numbers: readonly number[], found: (batch: Batch, loss: HostArray) => void) => {
    for (const packs of scoringPasses(set, numbers, layout)) {
      const batch = batchFromRows(packs, set, [layout]);
      const scores = session.run('score', batchFeeds(batch));
      mean?.add(scores.routing!, batch.tokens);
      found(batch, scores.loss);
    }
  };
  if (!rows || chosen.length === 0) {
    if (mean) score(spare.rows, spare.numbers, () => undefined);
    return { metric: null, sources: [], routing: mean?.result() ?? null };
  }
  const sums = new Map<number, LossSum>();
  score(rows, chosen, (batch, losses) => addBySource(sums, batch, losses));
  const bySource = [...sums].sort(([a], [b]) => a - b);
  const lossSum = bySource.reduce((total, [, sum]) => total + sum.lossSum, 0);
  const tokens = bySource.reduce((total, [, sum]) => total + sum.tokens, 0);
  return {
    metric: tokens === 0 ? null : { loss: lossSum / tokens, rows: chosen.length, tokens },
    sources: rows.sources.length < 2 ? [] : bySource.map(sourceLoss),
    routing: mean?.result() ?? null,
  };
}

function sourceLoss([source, { lossSum, tokens }]: readonly [number, LossSum]): SourceLoss {
  return { source, loss: lossSum / tokens, tokens };
}
