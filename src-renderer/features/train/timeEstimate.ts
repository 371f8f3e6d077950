import type { Dataset, Model, Run, StepMetric } from '../../../src-main/contract/entities.ts';
import type { TrainConfig } from '../../../src-main/contract/training.ts';

/** What is planned: a configuration on a dataset, with a known number of steps. */
export interface PlannedRun {
  config: TrainConfig;
  model: Model;
  dataset: Dataset;
  steps: number;
}

/** The finished run of the same model and method that says most about a planned one: on the same data, as long rows, the newest. */
export function similarRun(runs: readonly Run[], { config, model, dataset }: PlannedRun): Run | null {
  const known = runs.filter(
    (run) =>
      run.state === 'done' &&
      run.modelId === model.id &&
      run.config.adapter.method === config.adapter.method &&
      run.config.precision === config.precision &&
      run.dataContract !== null &&
      run.step > 0,
  );
  const likeness = (run: Run) =>
    2 * Number(run.datasetId === dataset.id) + Number(run.config.context === config.context);
  return known.sort((a, b) => likeness(b) - likeness(a) || (a.createdAt < b.createdAt ? 1 : -1))[0] ?? null;
}

/**
 * Milliseconds that a planned run will take, from the speed of a finished one: its median tokens a second, and the tokens that a step of
 * the planned run has. Evaluations and checkpoints are not in it. Null where the finished run has no speed.
 */
export function estimatedMs(
  planned: PlannedRun,
  run: Run,
  metrics: readonly Pick<StepMetric, 'tokensPerSecond'>[],
): number | null {
  const speeds = metrics.map(({ tokensPerSecond }) => tokensPerSecond).sort((a, b) => a - b);
  const speed = speeds[Math.floor(speeds.length / 2)];
  const data = run.dataContract;
  if (speed === undefined || speed <= 0 || !data || data.trainRows === 0) return null;
  const { config, dataset, steps } = planned;
  // Rows of another dataset: about four characters a token, as in most English text.
  const { promptCharactersMean, answerCharactersMean } = dataset.statistics;
  const tokens =
    run.datasetId === dataset.id
      ? data.tokens / data.trainRows
      : (promptCharactersMean + answerCharactersMean) / 4;
  const rowTokens = config.packing ? config.context : Math.min(config.context, tokens);
  const stepTokens = config.batch * config.accumulate * rowTokens;
  return (1000 * steps * stepTokens) / speed;
}
