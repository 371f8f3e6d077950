import { toBfloat16 } from '../../formats/files/floats.ts';
import { elementCount, type DType } from './dtype.ts';

export type Shape = readonly number[];

/** A value in a graph: one output of an operation, with a static shape. */
export interface Tensor {
  readonly graph: Graph;
  readonly body: Body;
  /** How nodes of the same body refer to it. */
  readonly reference: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly source: Operation;
}

/**
 * Gradients of an operation's inputs, given those of its outputs (null: no gradient arrives there).
 * `wanted[i]` is false where nobody needs the gradient of input i: return null there without building nodes, so that
 * the gradient of a frozen weight is never computed.
 */
export type GradientFunction = (
  upstream: readonly (Tensor | null)[],
  wanted: readonly boolean[],
) => readonly (Tensor | null)[];

export interface Operation {
  readonly type: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: Tensor[];
  /** Null: no gradient flows through (integers, comparisons, stopped values). */
  readonly gradient: GradientFunction | null;
  /** Creation order: every input's operation has a smaller number. */
  readonly order: number;
}

/** Attribute values of a node, by kind (attr_value.proto). */
export type Attribute =
  | { kind: 'type'; value: DType }
  | { kind: 'int'; value: number }
  | { kind: 'float'; value: number }
  | { kind: 'bool'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'shape'; value: Shape }
  | { kind: 'function'; value: string }
  | { kind: 'types'; value: readonly DType[] }
  | { kind: 'shapes'; value: readonly Shape[] }
  | { kind: 'functions'; value: readonly string[] }
  | { kind: 'strings'; value: readonly string[] }
  | { kind: 'floats'; value: readonly number[] }
  | { kind: 'tensor'; dtype: DType; shape: Shape; content: Uint8Array };

export interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
  attributes: Record<string, Attribute>;
}

/** A list of nodes: the main graph, or the inside of a function. */
export class Body {
  readonly nodes: GraphNode[] = [];
  /** Small constants by type, shape and values: shapes and axes recur thousands of times. */
  readonly constants = new Map<string, Tensor>();
  /** Null: the main graph. */
  readonly functionName: string | null;
  constructor(functionName: string | null) {
    this.functionName = functionName;
  }
}

export interface FunctionDefinition {
  name: string;
  inputs: { name: string; dtype: DType }[];
  outputs: { name: string; dtype: DType; reference: string }[];
  nodes: GraphNode[];
  attributes: Record<string, Attribute>;
}

/** The result names that op definitions give their outputs: references inside functions need them. */
const outputNames: Record<string, string> = {
  AddV2: 'z',
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
};

/**
 * `native`: TensorFlow's bf16 kernels, right where the processor multiplies bf16 matrices (AMX, tensor cores).
 * `widened`: operands cast to f32, product in f32, result rounded to bf16. Products of bf16 numbers are exact in f32
 * and both sum in f32, so the two differ by the order of summation only. Measured on two cores without AMX: bf16
 * kernels 95 GFLOP/s, f32 300.
 */
export type Products = 'native' | 'widened';

/**
 * Builds one TensorFlow graph: nodes, functions and variables. It knows nothing of models.
 * Operations are added to the current body; `defineFunction` switches it.
 */
export class Graph {
  readonly main = new Body(null);
  readonly functions = new Map<string, FunctionDefinition>();
  /** Whether `fused` compiles its body with XLA; otherwise bodies are inlined. */
  readonly fusion: boolean;
  /** How products of bf16 matrices are computed (ops/linear.ts). */
  readonly products: Products;
  #body = this.main;
  #count = 0;
  #order = 0;
  #controls: string[] = [];

  constructor(options: { fusion: boolean; products?: Products | undefined }) {
    this.fusion = options.fusion;
    this.products = options.products ?? 'native';
  }

  get body(): Body {
    return this.#body;
  }

  uniqueName(prefix: string): string {
    return `${prefix}_${this.#count++}`;
  }

  /** Adds a node and returns its outputs. Inputs must live in the current body. */
  addOperation(options: {
    op: string;
    inputs: readonly Tensor[];
    attributes?: Record<string, Attribute>;
    outputs: readonly { shape: Shape; dtype: DType }[];
    gradient?: GradientFunction | null;
    name?: string;
  }): Tensor[] {
    for (const input of options.inputs)
      if (input.body !== this.#body)
        throw new Error(`${options.op}: input ${input.reference} belongs to another function body`);
    const name = options.name ?? this.uniqueName(options.op);
    this.#body.nodes.push({
      name,
      op: options.op,
      inputs: [...options.inputs.map((input) => input.reference), ...this.#controls],
      attributes: options.attributes ?? {},
    });
    const inFunction = this.#body.functionName !== null;
    const output = outputNames[options.op] ?? 'output';
    return this.#tensors(options, (i) =>
      inFunction ? `${name}:${output}:${i}` : i === 0 ? name : `${name}:${i}`,
    );
  }

  /**
   * Gives existing values another gradient: no node is added, the returned tensors refer to the same values, and
   * reverse mode sees one operation from `inputs` to them with the gradient given.
   */
  withGradient(inputs: readonly Tensor[], values: readonly Tensor[], gradient: GradientFunction): Tensor[] {
    return this.#tensors(
      { op: 'WithGradient', inputs, outputs: values, gradient },
      (i) => values[i]!.reference,
    );
  }

  #tensors(
    options: {
      op: string;
      inputs: readonly Tensor[];
      outputs: readonly { shape: Shape; dtype: DType }[];
      gradient?: GradientFunction | null;
    },
    reference: (index: number) => string,
  ): Tensor[] {
    const source: Operation = {
      type: options.op,
      inputs: options.inputs,
      outputs: [],
      gradient: options.gradient ?? null,
      order: this.#order++,
    };
    options.outputs.forEach(({ shape, dtype }, i) =>
      source.outputs.push({ graph: this, body: this.#body, reference: reference(i), shape, dtype, source }),
    );
    return source.outputs;
  }

  /** Nodes added by `build` run only after those named in `controls` (tensors or node names of this body). */
  after<R>(controls: readonly (Tensor | string)[], build: () => R): R {
    const outer = this.#controls;
    this.#controls = [
      ...new Set([
        ...outer,
        ...controls.map((c) => `^${(typeof c === 'string' ? c : c.reference).split(':')[0]!}`),
      ]),
    ];
    try {
      return build();
    } finally {
      this.#controls = outer;
    }
  }

  /** Traces `build` as the body of a new function and registers it. */
  defineFunction(
    name: string,
    inputs: readonly { shape: Shape; dtype: DType }[],
    build: (inputs: Tensor[]) => readonly Tensor[],
    attributes: Record<string, Attribute> = {},
  ): { shape: Shape; dtype: DType }[] {
    if (this.functions.has(name)) throw new Error(`function ${name} is defined twice`);
    const [outerBody, outerControls] = [this.#body, this.#controls];
    this.#body = new Body(name);
    this.#controls = [];
    try {
      const parameters = inputs.map((input, i) => {
        const [tensor] = this.#tensors({ op: 'Parameter', inputs: [], outputs: [input] }, () => `a${i}`);
        return tensor!;
      });
      const outputs = build(parameters);
      this.functions.set(name, {
        name,
        inputs: inputs.map((input, i) => ({ name: `a${i}`, dtype: input.dtype })),
        outputs: outputs.map((output, i) => ({
          name: `o${i}`,
          dtype: output.dtype,
          reference: output.reference,
        })),
        nodes: this.#body.nodes,
        attributes,
      });
      return outputs.map(({ shape, dtype }) => ({ shape, dtype }));
    } finally {
      this.#body = outerBody;
      this.#controls = outerControls;
    }
  }

  /** A value fed at each call. */
  placeholder(name: string, shape: Shape, dtype: DType): Tensor {
    const [tensor] = this.addOperation({
      op: 'Placeholder',
      inputs: [],
      attributes: { dtype: { kind: 'type', value: dtype }, shape: { kind: 'shape', value: shape } },
      outputs: [{ shape, dtype }],
      name,
    });
    return tensor!;
  }

  /** A constant; numbers are converted to `dtype`. Keep it small: constants live in the graph file. */
  constant(values: number | ArrayLike<number>, dtype: DType = 'f32', shape?: Shape): Tensor {
    const list = typeof values === 'number' ? [values] : values;
    const finalShape = shape ?? (typeof values === 'number' ? [] : [list.length]);
    if (elementCount(finalShape) !== list.length)
      throw new Error(`constant: ${list.length} values do not fill [${finalShape.join()}]`);
    const key =
      list.length <= 16 && this.#controls.length === 0
        ? `${dtype} ${finalShape.join()} ${Array.from(list).join()}`
        : null;
    const known = key === null ? undefined : this.#body.constants.get(key);
    if (known) return known;
    const [tensor] = this.addOperation({
      op: 'Const',
      inputs: [],
      attributes: {
        dtype: { kind: 'type', value: dtype },
        value: { kind: 'tensor', dtype, shape: finalShape, content: encode(list, dtype) },
      },
      outputs: [{ shape: finalShape, dtype }],
    });
    if (key !== null) this.#body.constants.set(key, tensor!);
    return tensor!;
  }
}

function encode(values: ArrayLike<number>, dtype: DType): Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Uint8Array(Float32Array.from(values).buffer);
    case 'bf16':
      return new Uint8Array(toBfloat16(Float32Array.from(values)).buffer);
    case 'i32':
      return new Uint8Array(Int32Array.from(values).buffer);
    case 'i64':
      return new Uint8Array(BigInt64Array.from(Array.from(values, BigInt)).buffer);
    case 'u8':
    case 'bool':
      return Uint8Array.from(values);
    case 'f16':
    case 'i8':
      throw new Error(`${dtype} constants are not needed by any graph`);
    default:
      throw new Error(`unknown dtype ${String(dtype satisfies never)}`);
  }
}

/** The attribute `{ T: dtype }` that most operations have. */
export function typeAttribute(dtype: DType, name = 'T'): Record<string, Attribute> {
  return { [name]: { kind: 'type', value: dtype } };
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
