import { expect, it } from 'vitest';
import type { Precision } from '../../src-main/contract/training.ts';
import { layOutBatch } from '../../src-main/engine/model/batches.ts';
import { optimizerStep } from '../../src-main/engine/training/optimizerStep.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import {
  openParityCase,
  parityCase,
  parityCases,
  type ParityCase,
  type RecordedCurve,
} from '../support/parity/parityCase.ts';

const withCurve = parityCases.filter(({ curve }) => curve !== undefined);

/** Greatest relative errors of losses and gradient norms over the recorded steps on the case's batch. */
async function follow(known: ParityCase, { train, losses, norms }: RecordedCurve, precision: Precision) {
  const { graph, batch, config } = await openParityCase(known, { precision, train });
  expect(losses.length).toBe(100);
  const worst = { loss: 0, norm: 0 };
  losses.forEach((loss, i) => {
    const at = { step: i + 1, update: i + 1, learningRate: config.learningRate };
    const step = optimizerStep(graph, config, [batch], at);
    worst.loss = Math.max(worst.loss, Math.abs(step.loss / loss - 1));
    worst.norm = Math.max(worst.norm, Math.abs(step.gradNorm / norms[i]! - 1));
  });
  graph.session.close();
  return worst;
}

it.each(withCurve)('$name: 100 steps follow PyTorch in f32', async (known) => {
  const worst = await follow(known, known.curve!, 'f32');
  expectWithin('loss curve', known.name, worst.loss);
  expectWithin('norm curve', known.name, worst.norm);
});

it.each(withCurve)('$name: 100 steps follow PyTorch in bf16', async (known) => {
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
