import { expect, it } from 'vitest';
import { benchTraining } from '../../../src-main/engine/bench/trainingBench.ts';
import type { BenchRequest } from '../../../src-main/engine/benchProtocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { timedShapes } from '../../card/trainingCases.ts';
import { computeBehindPages } from '../../support/trainingRun.ts';

const shape = timedShapes['tiny']!;

function bench(changes: Partial<BenchRequest>) {
  computeBehindPages();
  const request: BenchRequest = {
    kind: 'bench',
    shape,
    method: 'lora',
    rank: 4,
    batch: 2,
    tokens: 64,
    precision: 'bf16',
    gradientCheckpointing: false,
    steps: 1,
    ...changes,
  };
  return benchTraining(request, {
    tf: loadTensorflow().tf,
    fusion: false,
    emit: () => undefined,
    stopRequested: async () => null,
  });
}

it.each<[string, Partial<BenchRequest>]>([
  ['rows that fill the context', {}],
  ['packed examples', { packing: true }],
  // Its embedding stays outside the session.
  ['a base in 4 bits', { loadIn4bit: true }],
  [
    'a base in 4 bits whose head is its embedding',
    { loadIn4bit: true, shape: { ...shape, tieEmbeddings: true } },
  ],
  [
    'packed on a base in 4 bits with pivots that are chosen',
    { loadIn4bit: true, packing: true, method: 'idlora', clusters: 2, pivots: 'pmrc' },
  ],
])('times steps of %s', async (_, changes) => {
  const { losses, base, trainable, secondsPerStep, loadSeconds, prepareSeconds } = await bench(changes);
  // Of random weights: ln V, and half the variance of the logits.
  const logitVariance = shape.hiddenSize * 0.02 ** 2;
  expect(losses.first).toBeCloseTo(Math.log(shape.vocabularySize) + logitVariance / 2, 1);
  expect(losses.last).not.toBe(losses.first);
  const { hiddenSize, vocabularySize, layers } = shape;
  const embeddings = (changes.shape?.tieEmbeddings ? 1 : 2) * vocabularySize * hiddenSize;
  const layer = 2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 256 + 2 * hiddenSize;
  expect(base).toBe(embeddings + layers * layer + hiddenSize);
  expect(trainable).toBeGreaterThan(0);
  expect(secondsPerStep.minimum).toBeGreaterThan(0);
  expect(prepareSeconds).toBeLessThanOrEqual(loadSeconds);
});
