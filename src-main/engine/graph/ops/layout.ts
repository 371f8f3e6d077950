import { elementCount } from '../dtype.ts';
import { sameShape, typeAttribute, type Shape, type Tensor } from '../graph.ts';

/** The same elements in another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (elementCount(x.shape) !== elementCount(shape))
    throw new Error(`reshape: [${x.shape.join()}] has not as many elements as [${shape.join()}]`);
  const [out] = x.graph.addOperation({
    op: 'Reshape',
    inputs: [x, x.graph.constant(shape, 'i32')],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute('i32', 'Tshape') },
    outputs: [{ shape, dtype: x.dtype }],
    gradient: ([dy]) => [reshape(dy!, x.shape), null],
  });
  return out!;
}

/** Axis i of the result is axis permutation[i] of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const inverse = permutation.map((_, i) => permutation.indexOf(i));
  const [out] = x.graph.addOperation({
    op: 'Transpose',
    inputs: [x, x.graph.constant(permutation, 'i32')],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute('i32', 'Tperm') },
    outputs: [{ shape: permutation.map((axis) => x.shape[axis]!), dtype: x.dtype }],
    gradient: ([dy]) => [transpose(dy!, inverse), null],
  });
  return out!;
}

/** `size` elements along one axis, from `begin`. */
export function sliceAxis(x: Tensor, axis: number, begin: number, size: number): Tensor {
  const length = x.shape[axis]!;
  if (begin === 0 && size === length) return x;
  if (begin < 0 || size < 1 || begin + size > length)
    throw new Error(`slice ${begin}+${size} lies outside axis ${axis} of [${x.shape.join()}]`);
  const shape = x.shape.map((n, i) => (i === axis ? size : n));
  const begins = x.shape.map((_, i) => (i === axis ? begin : 0));
  const [out] = x.graph.addOperation({
    op: 'Slice',
    inputs: [x, x.graph.constant(begins, 'i32'), x.graph.constant(shape, 'i32')],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute('i32', 'Index') },
    outputs: [{ shape, dtype: x.dtype }],
    gradient: ([dy]) => [padAxis(dy!, axis, begin, length - begin - size), null, null],
  });
  return out!;
}

/** Zeros before and behind along one axis. */
export function padAxis(x: Tensor, axis: number, before: number, behind: number): Tensor {
  if (before + behind === 0) return x;
  const paddings = x.shape.flatMap((_, i) => (i === axis ? [before, behind] : [0, 0]));
  const [out] = x.graph.addOperation({
    op: 'Pad',
    inputs: [x, x.graph.constant(paddings, 'i32', [x.shape.length, 2])],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute('i32', 'Tpaddings') },
    outputs: [
      { shape: x.shape.map((size, i) => (i === axis ? size + before + behind : size)), dtype: x.dtype },
    ],
    gradient: ([dy]) => [sliceAxis(dy!, axis, before, x.shape[axis]!), null],
  });
  return out!;
}

/** Joins tensors along an axis. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (!first) throw new Error('concat needs at least one part');
  if (parts.length === 1) return first;
  const total = parts.reduce((sizeSoFar, part) => sizeSoFar + part.shape[axis]!, 0);
  const [out] = first.graph.addOperation({
    op: 'ConcatV2',
    inputs: [...parts, first.graph.constant(axis, 'i32')],
    attributes: {
      ...typeAttribute(first.dtype),
      ...typeAttribute('i32', 'Tidx'),
      N: { kind: 'int', value: parts.length },
    },
    outputs: [{ shape: first.shape.map((size, i) => (i === axis ? total : size)), dtype: first.dtype }],
    gradient: ([dy], wanted) => {
      let at = 0;
      const pieces = parts.map((part, i) => {
        const begin = at;
        at += part.shape[axis]!;
        return wanted[i] ? sliceAxis(dy!, axis, begin, part.shape[axis]!) : null;
      });
      return [...pieces, null];
    },
  });
  return out!;
}

/** Repeats x along broadcast axes. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const [out] = x.graph.addOperation({
    op: 'BroadcastTo',
    inputs: [x, x.graph.constant(shape, 'i32')],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute('i32', 'Tidx') },
    outputs: [{ shape, dtype: x.dtype }],
  });
  return out!;
}

/**
 * Entries of `x` along `axis` at `indices`: result shape x.shape[..axis] + indices.shape + x.shape[axis+1..].
 * Rows (axis 0) have a gradient, the sum over the places where each was taken. Other axes have none: a caller gives a
 * cheaper one than a scatter by `withGradient`.
 */
export function gather(x: Tensor, indices: Tensor, axis: number): Tensor {
  const [out] = x.graph.addOperation({
    op: 'GatherV2',
    inputs: [x, indices, x.graph.constant(axis, 'i32')],
    attributes: {
      ...typeAttribute(x.dtype, 'Tparams'),
      ...typeAttribute(indices.dtype, 'Tindices'),
      ...typeAttribute('i32', 'Taxis'),
      batch_dims: { kind: 'int', value: 0 },
    },
    outputs: [
      { shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], dtype: x.dtype },
    ],
    gradient:
      axis === 0
        ? ([dy], wanted) => [wanted[0] ? sumByIndex(dy!, indices, x.shape[0]!) : null, null, null]
        : null,
  });
  return out!;
}

/**
 * Rows of an i8 matrix [count, width]. They are taken as words of four: TensorFlow has no kernel that gathers bytes on
 * a GPU, and would copy the whole matrix to the host for a few rows. No model has a width that is not made of whole
 * words; one that had it would be gathered on the host.
 */
export function gatherByteRows(matrix: Tensor, indices: Tensor): Tensor {
  const [count, width] = [matrix.shape[0]!, matrix.shape[1]!];
  if (width % 4 !== 0) return gather(matrix, indices, 0);
  const words = bitcast(reshape(matrix, [count, width / 4, 4]), 'f32', [count, width / 4]);
  const rows = gather(words, indices, 0);
  return reshape(bitcast(rows, matrix.dtype, [...rows.shape, 4]), [...indices.shape, width]);
}

/**
 * Sums rows that have the same index: out[i] = sum of values[j] over indices[j] = i; 0 where there is none.
 * TensorFlow's UnsortedSegmentSum: it has kernels on the GPU, in bf16 too, and on the CPU it adds in the order of j.
 * @param values [...indices.shape, ...rest]
 * @param indices i32, each below `count`
 * @returns [count, ...rest]
 */
export function sumByIndex(values: Tensor, indices: Tensor, count: number): Tensor {
  const [out] = values.graph.addOperation({
    op: 'UnsortedSegmentSum',
    inputs: [values, indices, values.graph.constant(count, 'i32')],
    attributes: {
      ...typeAttribute(values.dtype),
      ...typeAttribute(indices.dtype, 'Tindices'),
      ...typeAttribute('i32', 'Tnumsegments'),
    },
    outputs: [{ shape: [count, ...values.shape.slice(indices.shape.length)], dtype: values.dtype }],
  });
  return out!;
}

/** Same bits, another type of the same width. */
export function bitcast(x: Tensor, dtype: Tensor['dtype'], shape: Shape): Tensor {
  const [out] = x.graph.addOperation({
    op: 'Bitcast',
    inputs: [x],
    attributes: { ...typeAttribute(x.dtype), ...typeAttribute(dtype, 'type') },
    outputs: [{ shape, dtype }],
  });
  return out!;
}
