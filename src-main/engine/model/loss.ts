import { elementCount } from '../graph/dtype.ts';
import { fusedWithoutGradient } from '../graph/fused.ts';
import { gradients as derive } from '../graph/gradients.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  add,
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
import { finalLogits, headLogits, headProduct, throughHead, type HeadConfig } from './head.ts';

/** Positions whose logits exist at a time: never those of the whole batch. */
function rowsPerChunk({ parts }: Graph, rows: number, vocabulary: number): number {
  return Math.max(1, Math.min(rows, Math.floor(parts.logitElements / vocabulary)));
}

/** Labels of positions, f32: integers would have to lie on the host when there is a GPU. Exact below 2^24. */
interface Labels {
  /** 0 where there is none. */
  labels: Tensor;
  /** 1 where a label exists. */
  weights: Tensor;
}

/** Made once for all chunks. @param given i32 [rows]; -1: no label @returns those of a chunk */
function chunked(given: Tensor): (begin: number, rows: number) => Labels {
  const wide = cast(given, 'f32');
  const zero = scalarLike(wide, 0);
  const [labels, weights] = [maximum(wide, zero), cast(greaterEqual(wide, zero), 'f32')];
  return (begin, rows) => ({
    labels: sliceAxis(labels, 0, begin, rows),
    weights: sliceAxis(weights, 0, begin, rows),
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
 * @returns L (f32 scalar) and its terms, f32 [rows], 0 where there is no label; d(c L)/dh [rows, size] and, where asked
 * for, d(c L)/dW [vocabulary, size] in f32
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
  losses: Tensor;
} {
  const graph = hidden.graph;
  const [rows, vocabulary] = [hidden.shape[0]!, head.shape[0]!];
  const step = options.rowsPerChunk ?? rowsPerChunk(graph, rows, vocabulary);
  const { dtype } = hidden;
  const labelsOf = chunked(labels);
  const kind = `chunk_loss_${config.logitScale}_${config.finalSoftcap}`;
  const terms: Tensor[] = [];
  const gradients: Tensor[] = [];
  let headGradient: Tensor | null = null;
  for (let begin = 0; begin < rows; begin += step) {
    const previous = [gradients.at(-1), headGradient].filter((tensor) => tensor != null);
    graph.after(previous, () => {
      const count = Math.min(step, rows - begin);
      const chunk = sliceAxis(hidden, 0, begin, count);
      const product = headProduct(chunk, head);
      const own = labelsOf(begin, count);
      const [chunkTerms, logitGradient] = fusedWithoutGradient(
        kind,
        [product, own.labels, own.weights, lossScale],
        ([raw, ids, weights, factor]) => {
          const wide = cast(raw!, 'f32');
          const logits = finalLogits(wide, config);
          const { loss, backprop } = sparseCrossEntropy(logits, cast(ids!, 'i32'));
          const masked = multiply(backprop, reshape(multiply(weights!, factor!), [count, 1]));
          const [arriving] = derive([logits], [masked], [wide]);
          return [multiply(loss, weights!), cast(arriving!, dtype)];
        },
      );
      terms.push(chunkTerms!);
      gradients.push(throughHead(logitGradient!, head));
      if (!options.headGradient) return;
      const part = cast(matmul(logitGradient!, chunk, { transposeX: true }), 'f32');
      headGradient = headGradient ? add(headGradient, part) : part;
    });
  }
  const losses = concat(terms, 0);
  return {
    lossSum: sum(losses, [0]),
    hiddenGradient: concat(gradients, 0),
    headGradient,
    losses,
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
  const labelsOf = chunked(labels);
  const parts: { loss: Tensor; missed: Tensor }[] = [];
  for (let begin = 0; begin < rows; begin += step) {
    const previous = parts.at(-1);
    parts.push(
      graph.after(previous ? [previous.loss, previous.missed] : [], () => {
        const count = Math.min(step, rows - begin);
        const logits = headLogits(sliceAxis(hidden, 0, begin, count), head, config);
        const own = labelsOf(begin, count);
        const ids = cast(own.labels, 'i32');
        const { loss } = sparseCrossEntropy(logits, ids);
        const hit = cast(equal(argMax(logits, 1), ids), 'f32');
        return {
          loss: multiply(loss, own.weights),
          missed: multiply(subtract(scalarLike(hit, 1), hit), own.weights),
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
