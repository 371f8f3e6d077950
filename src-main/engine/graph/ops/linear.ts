import { mostJoinedColumns } from '../../../options/deviceSizes.ts';
import { elementCount, type DType } from '../dtype.ts';
import {
  typeAttribute,
  type GradientFunction,
  type LaterProduct,
  type Operation,
  type Shape,
  type Tensor,
} from '../graph.ts';
import type { Attribute } from '../nodes.ts';
import { cast, multiply, sumToShape } from './elementwise.ts';
import { concat, sliceAxis } from './layout.ts';
import { mostTurnedBack, turnedBack } from './turned.ts';

/**
 * Matrix product op(x) op(y), where op transposes if asked.
 * @param x [m, k] (or [k, m] with transposeX)
 * @param y [k, n] (or [n, k] with transposeY)
 * @returns [m, n]
 */
export function matmul(
  x: Tensor,
  y: Tensor,
  options: { transposeX?: boolean; transposeY?: boolean } = {},
): Tensor {
  const { transposeX = false, transposeY = false } = options;
  const [m, k] = transposeX ? [x.shape[1]!, x.shape[0]!] : [x.shape[0]!, x.shape[1]!];
  const [kOfY, n] = transposeY ? [y.shape[1]!, y.shape[0]!] : [y.shape[0]!, y.shape[1]!];
  if (x.shape.length !== 2 || y.shape.length !== 2 || k !== kOfY || x.dtype !== y.dtype)
    throw new Error(`matmul: ${x.dtype}[${x.shape.join()}] with ${y.dtype}[${y.shape.join()}]`);
  const turns = transposeY && !transposeX && isFasterTurned(x, y);
  return product({
    op: 'MatMul',
    operands: [x, y],
    turns,
    blocks: transposeY && !transposeX ? blocksOf(x, y) : 1,
    attributes: {
      transpose_a: { kind: 'bool', value: transposeX },
      transpose_b: { kind: 'bool', value: transposeY },
    },
    shape: [m, n],
    gradient: ([dz], wanted) => [
      wanted[0]
        ? transposeX
          ? matmul(y, dz!, { transposeX: transposeY, transposeY: true })
          : transposeY
            ? matmulLater(dz!, y)
            : matmul(dz!, y, { transposeY: true })
        : null,
      wanted[1]
        ? transposeY
          ? transposeX
            ? matmul(dz!, x, { transposeX: true, transposeY: true })
            : matmulLater(dz!, x, true)
          : matmul(x, dz!, { transposeX: !transposeX })
        : null,
    ],
  });
}

/** x y, or x^T y, as a gradient: to be made by reverse mode where joining it may pay. */
export function matmulLater(x: Tensor, y: Tensor, transposeX = false): Tensor | LaterProduct {
  return x.shape[1]! <= mostJoinedColumns ? { x, y, transposeX } : matmul(x, y, { transposeX });
}

/**
 * Whether x y^T is faster as (y x^T)^T. oneDNN lays out its second operand anew for every product; turned that is the
 * one of few rows. Measured on two cores with AVX-512 for weights of [2816, 1024] and their like in f32: 16 rows 0.77
 * instead of 3.1 ms, 256 rows 7.3 instead of 9.5, 512 rows 15.0 instead of 17.0, but 8 rows 0.81 instead of 0.58; on
 * another processor 16 rows of [8192, 1024] 2.6 instead of 9.8. In bf16, with AMX: 0.51 -> 0.35 ms for 2 rows, 0.70 ->
 * 0.33 for 16, 0.69 -> 0.41 for 32, 0.71 -> 0.66 for 128, where turning the result back takes up to 0.3 ms: it pays
 * where what reads the result turns it (`turnedBack`).
 */
function isFasterTurned(x: Tensor, y: Tensor): boolean {
  const { graph, dtype } = x;
  if (graph.device !== 'cpu' || graph.body.isCompiled || elementCount(y.shape) < 2 ** 16) return false;
  const [rows] = x.shape as [number];
  const isWide = dtype === 'f32' || graph.products === 'widened';
  return isWide ? rows >= 16 && rows <= 512 : graph.fusion && rows >= 2 && rows <= mostTurnedBack;
}

/** Numbers of a weight that are widened at once for few rows: 3 MB in f32, which a processor's last cache holds. */
const widenedAtOnce = 3 * 2 ** 18;
/** More rows of x take long enough that widening the whole weight beforehand weighs little. */
const fewRows = 64;

/**
 * In how many blocks of its rows a weight y is widened and multiplied. A whole one goes to memory in f32 and comes
 * back: for 16 rows as long as the product itself. Two cores with AVX2 alone, 16 rows, ms: [2816, 1024] 3.5 -> 2.6,
 * [1024, 2816] 2.75 -> 2.3, [8192, 1024] 9.8 -> 6.8; in blocks of a third of the size 3.0, 3.0 and 6.9.
 */
function blocksOf(x: Tensor, y: Tensor): number {
  if (!isWidenedBefore(x) || x.graph.device !== 'cpu' || x.shape[0]! > fewRows) return 1;
  return Math.max(1, Math.round(elementCount(y.shape) / widenedAtOnce));
}

/**
 * Batched matrix product over the last two axes; leading axes broadcast.
 * @param x [..., m, k] (or [..., k, m] with transposeX)
 * @param y [..., k, n] (or [..., n, k] with transposeY)
 */
export function batchMatmul(
  x: Tensor,
  y: Tensor,
  options: { transposeX?: boolean; transposeY?: boolean } = {},
): Tensor {
  const { transposeX = false, transposeY = false } = options;
  const [rx, ry] = [x.shape.length, y.shape.length];
  const m = x.shape[transposeX ? rx - 1 : rx - 2]!;
  const n = y.shape[transposeY ? ry - 2 : ry - 1]!;
  const lead = rx >= ry ? x.shape.slice(0, -2) : y.shape.slice(0, -2);
  return product({
    op: 'BatchMatMulV2',
    operands: [x, y],
    attributes: {
      adj_x: { kind: 'bool', value: transposeX },
      adj_y: { kind: 'bool', value: transposeY },
    },
    shape: [...lead, m, n],
    gradient: ([dz], wanted) => [
      wanted[0]
        ? sumToShape(
            transposeX
              ? batchMatmul(y, dz!, { transposeX: transposeY, transposeY: true })
              : batchMatmul(dz!, y, { transposeY: !transposeY }),
            x.shape,
          )
        : null,
      wanted[1]
        ? sumToShape(
            transposeY
              ? batchMatmul(dz!, x, { transposeX: true, transposeY: transposeX })
              : batchMatmul(x, dz!, { transposeX: !transposeX }),
            y.shape,
          )
        : null,
    ],
  });
}

/**
 * One product node, in the operands' type or, where the graph widens bf16, in f32 between casts.
 * @param options.turns it is computed as (y x^T)^T; the second operand must be the one that is transposed
 * @param options.blocks the second operand, which must be the one that is transposed, is widened in so many parts, each
 * once the one before was multiplied
 */
function product(options: {
  op: string;
  operands: readonly [Tensor, Tensor];
  turns?: boolean;
  blocks?: number;
  attributes: Record<string, Attribute>;
  shape: Shape;
  gradient: GradientFunction;
}): Tensor {
  const { op, operands, turns = false, blocks = 1, attributes, shape, gradient } = options;
  const [x, y] = operands;
  const { graph, dtype } = x;
  const computed = computedIn(x);
  const multiplied = (left: Tensor, right: Tensor, size: Shape): Tensor =>
    graph.addOperation({
      op,
      inputs: turns ? [right, left] : [left, right],
      attributes: { ...typeAttribute(computed), ...attributes },
      outputs: [{ shape: turns ? size.toReversed() : size, dtype: computed }],
    })[0]!;
  // Each cast waits for the other operand. Otherwise all weights would be cast as soon as a step begins, and the casts
  // of the forward and the backward product would be merged: either way a second copy of the model, in f32.
  const waits = isWidenedBefore(x);
  const widened = (value: Tensor, before: Tensor) =>
    waits ? graph.after([before], () => cast(value, computed)) : cast(value, computed);
  const left = widened(x, y);
  const parts: Tensor[] = [];
  if (blocks === 1) parts.push(multiplied(left, widened(y, x), shape));
  else {
    const total = y.shape[0]!;
    const each = Math.ceil(total / blocks);
    for (let begin = 0; begin < total; begin += each) {
      const part = sliceAxis(y, 0, begin, Math.min(each, total - begin));
      parts.push(multiplied(left, widened(part, parts.at(-1) ?? x), [shape[0]!, part.shape[0]!]));
    }
  }
  const made = concat(parts, turns ? 0 : 1);
  const rounded = cast(made, dtype);
  const out = turns ? turnedBack(rounded) : rounded;
  return graph.withGradient(operands, [out], gradient)[0]!;
}

/**
 * The type in which products are computed. On a processor XLA widens bf16 operands as it reads them, and its own bf16
 * products round more often and are slower; on a card it would write the widened weight to memory.
 */
function computedIn({ graph, dtype }: Tensor): DType {
  const isWidened = graph.products === 'widened' || (graph.body.isCompiled && graph.device === 'cpu');
  return dtype === 'bf16' && isWidened ? 'f32' : dtype;
}

/** Whether operands of x's type are cast to a wider one by operations of their own, which may wait for others. */
function isWidenedBefore(x: Tensor): boolean {
  return computedIn(x) !== x.dtype && !x.graph.body.isCompiled;
}

/** By the operation that gave x: the last product of a weight that was made for it, forward and backward. */
const lastOfMade = { forward: new WeakMap<Operation, Tensor>(), backward: new WeakMap<Operation, Tensor>() };

/**
 * x W^T for a frozen weight W [n, k] that is kept in fewer bits and made anew for each product, once the other operand
 * is there (see `product`), in the backward pass as well. Weights that multiply results of one operation, as those of
 * gate and up, are made one after the other, there and back: all at once they would be the largest thing of a pass.
 *
 * @param x [m, k] @param make W in the type that is asked for
 * @returns [m, n] in the type in which the product was computed: f32 where the graph widens bf16
 */
export function madeMatmul(x: Tensor, make: (dtype: DType) => Tensor): Tensor {
  const { graph, dtype } = x;
  const { isCompiled } = graph.body;
  const computed = computedIn(x);
  const times = (rows: Tensor, way: 'forward' | 'backward'): Tensor => {
    const transposeY = way === 'forward';
    if (isCompiled) return matmul(cast(rows, computed), make(computed), { transposeY });
    const before = lastOfMade[way].get(x.source);
    const made = graph.after(before ? [rows, before] : [rows], () => make(computed));
    const out = matmul(cast(rows, computed), made, { transposeY });
    lastOfMade[way].set(x.source, out);
    return out;
  };
  return graph.withGradient([x], [times(x, 'forward')], ([dOut]) => [
    cast(times(dOut!, 'backward'), dtype),
  ])[0]!;
}

/**
 * x W^T for a frozen weight W [n, k] in the type of x. Where bf16 is widened that happens to one large weight of x at a
 * time, as to those in fewer bits: those of gate and up would stand beside each other in f32.
 * @param x [m, k]
 * @returns [m, n] in the type of x
 */
export function frozenMatmul(x: Tensor, weight: Tensor): Tensor {
  const isLarge = x.shape[0]! > fewRows && elementCount(weight.shape) >= widenedAtOnce;
  if (!isWidenedBefore(x) || !isLarge) return matmul(x, weight, { transposeY: true });
  return cast(
    madeMatmul(x, (dtype) => cast(weight, dtype)),
    x.dtype,
  );
}

/**
 * x W^T for a frozen weight that is kept in 8 bits: row i of W is scales_i times row i of `weight`. The scale is
 * applied to the outputs in f32, not to the weight.
 *
 * @param x [m, k] @param weight i8 [n, k] @param scales f32 [n]
 * @returns [m, n] in the type of x
 */
export function rowScaledMatmul(x: Tensor, weight: Tensor, scales: Tensor): Tensor {
  const out = madeMatmul(x, (dtype) => cast(weight, dtype));
  return cast(multiply(cast(out, 'f32'), scales), x.dtype);
}
