import type { TrainConfig } from '../../contract/training.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import { passOf, sumLayers, usualPlace, type PassPlace } from './pass.ts';

export interface StepWork {
  /** Floating-point operations of the matrix products of one optimizer step. */
  flops: number;
  /** Of those, what a forward pass takes: an evaluation does only that. */
  forwardFlops: number;
}

/**
 * Work of one optimizer step: the layers forward and backward (forward twice where activations are computed again), and
 * the output head with the gradient of its input. About 4 N operations a token for N frozen parameters, 6 N where they
 * are trained.
 *
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function stepWork(
  shape: ModelShape,
  config: TrainConfig,
  layout: BatchLayout,
  place: PassPlace = usualPlace('cpu', config),
): StepWork {
  const pass = passOf(shape, config, layout, place);
  const isFull = config.adapter.method === 'full';
  const { batch, tokens, labels = batch * tokens } = layout;
  const head = 2 * labels * shape.hiddenSize * shape.vocabularySize;
  const forward = sumLayers(pass, ({ flops }) => flops.forward);
  const backward = sumLayers(pass, ({ flops }) => flops.backward);
  const again = config.gradientCheckpointing ? forward : 0;
  const forwardFlops = config.accumulate * (forward + head);
  return {
    flops: forwardFlops + config.accumulate * (again + backward + head * (isFull ? 2 : 1)),
    forwardFlops,
  };
}

/** What a run's time consists of, in seconds. */
export interface RunTime {
  /** Until the first step is done: starting the engine, loading weights, compiling. */
  start: number;
  steps: number;
  evaluations: number;
  seconds: number;
}

/**
 * Time of a whole run from the speed of its steps. Checkpoints, pivots and answers to sample prompts are not in it.
 * @param heldOutRows rows that are scored at each evaluation
 */
export function runTime(
  config: TrainConfig,
  work: StepWork,
  given: { steps: number; secondsPerStep: number; startSeconds: number; heldOutRows: number },
): RunTime {
  const { steps, secondsPerStep, startSeconds, heldOutRows } = given;
  const evaluations =
    heldOutRows === 0
      ? 0
      : (config.evalEvery > 0 ? Math.floor(steps / config.evalEvery) : 0) +
        (config.evalEvery > 0 && steps % config.evalEvery === 0 ? 0 : 1);
  // A step holds `accumulate` forward passes, and an evaluation takes one for each batch of rows.
  const onePass = (secondsPerStep * work.forwardFlops) / work.flops / config.accumulate;
  const evaluationSeconds = evaluations * Math.ceil(heldOutRows / config.batch) * onePass;
  const stepSeconds = Math.max(0, steps - 1) * secondsPerStep;
  return {
    start: startSeconds,
    steps: stepSeconds,
    evaluations: evaluationSeconds,
    seconds: startSeconds + stepSeconds + evaluationSeconds,
  };
}
