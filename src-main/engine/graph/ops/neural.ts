import { elementCount } from '../dtype.ts';
import { typeAttribute, type Shape, type Tensor } from '../graph.ts';
import { cast, divide, exp, multiply, scale, subtract } from './elementwise.ts';
import { broadcastTo, reshape } from './layout.ts';
import { max, reduce, sum } from './reduce.ts';

/**
 * Softmax over the last axis, computed in f32 whatever the type of x: p_j = exp(x_j - max x) / sum exp.
 * Inside a fused function it is written out, so that XLA merges it with its neighbours; outside, TensorFlow's kernel.
 */
export function softmax(x: Tensor): Tensor {
  const wide = cast(x, 'f32');
  const axis = wide.shape.length - 1;
  if (x.graph.fusion) {
    const shifted = exp(subtract(wide, max(wide, [axis], true)));
    const p = divide(shifted, sum(shifted, [axis], true));
    return wide.graph.withGradient([wide], [p], ([dp]) => [softmaxGradient(p, dp!)])[0]!;
  }
  const width = wide.shape[axis]!;
  const rows = elementCount(wide.shape) / width;
  const flat = wide.graph.withGradient([], [reshape(wide, [rows, width])], () => [])[0]!;
  const [out] = wide.graph.addOperation({
    op: 'Softmax',
    inputs: [flat],
    attributes: typeAttribute('f32'),
    outputs: [{ shape: flat.shape, dtype: 'f32' }],
  });
  const p = reshape(out!, wide.shape);
  return wide.graph.withGradient([wide], [p], ([dp]) => [softmaxGradient(p, dp!)])[0]!;
}

/** dx = p (dp - sum_j p_j dp_j) */
function softmaxGradient(p: Tensor, dp: Tensor): Tensor {
  const weighted = multiply(p, dp);
  return subtract(weighted, multiply(p, sum(weighted, [p.shape.length - 1], true)));
}

/**
 * Cross entropy of each row against its label, with the gradient in the same operation.
 * @param logits [rows, classes], f32
 * @param labels [rows], i32, each in [0, classes)
 * @returns `loss` [rows] = -log p(label), and `backprop` [rows, classes] = p - onehot(label)
 */
export function sparseCrossEntropy(logits: Tensor, labels: Tensor): { loss: Tensor; backprop: Tensor } {
  const [loss, backprop] = logits.graph.addOperation({
    op: 'SparseSoftmaxCrossEntropyWithLogits',
    inputs: [logits, labels],
    attributes: { ...typeAttribute('f32'), ...typeAttribute('i32', 'Tlabels') },
    outputs: [
      { shape: labels.shape, dtype: 'f32' },
      { shape: logits.shape, dtype: 'f32' },
    ],
  });
  return { loss: loss!, backprop: backprop! };
}

/** Mean over axes. */
export function mean(x: Tensor, axes: readonly number[], keepDims = false): Tensor {
  return reduce('Mean', x, axes, keepDims, (dy) =>
    broadcastTo(scale(dy, elementCount(dy.shape) / elementCount(x.shape)), x.shape),
  );
}

/**
 * Uniform numbers in [0, 1), a pure function of the seed: the same seed gives the same numbers in every process.
 * @param seed i32 [2]
 */
export function statelessUniform(seed: Tensor, shape: Shape): Tensor {
  const [out] = seed.graph.addOperation({
    op: 'StatelessRandomUniform',
    inputs: [seed.graph.constant(shape, 'i32'), seed],
    attributes: {
      ...typeAttribute('f32', 'dtype'),
      ...typeAttribute('i32', 'T'),
      ...typeAttribute('i32', 'Tseed'),
    },
    outputs: [{ shape, dtype: 'f32' }],
  });
  return out!;
}
