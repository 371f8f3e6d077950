import type { DType } from './dtype.ts';
import { typeAttribute, type Graph, type Shape, type Tensor } from './graph.ts';
import type { Attribute } from './nodes.ts';
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
