import type { SourceLoss } from '../../contract/runRecords.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { seedFrom } from '../../statistics/random.ts';
import type { HostArray } from '../graph/session.ts';
import { addBySource, batchFeeds, type Batch, type LossSum } from '../model/batches.ts';
import type { TrainingGraph } from './trainingGraph.ts';

export interface StepResult {
  /** Mean negative log-likelihood per label, nats. */
  loss: number;
  /** Global L2 norm before clipping. */
  gradNorm: number;
  /** False where loss or norm were not finite: nothing has changed then. */
  applied: boolean;
  /** Of the sources that the step had labels of; empty where the graph tells no losses of positions. */
  sources: SourceLoss[];
}

/**
 * Runs one optimizer step.
 * @param batches its forward passes: one, or up to `accumulate`
 * @param at `step` decides dropout; `update` counts the updates, this one included; `learningRate` is the step's
 */
export function optimizerStep(
  { session, optimizer, suffixOf }: Pick<TrainingGraph, 'session' | 'optimizer' | 'suffixOf'>,
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
  const sources = createSourceSums();
  if (config.accumulate === 1) {
    const batch = batches[0]!;
    const out = session.run(`step${suffixOf(batch)}`, { ...fed(batch, 0), ...scalars });
    sources.add(batch, out.losses);
    return {
      loss: out.lossSum[0]! / labelled,
      gradNorm: out.gradNorm[0]!,
      applied: out.applied[0] === 1,
      sources: sources.losses(),
    };
  }
  let lossSum = 0;
  batches.forEach((batch, part) => {
    const out = session.run(`accumulate${suffixOf(batch)}`, fed(batch, part));
    lossSum += out.lossSum[0]!;
    sources.add(batch, out.losses);
  });
  const out = session.run('apply', { ...scalars, wholeLoss: Float32Array.of(lossSum) });
  return {
    loss: lossSum / labelled,
    gradNorm: out.gradNorm[0]!,
    applied: out.applied[0] === 1,
    sources: sources.losses(),
  };
}

/** Adds up the losses of a step's labels by the source that they come from. */
function createSourceSums() {
  const sums = new Map<number, LossSum>();
  return {
    /** @param losses of each label's place; absent: nothing is told of sources */
    add(batch: Batch, losses: HostArray | undefined): void {
      if (losses) addBySource(sums, batch, losses);
    },
    /** In the order of the mix. */
    losses: (): SourceLoss[] =>
      [...sums]
        .sort(([a], [b]) => a - b)
        .map(([source, { lossSum, tokens }]) => ({ source, loss: lossSum / tokens, tokens })),
  };
}
