import { solveRank } from '../../../../src-main/budget/solve.ts';
import type { Run } from '../../../../src-main/contract/entities.ts';
import type { Method, TrainConfig } from '../../../../src-main/contract/training.ts';
import { optionDefaults } from '../../../../src-main/options/trainingOptions.ts';
import type { ModelShape } from '../../../../src-main/shape/modelShape.ts';
import { methodSigns } from '../../../ui/methods.ts';
import { count } from '../../../ui/format.ts';

/** A configuration to compare a run with, and how it differs from the run's, in words. */
export interface SecondRun {
  config: TrainConfig;
  text: string;
}

/** LoRA stands against ID-LoRA, and ID-LoRA against everything else. */
function otherMethod(method: Method): Method {
  return method === 'idlora' ? 'lora' : 'idlora';
}

/**
 * The run's configuration with the other method, at the rank that comes closest to the run's trainable parameters
 * without exceeding them. All else stays: model, data, seed and steps decide a comparison, too.
 */
export function secondRun(run: Run, shape: ModelShape): SecondRun {
  const { adapter } = run.config;
  const method = otherMethod(adapter.method);
  const { rankPattern, alphaPattern } = optionDefaults;
  const other = { ...adapter, method, rankPattern, alphaPattern };
  const name = methodSigns[method].label;
  const at = (rank: number, text: string): SecondRun => ({
    config: { ...run.config, adapter: { ...other, rank, alpha: rank * (adapter.alpha / adapter.rank) } },
    text: `The form has the configuration of “${run.name}” with ${name}: ${text}.`,
  });
  // Full fine-tuning trains everything: no adapter is to have as many.
  if (adapter.method === 'full' || run.trainable === null)
    return at(optionDefaults.rank, `rank ${optionDefaults.rank}, all else as there`);
  const found = solveRank(shape, other, run.trainable);
  if (found.solution) {
    const { rank, count: counted } = found.solution;
    const budget = `${count(counted.trainable)} of its ${count(run.trainable)} trainable parameters`;
    return at(rank, `rank ${rank}, which is closest to as many (${budget})`);
  }
  const least = method === 'idlora' ? adapter.clusters : 1;
  return at(least, `even rank ${least} has more than its ${count(run.trainable)} trainable parameters`);
}
