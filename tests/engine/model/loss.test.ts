import { expect, it } from 'vitest';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import { multiply } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import type { HeadConfig } from '../../../src-main/engine/model/head.ts';
import { trainingLoss } from '../../../src-main/engine/model/loss.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

const { tf } = loadTensorflow();
const [rows, size, vocabulary] = [11, 6, 9];

function values(count: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: count }, () => random.next() - 0.5);
}

const labels = Int32Array.from({ length: rows }, (_, i) => (i % 4 === 1 ? -1 : (i * 5) % vocabulary));

const plain = { logitScale: 1, finalSoftcap: null };
const capped = { logitScale: 0.5, finalSoftcap: 0.3 };

async function lossAndGradients(rowsPerChunk: number, config: HeadConfig) {
  const graph = new Graph({ fusion: false });
  const hidden = graph.placeholder('hidden', [rows, size], 'f32');
  const head = graph.placeholder('head', [vocabulary, size], 'f32');
  const fedLabels = graph.placeholder('labels', [rows], 'i32');
  const { lossSum, hiddenGradient, headGradient } = trainingLoss(
    hidden,
    head,
    fedLabels,
    graph.constant(0.5),
    config,
    {
      headGradient: true,
      rowsPerChunk,
    },
  );
  const outputs: Record<string, Tensor> = { lossSum, hiddenGradient, headGradient: headGradient! };
  const session = await openSession(tf, graph, {
    f: { inputs: { hidden, head, labels: fedLabels }, outputs },
  });
  const at = (h: Float32Array, w: Float32Array) => session.run('f', { hidden: h, head: w, labels });
  return { at, session };
}

it.each([
  ['plain', plain],
  ['scaled and capped', capped],
])(
  '%s logits: chunks give the loss and the gradients of the whole, which equal finite differences',
  async (_, config) => {
    const [h, w] = [values(rows * size, 1), values(vocabulary * size, 2)];
    const whole = await lossAndGradients(rows, config);
    const chunked = await lossAndGradients(4, config);
    const [expected, actual] = [whole.at(h, w), chunked.at(h, w)];
    for (const name of ['lossSum', 'hiddenGradient', 'headGradient'])
      actual[name]!.forEach((value, i) => expect(value, name).toBeCloseTo(expected[name]![i]!, 5));

    for (let i = 0; i < w.length; i += 7) {
      const shifted = (by: number) =>
        chunked.at(
          h,
          w.map((value, j) => (j === i ? value + by : value)),
        )['lossSum']![0]!;
      const slope = (0.5 * (shifted(1e-2) - shifted(-1e-2))) / 2e-2;
      expect(actual['headGradient']![i]!).toBeCloseTo(slope, 3);
    }
    whole.session.close();
    chunked.session.close();
  },
);

it.each([
  ['on a processor', { device: 'cpu' }, 24],
  ['on a card', { device: 'gpu' }, 2],
  ['as a run was planned', { device: 'gpu', parts: { queryBlock: 1, logitElements: 2 ** 24 } }, 6],
] as const)('%s the logits are made in so many parts: %#', (_, options, parts) => {
  const graph = new Graph({ fusion: false, ...options });
  const [rows, words] = [1000, 2 ** 17 - 2 ** 16 + 2 ** 15];
  const hidden = graph.placeholder('hidden', [rows, size], 'f32');
  const head = graph.placeholder('head', [words, size], 'f32');
  const label = graph.placeholder('labels', [rows], 'i32');
  trainingLoss(hidden, head, label, graph.constant(1), plain, { headGradient: false });
  const count = (op: string) => graph.main.nodes.filter((node) => node.op === op).length;
  expect(count('SparseSoftmaxCrossEntropyWithLogits')).toBe(parts);
  // Which positions have a label is asked once.
  expect(count('GreaterEqual')).toBe(1);
});

it('a frozen head gets no gradient, and a head gradient adds to that of another use of the same weight', () => {
  const graph = new Graph({ fusion: false });
  const weight = graph.placeholder('weight', [vocabulary, size], 'f32');
  const hidden = multiply(graph.placeholder('hidden', [rows, size], 'f32'), graph.constant(2));
  const label = graph.placeholder('labels', [rows], 'i32');
  const frozen = trainingLoss(hidden, weight, label, graph.constant(1), plain, { headGradient: false });
  expect(frozen.headGradient).toBeNull();
  expect(gradients([hidden], [frozen.hiddenGradient], [weight])).toEqual([null]);
});
