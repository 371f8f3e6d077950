import type { EvalMetric, RouterRecord } from '../../contract/runRecords.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { packRows } from '../../data/packing.ts';
import type { TokenFileReader } from '../../formats/files/tokenFile.ts';
import type { BatchLayout } from '../model/wholeRows.ts';
import { batchFeeds, batchFromFile, rowLengths, type Batch } from './batches.ts';
import { RoutingMean } from './routing.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/** What an evaluation finds; null where there was nothing to score, or no expert to watch. */
export interface Evaluation {
  metric: Omit<EvalMetric, 'step'> | null;
  routing: Omit<RouterRecord, 'step'> | null;
}

/**
 * Held-out loss: the mean over all labels of the first `heldOutRows` rows, without dropout. Rows weigh by their labels.
 * @param spare batches whose routing is watched where no row is held out
 */
export function evaluateHeldOut(
  { session, routing }: Pick<TrainingGraph, 'session' | 'routing'>,
  rows: TokenFileReader | null,
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
    return { metric: null, routing: mean?.result() ?? null };
  }
  let [lossSum, labelled] = [0, 0];
  const numbers = Array.from({ length: count }, (_, row) => row);
  const packs = config.packing
    ? packRows(rowLengths(rows), numbers, layout.tokens)
    : numbers.map((row) => [row]);
  for (let first = 0; first < packs.length; first += layout.batch) {
    const batch = batchFromFile(packs.slice(first, first + layout.batch), rows, layout);
    for (const loss of score(batch)) lossSum += loss;
    labelled += batch.labelled;
  }
  const metric = labelled === 0 ? null : { loss: lossSum / labelled, rows: count, tokens: labelled };
  return { metric, routing: mean?.result() ?? null };
}
