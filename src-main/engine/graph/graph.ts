import { possibleParts, type WorkParts } from '../../options/deviceSizes.ts';
import { elementCount, encode, type DType } from './dtype.ts';
import { outputNames, type Attribute, type FunctionDefinition, type GraphNode } from './nodes.ts';

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
 * x y, or x^T y, that reverse mode makes when the gradient is asked for: by then it can be joined with others (see
 * `gradients`).
 */
export interface LaterProduct {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly transposeX: boolean;
}

/** Gradients of an operation's inputs; null: none flows there. */
export type InputGradients = readonly (Tensor | LaterProduct | null)[];

/**
 * Gradients of an operation's inputs, given those of its outputs (null: no gradient arrives there).
 * `wanted[i]` is false where nobody needs the gradient of input i: return null there without building nodes, so that
 * the gradient of a frozen weight is never computed.
 */
export type GradientFunction = (
  upstream: readonly (Tensor | null)[],
  wanted: readonly boolean[],
) => InputGradients;

/**
 * The same for operations that add up what arrives at an output by themselves, in the loop in which they read it
 * anyway: they get the addends, none where no gradient arrives.
 *
 * `read[i]` says whether a product that is made at the end of the backward pass reads output i. An operation that gives
 * its outputs `again` in that same loop, or null, spares the forward pass to keep them.
 */
export type AddendGradientFunction = (
  upstream: readonly (readonly Tensor[])[],
  wanted: readonly boolean[],
  read: readonly boolean[],
) => InputGradients | { gradients: InputGradients; again: readonly (Tensor | null)[] };

export interface Operation {
  readonly type: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: Tensor[];
  /** Null: no gradient flows through (integers, comparisons, stopped values), or `gradientOfAddends` says it. */
  readonly gradient: GradientFunction | null;
  readonly gradientOfAddends: AddendGradientFunction | null;
  /** Creation order: every input's operation has a smaller number. */
  readonly order: number;
}

/** A list of nodes: the main graph, or the inside of a function. */
export class Body {
  readonly nodes: GraphNode[] = [];
  /** Small constants by type, shape and values: shapes and axes recur thousands of times. */
  readonly constants = new Map<string, Tensor>();
  /** Null: the main graph. */
  readonly functionName: string | null;
  /** Whether XLA compiles it. */
  readonly isCompiled: boolean;
  /** What a function takes besides its inputs, by its reference in the main graph; null: it may take nothing. */
  readonly captured: Map<string, { value: Tensor; parameter: Tensor }> | null;
  /** Nodes are numbered by body, so that equal functions are equal to the letter. */
  named = 0;
  constructor(functionName: string | null, options: { isCompiled?: boolean; captures?: boolean } = {}) {
    this.functionName = functionName;
    this.isCompiled = options.isCompiled ?? false;
    this.captured = options.captures ? new Map() : null;
  }
}

/** Names of what a function takes from around it begin so. */
const capturedPrefix = 'c';

/**
 * `native`: TensorFlow's bf16 kernels, right where the processor multiplies bf16 matrices (AMX, tensor cores).
 * `widened`: operands cast to f32, product in f32, result rounded to bf16. Products of bf16 numbers are exact in f32
 * and both sum in f32, so the two differ by the order of summation only. Measured on two cores without AMX: bf16
 * kernels 95 GFLOP/s, f32 300.
 */
export type Products = 'native' | 'widened';

/** What computes a graph. */
export type Device = 'cpu' | 'gpu';

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
  readonly device: Device;
  /** Into what parts attention and the output head are cut. */
  readonly parts: WorkParts;
  #body = this.main;
  #order = 0;
  #controls: string[] = [];

  /** @param options.device absent: the processor @param options.parts absent: the fastest that suit the device */
  constructor(options: {
    fusion: boolean;
    products?: Products | undefined;
    device?: Device | undefined;
    parts?: WorkParts | undefined;
  }) {
    this.fusion = options.fusion;
    this.products = options.products ?? 'native';
    this.device = options.device ?? 'cpu';
    this.parts = options.parts ?? possibleParts(this.device)[0];
  }

  get body(): Body {
    return this.#body;
  }

  uniqueName(prefix: string): string {
    return `${prefix}_${this.#body.named++}`;
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
    const inputs = options.inputs.map((input) => this.#reached(input, options.op));
    const name = options.name ?? this.uniqueName(options.op);
    this.#body.nodes.push({
      name,
      op: options.op,
      inputs: [...inputs.map((input) => input.reference), ...this.#controls],
      attributes: options.attributes ?? {},
    });
    const inFunction = this.#body.functionName !== null;
    const output = outputNames[options.op] ?? 'output';
    const place = (i: number) => (typeof output === 'string' ? `${output}:${i}` : `${output[i]}:0`);
    return this.#tensors({ ...options, inputs }, (i) =>
      inFunction ? `${name}:${place(i)}` : i === 0 ? name : `${name}:${i}`,
    );
  }

  /**
   * Gives existing values another gradient: no node is added, the returned tensors refer to the same values, and
   * reverse mode sees one operation from `inputs` to them with the gradient given.
   */
  withGradient(inputs: readonly Tensor[], values: readonly Tensor[], gradient: GradientFunction): Tensor[] {
    return this.#tensors(
      { op: 'WithGradient', inputs, outputs: values, gradient },
      (i) => this.#reached(values[i]!, 'WithGradient').reference,
    );
  }

  /** Like `withGradient`, for a gradient that adds up what arrives. */
  withGradientOfAddends(
    inputs: readonly Tensor[],
    values: readonly Tensor[],
    gradientOfAddends: AddendGradientFunction,
  ): Tensor[] {
    return this.#tensors(
      { op: 'WithGradient', inputs, outputs: values, gradientOfAddends },
      (i) => this.#reached(values[i]!, 'WithGradient').reference,
    );
  }

  /** A value as the current body sees it. */
  #reached(value: Tensor, op: string): Tensor {
    if (value.body === this.#body) return value;
    const { captured } = this.#body;
    if (!captured || value.body !== this.main)
      throw new Error(`${op}: input ${value.reference} belongs to another function body`);
    const known = captured.get(value.reference);
    if (known) return known.parameter;
    const place = captured.size;
    const [parameter] = this.#tensors(
      { op: 'Parameter', inputs: [], outputs: [value] },
      () => `${capturedPrefix}${place}`,
    );
    captured.set(value.reference, { value, parameter: parameter! });
    return parameter!;
  }

  /** Adds what `build` makes to the main graph, whichever function is being traced. */
  inMain<R>(build: () => R): R {
    const [body, controls] = [this.#body, this.#controls];
    if (body !== this.main) [this.#body, this.#controls] = [this.main, []];
    try {
      return build();
    } finally {
      [this.#body, this.#controls] = [body, controls];
    }
  }

  #tensors(
    options: {
      op: string;
      inputs: readonly Tensor[];
      outputs: readonly { shape: Shape; dtype: DType }[];
      gradient?: GradientFunction | null;
      gradientOfAddends?: AddendGradientFunction;
    },
    reference: (index: number) => string,
  ): Tensor[] {
    const source: Operation = {
      type: options.op,
      inputs: options.inputs,
      outputs: [],
      gradient: options.gradient ?? null,
      gradientOfAddends: options.gradientOfAddends ?? null,
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
    const { definition, outputs } = this.#traced(name, inputs, build, attributes, false);
    this.addFunction(definition);
    return outputs;
  }

  /**
   * Traces a function that may read values of the main graph besides its inputs: they become further inputs of it. It
   * is not registered: where an equal one is known already, that one serves.
   * @returns `captured`, those values, which a call passes behind the inputs
   */
  traceFunction(
    name: string,
    inputs: readonly { shape: Shape; dtype: DType }[],
    build: (inputs: Tensor[]) => readonly Tensor[],
    attributes: Record<string, Attribute>,
  ): { definition: FunctionDefinition; outputs: { shape: Shape; dtype: DType }[]; captured: Tensor[] } {
    return this.#traced(name, inputs, build, attributes, true);
  }

  addFunction(definition: FunctionDefinition): void {
    const { name } = definition;
    if (this.functions.has(name)) throw new Error(`function ${name} is defined twice`);
    this.functions.set(name, definition);
  }

  #traced(
    name: string,
    inputs: readonly { shape: Shape; dtype: DType }[],
    build: (inputs: Tensor[]) => readonly Tensor[],
    attributes: Record<string, Attribute>,
    captures: boolean,
  ) {
    const [outerBody, outerControls] = [this.#body, this.#controls];
    const body = new Body(name, { isCompiled: '_XlaMustCompile' in attributes, captures });
    [this.#body, this.#controls] = [body, []];
    try {
      const parameters = inputs.map((input, i) => {
        const [tensor] = this.#tensors({ op: 'Parameter', inputs: [], outputs: [input] }, () => `a${i}`);
        return tensor!;
      });
      const outputs = build(parameters).map((output) => this.#reached(output, name));
      const captured = [...(body.captured?.values() ?? [])].map(({ value }) => value);
      const definition: FunctionDefinition = {
        name,
        inputs: [
          ...inputs.map(({ dtype }, i) => ({ name: `a${i}`, dtype })),
          ...captured.map(({ dtype }, i) => ({ name: `${capturedPrefix}${i}`, dtype })),
        ],
        outputs: outputs.map(({ dtype, reference }, i) => ({ name: `o${i}`, dtype, reference })),
        nodes: body.nodes,
        attributes,
      };
      return { definition, captured, outputs: outputs.map(({ shape, dtype }) => ({ shape, dtype })) };
    } finally {
      [this.#body, this.#controls] = [outerBody, outerControls];
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

/** The attribute `{ T: dtype }` that most operations have. */
export function typeAttribute(dtype: DType, name = 'T'): Record<string, Attribute> {
  return { [name]: { kind: 'type', value: dtype } };
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
