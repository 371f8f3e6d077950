import type { DType } from './dtype.ts';

/** Attribute values of a node, by kind (attr_value.proto). */
export type Attribute =
  | { kind: 'type'; value: DType }
  | { kind: 'int'; value: number }
  | { kind: 'float'; value: number }
  | { kind: 'bool'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'shape'; value: readonly number[] }
  | { kind: 'function'; value: string }
  | { kind: 'types'; value: readonly DType[] }
  | { kind: 'shapes'; value: readonly (readonly number[])[] }
  | { kind: 'functions'; value: readonly string[] }
  | { kind: 'strings'; value: readonly string[] }
  | { kind: 'floats'; value: readonly number[] }
  | { kind: 'tensor'; dtype: DType; shape: readonly number[]; content: Uint8Array };

export interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
  attributes: Record<string, Attribute>;
}

export interface FunctionDefinition {
  name: string;
  inputs: { name: string; dtype: DType }[];
  outputs: { name: string; dtype: DType; reference: string }[];
  nodes: GraphNode[];
  attributes: Record<string, Attribute>;
}

/** Names that op definitions give their results, one for all or one each: references inside functions need them. */
export const outputNames: Record<string, string | readonly string[]> = {
  AddV2: 'z',
  AddN: 'sum',
  Sub: 'z',
  Mul: 'z',
  RealDiv: 'z',
  Maximum: 'z',
  Minimum: 'z',
  FloorDiv: 'z',
  FloorMod: 'z',
  Equal: 'z',
  Less: 'z',
  LessEqual: 'z',
  GreaterEqual: 'z',
  LogicalAnd: 'z',
  Neg: 'y',
  Exp: 'y',
  Log: 'y',
  Sqrt: 'y',
  Rsqrt: 'y',
  Square: 'y',
  Sigmoid: 'y',
  Cos: 'y',
  Sin: 'y',
  Tanh: 'y',
  IsFinite: 'y',
  Abs: 'y',
  Cast: 'y',
  DeepCopy: 'y',
  Transpose: 'y',
  MatMul: 'product',
  Softmax: 'softmax',
  VarHandleOp: 'resource',
  ReadVariableOp: 'value',
  SparseSoftmaxCrossEntropyWithLogits: ['loss', 'backprop'],
};
