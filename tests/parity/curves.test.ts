import { expect, it } from 'vitest';
import type { Precision } from '../../src-main/contract/training.ts';
import { layOutBatch } from '../../src-main/engine/model/batches.ts';
import { optimizerStep } from '../../src-main/engine/training/optimizerStep.ts';
import { isLive } from '../support/paths.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import {
  openParityCase,
  parityCase,
  parityCases,
  type ParityCase,
  type RecordedCurve,
} from '../support/parity/parityCase.ts';

/**
 * All recorded steps where they were computed a moment ago, and of the model that has a case of every method; of the
 * others, which differ in their layers and not in what accumulates from step to step, the first ones.
 */
const stepsOf = ({ model }: ParityCase) => (isLive || model === 'tiny-llama' ? 100 : 20);

const withCurve = parityCases
  .filter(({ curve }) => curve !== undefined)
  .map((known) => ({ ...known, steps: stepsOf(known) }));

/** Greatest relative errors of losses and gradient norms over the recorded steps on the case's batch. */
async function follow(
  known: ParityCase & { steps: number },
  { train, losses, norms }: RecordedCurve,
  precision: Precision,
) {
  const { graph, batch, config } = await openParityCase(known, { precision, train });
  expect(losses.length).toBe(100);
  const worst = { loss: 0, norm: 0 };
  losses.slice(0, known.steps).forEach((loss, i) => {
    const at = { step: i + 1, update: i + 1, learningRate: config.learningRate };
    const step = optimizerStep(graph, config, [batch], at);
    worst.loss = Math.max(worst.loss, Math.abs(step.loss / loss - 1));
    worst.norm = Math.max(worst.norm, Math.abs(step.gradNorm / norms[i]! - 1));
  });
  graph.session.close();
  return worst;
}

it.each(withCurve)('$name: $steps steps follow PyTorch in f32', async (known) => {
  const worst = await follow(known, known.curve!, 'f32');
  expectWithin('loss curve', known.name, worst.loss);
  expectWithin('norm curve', known.name, worst.norm);
});

it.each(withCurve)('$name: $steps steps follow PyTorch in bf16', async (known) => {
  const worst = await follow(known, known.curveBf16!, 'bf16');
  expectWithin('loss curve, bf16', known.name, worst.loss);
});

it('accumulation over single rows equals the whole batch, though rows have different numbers of labels', async () => {
  const known = parityCase('tiny-llama-lora');
  const { train, losses, norms } = known.curve!;
  const open = await openParityCase(known, { train: { ...train, accumulate: 3 }, batch: 1 });
  const { graph, rows, config, layout } = open;
  const batches = rows.map((row) => layOutBatch([row], 1, layout.tokens));
  for (let step = 1; step <= 5; step++) {
    const at = { step, update: step, learningRate: config.learningRate };
    const { loss, gradNorm } = optimizerStep(graph, config, batches, at);
    expect(Math.abs(loss / losses[step - 1]! - 1)).toBeLessThan(1e-3);
    expect(Math.abs(gradNorm / norms[step - 1]! - 1)).toBeLessThan(1e-3);
  }
  graph.session.close();
});
