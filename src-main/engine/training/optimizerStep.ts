import type { TrainConfig } from '../../contract/training.ts';
import { seedFrom } from '../seeds.ts';
import { batchFeeds, type Batch } from '../model/batches.ts';
import type { TrainingGraph } from './trainingGraph.ts';

export interface StepResult {
  /** Mean negative log-likelihood per label, nats. */
  loss: number;
  /** Global L2 norm before clipping. */
  gradNorm: number;
  /** False where loss or norm were not finite: nothing has changed then. */
  applied: boolean;
}

/**
 * Runs one optimizer step.
 * @param batches its forward passes: one, or up to `accumulate`
 * @param at `step` decides dropout; `update` counts the updates, this one included; `learningRate` is the step's
 */
export function optimizerStep(
  { session, optimizer }: Pick<TrainingGraph, 'session' | 'optimizer'>,
  config: Pick<TrainConfig, 'accumulate' | 'seed'>,
  batches: readonly Batch[],
  at: { step: number; update: number; learningRate: number },
): StepResult {
  const labelled = batches.reduce((total, batch) => total + batch.labelled, 0);
  const scalars = Object.fromEntries(
    Object.entries(optimizer.scalars(at.learningRate, at.update)).map(([name, value]) => [
      name,
      Float32Array.of(value),
    ]),
  );
  const fed = (batch: Batch, part: number) => ({
    ...batchFeeds(batch),
    seed: Int32Array.of(seedFrom(config.seed, 'dropout', at.step, part), at.step),
    lossScale: Float32Array.of(1 / Math.max(1, labelled)),
  });
  if (config.accumulate === 1) {
    const out = session.run('step', { ...fed(batches[0]!, 0), ...scalars });
    return {
      loss: out.lossSum[0]! / labelled,
      gradNorm: out.gradNorm[0]!,
      applied: out.applied[0] === 1,
    };
  }
  let lossSum = 0;
  batches.forEach((batch, part) => {
    lossSum += session.run('accumulate', fed(batch, part)).lossSum[0]!;
  });
  const out = session.run('apply', { ...scalars, wholeLoss: Float32Array.of(lossSum) });
  return { loss: lossSum / labelled, gradNorm: out.gradNorm[0]!, applied: out.applied[0] === 1 };
}
