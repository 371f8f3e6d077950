import type { MethodOps } from '../../../src-main/methods/ops.ts';

/** A tensor of plain numbers, row-major. */
export interface Plain {
  shape: readonly number[];
  data: readonly number[];
}

export function plain(shape: readonly number[], value: (index: number) => number): Plain {
  return { shape, data: Array.from({ length: size(shape) }, (_, i) => value(i)) };
}

/** The operations of methods over plain numbers. @param softmax in its place: the gates of every row */
export function plainOps(softmax: (logits: Plain) => Plain): MethodOps<Plain> {
  const linear = (x: Plain, weight: Plain) => matmul(x, transposed(weight));
  const add = elementwise((a, b) => a + b);
  const map = (f: (value: number) => number) => (x: Plain) => ({ shape: x.shape, data: x.data.map(f) });
  return {
    matmul,
    linear,
    add,
    softmax,
    addAll: (terms) => terms.reduce((sum, term) => add(sum, term)),
    subtract: elementwise((a, b) => a - b),
    multiply: elementwise((a, b) => a * b),
    divide: elementwise((a, b) => a / b),
    square: map((value) => value * value),
    sqrt: map(Math.sqrt),
    scale: (x, factor) => map((value) => value * factor)(x),
    scalarLike: (_, value) => ({ shape: [], data: [value] }),
    sum: (x, axes) => summed(x, axes),
    toF32: (x) => x,
    toTypeOf: (_, x) => x,
    reshape: (x, shape) => ({ shape, data: x.data }),
    concat: (parts, axis) => (axis === 0 ? stacked(parts) : transposed(stacked(parts.map(transposed)))),
    gather(x, indices, axis) {
      const rows = axis === 0 ? x : transposed(x);
      const width = rows.shape[1]!;
      const data = indices.data.flatMap((row) => rows.data.slice(row * width, (row + 1) * width));
      const taken = { shape: [indices.data.length, width], data };
      return axis === 0 ? taken : transposed(taken);
    },
    // As many tensors come in as went in.
    fused: <const I extends readonly Plain[]>(
      _: string,
      inputs: I,
      body: (inputs: { readonly [K in keyof I]: Plain }) => Plain,
    ) => body(inputs as { readonly [K in keyof I]: Plain }),
    stopGradient: (x) => x,
    withProductGradient: (_, value) => value,
  };
}

/** Matrices below each other. */
export function stacked(parts: readonly Plain[]): Plain {
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  return { shape: [rows, parts[0]!.shape[1]!], data: parts.flatMap(({ data }) => data) };
}

export function transposed({ shape: [rows = 0, columns = 0], data }: Plain): Plain {
  return plain([columns, rows], (i) => data[(i % rows) * columns + Math.floor(i / rows)]!);
}

/** Numeric rank: Gaussian elimination with complete pivoting, in relation to the largest entry. */
export function numericRank(matrix: Plain): number {
  const [rows = 0, columns = 0] = matrix.shape;
  const m = Array.from({ length: rows }, (_, i) => matrix.data.slice(i * columns, (i + 1) * columns));
  const largest = Math.max(...matrix.data.map(Math.abs));
  for (let rank = 0; rank < Math.min(rows, columns); rank++) {
    let [best, at] = [0, { row: rank, column: rank }];
    for (let row = rank; row < rows; row++)
      for (let column = rank; column < columns; column++)
        if (Math.abs(m[row]![column]!) > best) [best, at] = [Math.abs(m[row]![column]!), { row, column }];
    if (best <= 1e-9 * largest) return rank;
    [m[rank], m[at.row]] = [m[at.row]!, m[rank]!];
    for (const row of m) [row[rank], row[at.column]] = [row[at.column]!, row[rank]!];
    for (let row = rank + 1; row < rows; row++) {
      const factor = m[row]![rank]! / m[rank]![rank]!;
      for (let column = rank; column < columns; column++) m[row]![column]! -= factor * m[rank]![column]!;
    }
  }
  return Math.min(rows, columns);
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

function matmul(x: Plain, y: Plain): Plain {
  const [m = 0, k = 0] = x.shape;
  const n = y.shape[1]!;
  return plain([m, n], (i) => {
    const [row, column] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += x.data[row * k + j]! * y.data[j * n + column]!;
    return sum;
  });
}

/** With NumPy's broadcasting. */
function elementwise(f: (a: number, b: number) => number): (x: Plain, y: Plain) => Plain {
  return (x, y) => {
    const axes = Math.max(x.shape.length, y.shape.length);
    const padded = [x, y].map(({ shape }) => [...Array<number>(axes - shape.length).fill(1), ...shape]);
    const shape = padded[0]!.map((length, axis) => Math.max(length, padded[1]![axis]!));
    const at = (index: number, own: readonly number[]) => {
      let [rest, stride, offset] = [index, 1, 0];
      for (let axis = axes - 1; axis >= 0; axis--) {
        if (own[axis] !== 1) offset += (rest % shape[axis]!) * stride;
        rest = Math.floor(rest / shape[axis]!);
        stride *= own[axis]!;
      }
      return offset;
    };
    return plain(shape, (i) => f(x.data[at(i, padded[0]!)]!, y.data[at(i, padded[1]!)]!));
  };
}

/** Over one axis. */
function summed(x: Plain, axes: readonly number[]): Plain {
  const axis = axes[0]!;
  const length = x.shape[axis]!;
  const inner = size(x.shape.slice(axis + 1));
  const shape = x.shape.filter((_, i) => i !== axis);
  return plain(shape, (i) => {
    const start = Math.floor(i / inner) * length * inner + (i % inner);
    let sum = 0;
    for (let j = 0; j < length; j++) sum += x.data[start + j * inner]!;
    return sum;
  });
}
