import { elementCount } from './dtype.ts';
import type { Graph, Shape, Tensor } from './graph.ts';
import { bitcast, concat, gather, reshape } from './ops/layout.ts';
import { assignVariable, createVariable, fill, readVariable, type Variable } from './variables.ts';

/**
 * A variable of rows, f32 or bf16, whose number may change from call to call. It keeps 32-bit words: two bf16 elements
 * each, so that rows of either type are moved by the same operations.
 *
 * It is written only as a whole. TensorFlow hands what is read from such a variable on without a copy; of one that was
 * ever written in parts it copies everything at each read.
 */
export interface RowTable {
  variable: Variable;
  dtype: 'f32' | 'bf16';
  /** Elements of a row; even. */
  width: number;
}

export function createRowTable(
  graph: Graph,
  name: string,
  { dtype, width }: Omit<RowTable, 'variable'>,
): RowTable {
  return { variable: createVariable(graph, name, [-1, wordsOf(dtype, width)], 'f32'), dtype, width };
}

/**
 * All rows, of which there must be as many as the shape has.
 * @param shape [..., width]
 */
export function readRows({ variable, dtype }: RowTable, shape: Shape): Tensor {
  const words = [elementCount(shape.slice(0, -1)), variable.shape[1]!];
  const read = withShape(readVariable(variable), words);
  if (dtype === 'f32') return reshape(read, shape);
  return reshape(bitcast(read, 'bf16', [...words, 2]), shape);
}

/** Makes it `count` rows of zeros. @returns the node's name */
export function clearRows({ variable }: RowTable, count: number): string {
  return assignVariable(variable, fill(variable.graph, [count, variable.shape[1]!], 0, 'f32'));
}

/**
 * Takes new rows from the old ones and from other tensors behind them.
 * @param others [..., width] each, of the table's type
 * @param indices i32 [any], counting through all rows; as many as there will be
 * @returns the node's name
 */
export function gatherRows({ variable, dtype, width }: RowTable, others: readonly Tensor[], indices: Tensor) {
  const words = wordsOf(dtype, width);
  const parts = others.map((other) => {
    const count = elementCount(other.shape) / width;
    return dtype === 'f32'
      ? reshape(other, [count, words])
      : bitcast(reshape(other, [count, words, 2]), 'f32', [count, words]);
  });
  const all = withShape(concat([readVariable(variable), ...parts], 0), [-1, words]);
  return assignVariable(variable, gather(all, indices, 0));
}

function wordsOf(dtype: RowTable['dtype'], width: number): number {
  return dtype === 'f32' ? width : width / 2;
}

/** The same value under a shape that is known otherwise. */
function withShape(value: Tensor, shape: Shape): Tensor {
  return value.graph.withGradient([], [{ ...value, shape }], () => [])[0]!;
}
