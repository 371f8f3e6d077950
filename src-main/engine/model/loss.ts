import { deviceSizes } from '../../options/deviceSizes.ts';
import { elementCount } from '../graph/dtype.ts';
import { gradients as derive } from '../graph/gradients.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  equal,
  greaterEqual,
  maximum,
  multiply,
  scalarLike,
  subtract,
} from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { sparseCrossEntropy } from '../graph/ops/neural.ts';
import { argMax, sum } from '../graph/ops/reduce.ts';
import { finalLogits, headLogits, headProduct, type HeadConfig } from './head.ts';

/** Positions whose logits exist at a time: never those of the whole batch. */
function rowsPerChunk({ device }: Graph, rows: number, vocabulary: number): number {
  const { logitElements } = deviceSizes[device];
  return Math.max(1, Math.min(rows, Math.floor(logitElements / vocabulary)));
}

interface Chunk {
  hidden: Tensor;
  labels: Tensor;
  /** 1 where a label exists, f32. */
  weights: Tensor;
}

/** Labels and weights are made once for all chunks: on a card integers are compared by the host. */
function chunked(hidden: Tensor, labels: Tensor): (begin: number, rows: number) => Chunk {
  const zero = scalarLike(labels, 0);
  const whole = {
    hidden,
    labels: maximum(labels, zero),
    weights: cast(greaterEqual(labels, zero), 'f32'),
  };
  return (begin, rows) => ({
    hidden: sliceAxis(whole.hidden, 0, begin, rows),
    labels: sliceAxis(whole.labels, 0, begin, rows),
    weights: sliceAxis(whole.weights, 0, begin, rows),
  });
}

/**
 * Next-token loss for training: L = sum over labelled positions of -log softmax(z)_label, z = logits(W h), and its
 * gradient.
 *
 * Chunks run one after the other, each with its gradient at once, so that one chunk's logits exist at a time.
 *
 * @param hidden h [rows, size], compute type
 * @param head W [vocabulary, size], compute type
 * @param labels i32 [rows]; -1: no label
 * @param lossScale f32 scalar c; multiplied in before rounding to the compute type
 * @param options.rowsPerChunk positions whose logits exist at a time; absent: from the vocabulary
 * @param options.headGradient whether W is trained; its gradient is summed over the chunks in f32
 * @returns L (f32 scalar), d(c L)/dh [rows, size] and, where asked for, d(c L)/dW [vocabulary, size] in f32; a function
 * that adds the terms of L to the graph, f32 [rows], 0 where there is no label
 */
export function trainingLoss(
  hidden: Tensor,
  head: Tensor,
  labels: Tensor,
  lossScale: Tensor,
  config: HeadConfig,
  options: { headGradient: boolean; rowsPerChunk?: number },
): {
  lossSum: Tensor;
  hiddenGradient: Tensor;
  headGradient: Tensor | null;
  positionLosses: () => Tensor;
} {
  const graph = hidden.graph;
  const [rows, vocabulary] = [hidden.shape[0]!, head.shape[0]!];
  const step = options.rowsPerChunk ?? rowsPerChunk(graph, rows, vocabulary);
  const chunkOf = chunked(hidden, labels);
  const losses: Tensor[] = [];
  const terms: Tensor[] = [];
  const gradients: Tensor[] = [];
  let headGradient: Tensor | null = null;
  for (let begin = 0; begin < rows; begin += step) {
    const previous = [gradients.at(-1), headGradient].filter((tensor) => tensor != null);
    graph.after(previous, () => {
      const chunk = chunkOf(begin, Math.min(step, rows - begin));
      const product = headProduct(chunk.hidden, head);
      const logits = finalLogits(product, config);
      const { loss, backprop } = sparseCrossEntropy(logits, chunk.labels);
      const weighted = multiply(loss, chunk.weights);
      terms.push(weighted);
      losses.push(sum(weighted, [0]));
      const scales = multiply(chunk.weights, lossScale);
      const masked = multiply(backprop, reshape(scales, [scales.shape[0]!, 1]));
      const [arriving] = derive([logits], [masked], [product]);
      const logitGradient = cast(arriving!, hidden.dtype);
      gradients.push(matmul(logitGradient, head));
      if (!options.headGradient) return;
      const part = cast(matmul(logitGradient, chunk.hidden, { transposeX: true }), 'f32');
      headGradient = headGradient ? add(headGradient, part) : part;
    });
  }
  return {
    lossSum: addAll(losses),
    hiddenGradient: concat(gradients, 0),
    headGradient,
    positionLosses: () => concat(terms, 0),
  };
}

/**
 * Scores of labelled positions, without gradient.
 * @returns per position: `loss` = -log p(label), 0 where there is no label; `missed` = 1 where the label is not the
 * most likely token; both f32 [rows]
 */
export function positionScores(
  hidden: Tensor,
  head: Tensor,
  labels: Tensor,
  config: HeadConfig,
): { loss: Tensor; missed: Tensor } {
  const graph = hidden.graph;
  const rows = hidden.shape[0]!;
  const step = rowsPerChunk(graph, rows, head.shape[0]!);
  const chunkOf = chunked(hidden, labels);
  const parts: { loss: Tensor; missed: Tensor }[] = [];
  for (let begin = 0; begin < rows; begin += step) {
    const previous = parts.at(-1);
    parts.push(
      graph.after(previous ? [previous.loss, previous.missed] : [], () => {
        const chunk = chunkOf(begin, Math.min(step, rows - begin));
        const logits = headLogits(chunk.hidden, head, config);
        const { loss } = sparseCrossEntropy(logits, chunk.labels);
        const hit = cast(equal(argMax(logits, 1), chunk.labels), 'f32');
        return {
          loss: multiply(loss, chunk.weights),
          missed: multiply(subtract(scalarLike(hit, 1), hit), chunk.weights),
        };
      }),
    );
  }
  return {
    loss: concat(
      parts.map((part) => part.loss),
      0,
    ),
    missed: concat(
      parts.map((part) => part.missed),
      0,
    ),
  };
}

/** Sums of [batch * tokens] values per row of the batch. */
export function sumPerRow(values: Tensor, batch: number): Tensor {
  return sum(reshape(values, [batch, elementCount(values.shape) / batch]), [1]);
}
