import { typeAttribute, type Shape, type Tensor } from '../graph.ts';
import type { Attribute } from '../nodes.ts';
import { broadcastTo, reshape } from './layout.ts';

function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims
    ? shape.map((size, i) => (axes.includes(i) ? 1 : size))
    : shape.filter((_, i) => !axes.includes(i));
}

/** A reduction over axes (negative ones count from the end). */
export function reduce(
  op: string,
  x: Tensor,
  axes: readonly number[],
  keepDims: boolean,
  gradient: ((dy: Tensor) => Tensor) | null,
): Tensor {
  const positive = axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  const attributes: Record<string, Attribute> = {
    ...typeAttribute(x.dtype),
    ...typeAttribute('i32', 'Tidx'),
    keep_dims: { kind: 'bool', value: keepDims },
  };
  const [out] = x.graph.addOperation({
    op,
    inputs: [x, x.graph.constant(positive, 'i32')],
    attributes,
    outputs: [{ shape: reducedShape(x.shape, positive, keepDims), dtype: x.dtype }],
    gradient: gradient && (([dy]) => [gradient(reshape(dy!, reducedShape(x.shape, positive, true))), null]),
  });
  return out!;
}

/** Sum over axes (negative ones count from the end). */
export function sum(x: Tensor, axes: readonly number[], keepDims = false): Tensor {
  return reduce('Sum', x, axes, keepDims, (dy) => broadcastTo(dy, x.shape));
}

/** Greatest value over axes; no gradient. */
export function max(x: Tensor, axes: readonly number[], keepDims = false): Tensor {
  return reduce('Max', x, axes, keepDims, null);
}

/** Index of the greatest value along one axis, as i32. */
export function argMax(x: Tensor, axis: number): Tensor {
  const positive = axis < 0 ? axis + x.shape.length : axis;
  const [out] = x.graph.addOperation({
    op: 'ArgMax',
    inputs: [x, x.graph.constant(positive, 'i32')],
    attributes: {
      ...typeAttribute(x.dtype),
      ...typeAttribute('i32', 'Tidx'),
      ...typeAttribute('i32', 'output_type'),
    },
    outputs: [{ shape: reducedShape(x.shape, [positive], false), dtype: 'i32' }],
  });
  return out!;
}

/** Half the sum of all squares, a scalar, without a tensor of squares; no gradient. */
export function halfSquareSum(x: Tensor): Tensor {
  const [out] = x.graph.addOperation({
    op: 'L2Loss',
    inputs: [x],
    attributes: typeAttribute(x.dtype),
    outputs: [{ shape: [], dtype: x.dtype }],
  });
  return out!;
}
