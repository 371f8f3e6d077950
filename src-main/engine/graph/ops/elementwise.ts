import { isBfloat16 } from '../../../formats/files/floats.ts';
import type { DType } from '../dtype.ts';
import { sameShape, typeAttribute, type Shape, type Tensor } from '../graph.ts';
import { reshape } from './layout.ts';
import { sum } from './reduce.ts';

/** NumPy broadcasting of two shapes. */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(`shapes [${a.join()}] and [${b.join()}] do not broadcast`);
    return Math.max(x, y);
  });
}

/** Sums a gradient over the axes that broadcasting had stretched, so that it has the shape of the operand. */
export function sumToShape(gradient: Tensor, shape: Shape): Tensor {
  if (sameShape(gradient.shape, shape)) return gradient;
  const offset = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((size, i) => ((shape[i - offset] ?? 1) === 1 && size !== 1 ? [i] : []));
  return reshape(axes.length ? sum(gradient, axes, true) : gradient, shape);
}

function binary(
  op: string,
  x: Tensor,
  y: Tensor,
  partials: ((dy: Tensor) => readonly [() => Tensor, () => Tensor]) | null,
  dtype: DType = x.dtype,
): Tensor {
  if (x.dtype !== y.dtype) throw new Error(`${op}: ${x.dtype} with ${y.dtype}; cast one of them`);
  const [out] = x.graph.addOperation({
    op,
    inputs: [x, y],
    attributes: typeAttribute(x.dtype),
    outputs: [{ shape: broadcastShapes(x.shape, y.shape), dtype }],
    gradient:
      partials &&
      (([dy], wanted) => {
        const [dx, dyOther] = partials(dy!);
        return [
          wanted[0] ? sumToShape(dx(), x.shape) : null,
          wanted[1] ? sumToShape(dyOther(), y.shape) : null,
        ];
      }),
  });
  return out!;
}

function unary(op: string, x: Tensor, derivative: ((dy: Tensor, y: Tensor) => Tensor) | null): Tensor {
  const outputs = x.graph.addOperation({
    op,
    inputs: [x],
    attributes: typeAttribute(x.dtype),
    outputs: [{ shape: x.shape, dtype: x.dtype }],
    gradient: derivative && (([dy]) => [derivative(dy!, outputs[0]!)]),
  });
  return outputs[0]!;
}

/** A scalar constant of x's type. */
export function scalarLike(x: Tensor, value: number): Tensor {
  return x.graph.constant(value, x.dtype);
}

/** x + y */
export function add(x: Tensor, y: Tensor): Tensor {
  return binary('AddV2', x, y, (dy) => [() => dy, () => dy]);
}

/** x - y */
export function subtract(x: Tensor, y: Tensor): Tensor {
  return binary('Sub', x, y, (dy) => [() => dy, () => negate(dy)]);
}

/** x * y, element by element */
export function multiply(x: Tensor, y: Tensor): Tensor {
  return binary('Mul', x, y, (dy) => [() => multiply(dy, y), () => multiply(dy, x)]);
}

/** x / y */
export function divide(x: Tensor, y: Tensor): Tensor {
  return binary('RealDiv', x, y, (dy) => [
    () => divide(dy, y),
    () => negate(divide(multiply(dy, x), multiply(y, y))),
  ]);
}

/**
 * x * factor, for a number known when the graph is built. Only the product is rounded, as where PyTorch multiplies by a
 * Python number: a factor that bf16 cannot hold would be off by up to 0.2 %.
 */
export function scale(x: Tensor, factor: number): Tensor {
  if (factor === 1) return x;
  if (x.dtype !== 'bf16' || isBfloat16(factor)) return multiply(x, scalarLike(x, factor));
  return cast(scale(cast(x, 'f32'), factor), 'bf16');
}

/** The greatest whole number that is not above x; no gradient */
export function floor(x: Tensor): Tensor {
  return binary('FloorDiv', x, scalarLike(x, 1), null);
}

/** max(x, y); no gradient */
export function maximum(x: Tensor, y: Tensor): Tensor {
  return binary('Maximum', x, y, null);
}

/** min(x, y); no gradient */
export function minimum(x: Tensor, y: Tensor): Tensor {
  return binary('Minimum', x, y, null);
}

export function lessEqual(x: Tensor, y: Tensor): Tensor {
  return binary('LessEqual', x, y, null, 'bool');
}

export function less(x: Tensor, y: Tensor): Tensor {
  return binary('Less', x, y, null, 'bool');
}

export function greaterEqual(x: Tensor, y: Tensor): Tensor {
  return binary('GreaterEqual', x, y, null, 'bool');
}

export function equal(x: Tensor, y: Tensor): Tensor {
  const [out] = x.graph.addOperation({
    op: 'Equal',
    inputs: [x, y],
    attributes: { ...typeAttribute(x.dtype), incompatible_shape_error: { kind: 'bool', value: true } },
    outputs: [{ shape: broadcastShapes(x.shape, y.shape), dtype: 'bool' }],
  });
  return out!;
}

/** x and y, both bool */
export function logicalAnd(x: Tensor, y: Tensor): Tensor {
  const [out] = x.graph.addOperation({
    op: 'LogicalAnd',
    inputs: [x, y],
    outputs: [{ shape: broadcastShapes(x.shape, y.shape), dtype: 'bool' }],
  });
  return out!;
}

/** condition ? x : y, element by element; gradients flow to both branches. */
export function select(condition: Tensor, x: Tensor, y: Tensor): Tensor {
  const shape = broadcastShapes(condition.shape, broadcastShapes(x.shape, y.shape));
  const [out] = x.graph.addOperation({
    op: 'SelectV2',
    inputs: [condition, x, y],
    attributes: typeAttribute(x.dtype),
    outputs: [{ shape, dtype: x.dtype }],
    gradient: ([dy], wanted) => {
      const zero = scalarLike(x, 0);
      return [
        null,
        wanted[1] ? sumToShape(select(condition, dy!, zero), x.shape) : null,
        wanted[2] ? sumToShape(select(condition, zero, dy!), y.shape) : null,
      ];
    },
  });
  return out!;
}

export function negate(x: Tensor): Tensor {
  return unary('Neg', x, (dy) => negate(dy));
}

export function exp(x: Tensor): Tensor {
  return unary('Exp', x, (dy, y) => multiply(dy, y));
}

export function log(x: Tensor): Tensor {
  return unary('Log', x, (dy) => divide(dy, x));
}

export function square(x: Tensor): Tensor {
  return unary('Square', x, (dy) => multiply(dy, scale(x, 2)));
}

export function sqrt(x: Tensor): Tensor {
  return unary('Sqrt', x, (dy, y) => divide(scale(dy, 0.5), y));
}

/** 1 / sqrt(x) */
export function rsqrt(x: Tensor): Tensor {
  return unary('Rsqrt', x, (dy, y) => multiply(scale(dy, -0.5), multiply(y, multiply(y, y))));
}

export function cos(x: Tensor): Tensor {
  return unary('Cos', x, null);
}

export function sin(x: Tensor): Tensor {
  return unary('Sin', x, null);
}

export function tanh(x: Tensor): Tensor {
  return unary('Tanh', x, (dy, y) => multiply(dy, subtract(scalarLike(y, 1), square(y))));
}

/** cap * tanh(x / cap): x where it is small, never beyond the cap (soft-capping, Gemma 2) */
export function softcapped(x: Tensor, cap: number): Tensor {
  return scale(tanh(multiply(x, scalarLike(x, 1 / cap))), cap);
}

export function sigmoid(x: Tensor): Tensor {
  return unary('Sigmoid', x, (dy, y) => multiply(dy, multiply(y, subtract(scalarLike(y, 1), y))));
}

/** Converts the element type; the gradient is converted back. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const isFloat = (type: DType) => type === 'f32' || type === 'bf16' || type === 'f16';
  const [out] = x.graph.addOperation({
    op: 'Cast',
    inputs: [x],
    attributes: { ...typeAttribute(x.dtype, 'SrcT'), ...typeAttribute(dtype, 'DstT') },
    outputs: [{ shape: x.shape, dtype }],
    gradient: isFloat(x.dtype) && isFloat(dtype) ? ([dy]) => [cast(dy!, x.dtype)] : null,
  });
  return out!;
}

/** The same value, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return x.graph.withGradient([], [x], () => [])[0]!;
}

/** Sum of one or more tensors, left to right. */
export function addAll(terms: readonly Tensor[]): Tensor {
  if (terms.length === 0) throw new Error('addAll needs at least one term');
  return terms.reduce((sumSoFar, term) => add(sumSoFar, term));
}

/** Whether x is neither infinite nor NaN. */
export function isFinite(x: Tensor): Tensor {
  const [out] = x.graph.addOperation({
    op: 'IsFinite',
    inputs: [x],
    attributes: typeAttribute(x.dtype),
    outputs: [{ shape: x.shape, dtype: 'bool' }],
  });
  return out!;
}

/** |x| */
export function absolute(x: Tensor): Tensor {
  return unary('Abs', x, null);
}

/** Index of the half-open interval between ascending boundaries that x lies in: the number of boundaries <= x. i32. */
export function bucketize(x: Tensor, boundaries: readonly number[]): Tensor {
  const [out] = x.graph.addOperation({
    op: 'Bucketize',
    inputs: [x],
    attributes: { ...typeAttribute(x.dtype), boundaries: { kind: 'floats', value: boundaries } },
    outputs: [{ shape: x.shape, dtype: 'i32' }],
  });
  return out!;
}

/** Sum of tensors of one shape in one operation; no gradient. */
export function addMany(terms: readonly Tensor[]): Tensor {
  const first = terms[0]!;
  const [out] = first.graph.addOperation({
    op: 'AddN',
    inputs: terms,
    attributes: { ...typeAttribute(first.dtype), N: { kind: 'int', value: terms.length } },
    outputs: [{ shape: first.shape, dtype: first.dtype }],
  });
  return out!;
}
