import type { EvalMetric } from '../../contract/entities.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { packRows } from '../../data/packing.ts';
import type { TokenFileReader } from '../../formats/tokenFile.ts';
import type { BatchLayout } from '../model/wholeRows.ts';
import { batchFeeds, batchFromFile, rowLengths } from './batches.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/**
 * Held-out loss: the mean over all labels of the first `heldOutRows` rows, without dropout. Rows weigh by their labels.
 * @returns null where there is nothing to score
 */
export function heldOutLoss(
  { session }: Pick<TrainingGraph, 'session'>,
  rows: TokenFileReader | null,
  config: Pick<TrainConfig, 'heldOutRows' | 'packing'>,
  layout: BatchLayout,
): Omit<EvalMetric, 'step'> | null {
  const count = Math.min(rows?.rowCount ?? 0, config.heldOutRows);
  if (!rows || count === 0) return null;
  let [lossSum, labelled] = [0, 0];
  const numbers = Array.from({ length: count }, (_, row) => row);
  const packs = config.packing
    ? packRows(rowLengths(rows), numbers, layout.tokens)
    : numbers.map((row) => [row]);
  for (let first = 0; first < packs.length; first += layout.batch) {
    const batch = batchFromFile(packs.slice(first, first + layout.batch), rows, layout);
    const scores = session.run('score', batchFeeds(batch));
    for (const loss of scores['loss']!) lossSum += loss;
    labelled += batch.labelled;
  }
  return labelled === 0 ? null : { loss: lossSum / labelled, rows: count, tokens: labelled };
}
