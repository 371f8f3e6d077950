import { bytesPerElement, elementCount, type DType } from './dtype.ts';
import { typeAttribute, type Attribute, type Graph, type Shape, type Tensor } from './graph.ts';
import { bitcast, reshape, sliceAxis, transpose } from './ops/layout.ts';
import { cast } from './ops/elementwise.ts';

/**
 * A value that lives in the session between calls: a weight, an adapter parameter, an optimizer moment, a KV cache.
 * It has no value until it is assigned or filled.
 */
export interface Variable {
  readonly graph: Graph;
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly handle: Tensor;
}

/** Declares a variable. Names are unique in a graph; they are also the names by which values are assigned. */
export function createVariable(graph: Graph, name: string, shape: Shape, dtype: DType): Variable {
  const handle = variableHandle(graph, name, shape, dtype);
  return { graph, name, shape, dtype, handle };
}

function variableHandle(graph: Graph, name: string, shape: Shape, dtype: DType): Tensor {
  const [handle] = graph.addOperation({
    op: 'VarHandleOp',
    inputs: [],
    attributes: {
      dtype: { kind: 'type', value: dtype },
      shape: { kind: 'shape', value: shape },
      shared_name: { kind: 'string', value: name },
      container: { kind: 'string', value: '' },
    },
    outputs: [{ shape, dtype }],
  });
  return handle!;
}

/**
 * The handle as the current body sees it: a function names the variable again, since nodes cannot reach into another
 * body.
 */
function handleOf({ graph, name, shape, dtype, handle }: Variable): Tensor {
  return handle.body === graph.body ? handle : variableHandle(graph, name, shape, dtype);
}

/** The variable's value at this point of the execution order (see Graph.after). */
export function readVariable(variable: Variable): Tensor {
  const [value] = variable.graph.addOperation({
    op: 'ReadVariableOp',
    inputs: [handleOf(variable)],
    attributes: typeAttribute(variable.dtype, 'dtype'),
    outputs: [{ shape: variable.shape, dtype: variable.dtype }],
  });
  return value!;
}

/** Adds a node without outputs; returns its name, to be used as a control. */
function addEffect(
  graph: Graph,
  op: string,
  inputs: readonly Tensor[],
  attributes: Record<string, Attribute>,
): string {
  const name = graph.uniqueName(op);
  graph.addOperation({ op, inputs, attributes, outputs: [], name });
  return name;
}

/** Sets a variable; returns the node's name for `Graph.after`. */
export function assignVariable(variable: Variable, value: Tensor): string {
  return addEffect(
    variable.graph,
    'AssignVariableOp',
    [handleOf(variable), value],
    typeAttribute(variable.dtype, 'dtype'),
  );
}

/** variable += value; returns the node's name. */
export function assignAddVariable(variable: Variable, value: Tensor): string {
  return addEffect(
    variable.graph,
    'AssignAddVariableOp',
    [handleOf(variable), value],
    typeAttribute(variable.dtype, 'dtype'),
  );
}

/** variable -= value; returns the node's name. */
export function assignSubVariable(variable: Variable, value: Tensor): string {
  return addEffect(
    variable.graph,
    'AssignSubVariableOp',
    [handleOf(variable), value],
    typeAttribute(variable.dtype, 'dtype'),
  );
}

/** Frees a variable's memory; returns the node's name. It may be assigned again afterwards. */
export function releaseVariable(variable: Variable): string {
  return addEffect(variable.graph, 'DestroyResourceOp', [handleOf(variable)], {
    ignore_lookup_error: { kind: 'bool', value: true },
  });
}

/**
 * Overwrites a block of a variable: elements begin_i <= index_i < end_i of each axis.
 * @param begin i32 [rank]
 * @param end i32 [rank]
 */
export function assignSlice(variable: Variable, begin: Tensor, end: Tensor, value: Tensor): string {
  const graph = variable.graph;
  const strides = graph.constant(
    variable.shape.map(() => 1),
    'i32',
  );
  const masks = ['begin_mask', 'end_mask', 'ellipsis_mask', 'new_axis_mask', 'shrink_axis_mask'];
  return addEffect(graph, 'ResourceStridedSliceAssign', [handleOf(variable), begin, end, strides, value], {
    ...typeAttribute(variable.dtype),
    ...typeAttribute('i32', 'Index'),
    ...Object.fromEntries(masks.map((mask) => [mask, { kind: 'int', value: 0 } satisfies Attribute])),
  });
}

/** A tensor of one repeated value. */
export function fill(graph: Graph, shape: Shape, value: number, dtype: DType): Tensor {
  const [out] = graph.addOperation({
    op: 'Fill',
    inputs: [graph.constant(shape, 'i32'), cast(graph.constant(value), dtype)],
    attributes: { ...typeAttribute(dtype), ...typeAttribute('i32', 'index_type') },
    outputs: [{ shape, dtype }],
  });
  return out!;
}

/**
 * One Adam update, m and v included (TensorFlow's ResourceApplyAdam):
 * m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 * var -= lr sqrt(1 - beta2Power) / (1 - beta1Power) * m / (sqrt(v) + epsilon).
 * All but the variables are f32 scalars. Returns the node's name.
 */
export function applyAdam(
  variable: Variable,
  moments: { first: Variable; second: Variable },
  rates: {
    beta1Power: Tensor;
    beta2Power: Tensor;
    learningRate: Tensor;
    beta1: Tensor;
    beta2: Tensor;
    epsilon: Tensor;
  },
  gradient: Tensor,
): string {
  return addEffect(
    variable.graph,
    'ResourceApplyAdam',
    [
      handleOf(variable),
      handleOf(moments.first),
      handleOf(moments.second),
      rates.beta1Power,
      rates.beta2Power,
      rates.learningRate,
      rates.beta1,
      rates.beta2,
      rates.epsilon,
      gradient,
    ],
    {
      ...typeAttribute(variable.dtype),
      use_locking: { kind: 'bool', value: false },
      use_nesterov: { kind: 'bool', value: false },
    },
  );
}

/** Types in which a value may be stored in a file. */
export type StoredDType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'i8';

/**
 * The type in which a variable's values enter and leave a session. Integers are i32 outside and i64 in a variable:
 * TensorFlow has no i32 variables on a GPU.
 */
export function storedTypeOf({ name, dtype }: Variable): StoredDType {
  if (dtype === 'i64') return 'i32';
  if (dtype === 'i32' || dtype === 'bool')
    throw new Error(`${name}: a GPU holds no variables of type ${dtype}`);
  return dtype;
}

/**
 * Makes the values of variables assignable from the outside through one call: `index` chooses the variable, `words`
 * carries its elements as 32-bit words (two 16-bit or four 8-bit elements each; a part of a word is padded).
 *
 * One `Case` over small functions instead of one call per variable: a session optimizes its whole graph once for
 * every distinct set of fetches.
 *
 * Variables get memory of their own: what is fed is memory of JavaScript where its alignment suits TensorFlow, and
 * nothing on the way into a variable but a conversion copies. The variable would change with the array; and
 * TensorFlow's threads, two at a time, would hand such memory back to Node (which allows that to its main thread alone)
 * when an update replaces it.
 *
 * The words enter the branches as f32, bit for bit: a GPU's function takes i32 arguments for memory of the host, which
 * these are not, and its reads would end the process.
 *
 * @param targets `transposed`: the variable, a matrix, becomes the transpose of what is given
 * @param words i32 [any]
 * @returns an f32 scalar to fetch
 */
export function assignByIndex(
  graph: Graph,
  targets: readonly { variable: Variable; stored: StoredDType; transposed?: boolean }[],
  index: Tensor,
  words: Tensor,
): Tensor {
  const given = bitcast(words, 'f32', words.shape);
  const branches = targets.map(({ variable, stored, transposed = false }, i) => {
    const name = `assign_${i}`;
    graph.defineFunction(name, [{ shape: given.shape, dtype: given.dtype }], ([data]) => {
      const copied = stored !== variable.dtype || transposed;
      const words = copied ? data! : ownCopy(data!);
      const shape = transposed ? variable.shape.toReversed() : variable.shape;
      const converted = cast(decodeWords(words, stored, shape), variable.dtype);
      const value = transposed ? transpose(converted, [1, 0]) : converted;
      const assigned = assignVariable(variable, value);
      return graph.after([assigned], () => [graph.constant(i)]);
    });
    return name;
  });
  const [done] = graph.addOperation({
    op: 'Case',
    inputs: [index, given],
    attributes: {
      branches: { kind: 'functions', value: branches },
      Tin: { kind: 'types', value: ['f32'] },
      Tout: { kind: 'types', value: ['f32'] },
      output_shapes: { kind: 'shapes', value: [[]] },
    },
    outputs: [{ shape: [], dtype: 'f32' }],
  });
  return done!;
}

/**
 * Makes the values of variables readable from the outside through one call, one at a time: `index` chooses the
 * variable. One `Case` for the reason that `assignByIndex` gives; and fetching all at once would hold a second copy of
 * all.
 *
 * @param targets f32, i64 or u8 variables; the latter of a size that is a multiple of four
 * @returns f32 [any], the variable's bytes as they are stored: only f32 and i32 can leave a session
 */
export function readByIndex(graph: Graph, targets: readonly Variable[], index: Tensor): Tensor {
  const branches = targets.map((variable, i) => {
    const name = `read_${i}`;
    graph.defineFunction(name, [], () => {
      const value = readVariable(variable);
      const words = variable.dtype === 'u8' ? bytesAsWords(value) : cast(value, storedTypeOf(variable));
      const flat = reshape(words, [elementCount(words.shape)]);
      return [flat.dtype === 'f32' ? flat : bitcast(flat, 'f32', flat.shape)];
    });
    return name;
  });
  const [values] = graph.addOperation({
    op: 'Case',
    inputs: [index],
    attributes: {
      branches: { kind: 'functions', value: branches },
      Tin: { kind: 'types', value: [] },
      Tout: { kind: 'types', value: ['f32'] },
      output_shapes: { kind: 'shapes', value: [[-1]] },
    },
    outputs: [{ shape: [-1], dtype: 'f32' }],
  });
  return values!;
}

/** The same values in other memory. */
function ownCopy(value: Tensor): Tensor {
  const [copy] = value.graph.addOperation({
    op: 'DeepCopy',
    inputs: [value],
    attributes: typeAttribute(value.dtype),
    outputs: [{ shape: value.shape, dtype: value.dtype }],
  });
  return copy!;
}

/** i32 or f32 words, of a length known only at run time, as a tensor of the stored type in the given shape. */
export function decodeWords(words: Tensor, stored: StoredDType, shape: Shape): Tensor {
  const count = elementCount(shape);
  const perWord = 4 / bytesPerElement[stored];
  const wordCount = Math.ceil(count / perWord);
  const sized = words.graph.withGradient([], [{ ...words, shape: [wordCount] }], () => [])[0]!;
  if (stored === sized.dtype) return reshape(sized, shape);
  if (perWord === 1) return reshape(bitcast(sized, stored, [wordCount]), shape);
  const flat = reshape(bitcast(sized, stored, [wordCount, perWord]), [wordCount * perWord]);
  return reshape(sliceAxis(flat, 0, 0, count), shape);
}

/**
 * A u8 tensor as i32 words of four elements each, in which form it can leave a session. Its size is a multiple of four.
 */
export function bytesAsWords(bytes: Tensor): Tensor {
  const words = elementCount(bytes.shape) / 4;
  return bitcast(reshape(bytes, [words, 4]), 'i32', [words]);
}
