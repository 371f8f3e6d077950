import type { EvalMetric } from '../../contract/entities.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { TokenFileReader } from '../../formats/tokenFile.ts';
import { layOutBatch } from './batches.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/**
 * Held-out loss: the mean over all labels of the first `heldOutRows` rows, without dropout. Rows weigh by their labels.
 * @returns null where there is nothing to score
 */
export function heldOutLoss(
  { session }: Pick<TrainingGraph, 'session'>,
  rows: TokenFileReader | null,
  config: Pick<TrainConfig, 'heldOutRows'>,
  layout: { batch: number; tokens: number },
): Omit<EvalMetric, 'step'> | null {
  const count = Math.min(rows?.rowCount ?? 0, config.heldOutRows);
  if (!rows || count === 0) return null;
  let [lossSum, labelled] = [0, 0];
  for (let first = 0; first < count; first += layout.batch) {
    const numbers = Array.from({ length: Math.min(layout.batch, count - first) }, (_, i) => first + i);
    const batch = layOutBatch(
      numbers.map((n) => rows.row(n)),
      layout.batch,
      layout.tokens,
    );
    const scores = session.run('score', {
      ids: batch.ids,
      labels: batch.labels,
      tasks: batch.tasks,
    });
    for (const loss of scores['loss']!) lossSum += loss;
    labelled += batch.labelled;
  }
  return labelled === 0 ? null : { loss: lossSum / labelled, rows: count, tokens: labelled };
}
