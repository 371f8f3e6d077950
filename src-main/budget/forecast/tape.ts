import type { MethodOps } from '../../methods/ops.ts';
import { mostJoinedColumns } from '../../options/deviceSizes.ts';

/** A tensor without numbers: its size, and its part in the backward pass. */
export interface Value {
  shape: readonly number[];
  bytesPerElement: number;
  /** Whether a gradient flows through it. */
  hasGradient: boolean;
  /** The value whose memory it shows: its own, or that of what it is a view of. */
  root: Value;
  /** Lies in memory anyway (weights, adapter parameters): keeping it costs nothing. */
  isStored: boolean;
  /** The backward pass computes it again on its way: products of few columns that read it are made of that. */
  isMadeAgain: boolean;
  /** What it was computed from. */
  inputs: readonly Value[];
}

/** @param options.inputs what it is computed from: it has a gradient where one of them has */
export function makeValue(
  shape: readonly number[],
  bytesPerElement: number,
  options: {
    hasGradient?: boolean;
    isStored?: boolean;
    isMadeAgain?: boolean;
    inputs?: readonly Value[];
  } = {},
): Value {
  const { inputs = [], isStored = false, isMadeAgain = false } = options;
  const hasGradient = options.hasGradient ?? inputs.some((input) => input.hasGradient);
  const made = { shape, bytesPerElement, hasGradient, isStored, isMadeAgain, inputs } as Value;
  made.root = made;
  return made;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function bytesOf({ shape, bytesPerElement }: Value): number {
  return elements(shape) * bytesPerElement;
}

/**
 * The operations of a method over sizes: nothing is computed, but it is written down what the backward pass will need
 * (the same rules as engine/graph's gradients) and how many floating-point operations the products take. What a
 * method's own `forward` says is thereby all that a forecast needs to know of it.
 */
export class Tape implements MethodOps<Value> {
  /** Of the matrix products, forward and backward; a product of [m, k] with [k, n] takes 2 m k n. */
  flops = { forward: 0, backward: 0 };
  #kept = new Set<Value>();
  readonly #isFused: boolean;
  #isBackward = false;

  /**
   * @param isFused whether elementwise work is compiled into functions, which keep only their inputs
   * (engine/graph/fused.ts)
   */
  constructor(isFused: boolean) {
    this.#isFused = isFused;
  }

  /** Writes down that the backward pass reads a value. */
  keep(value: Value): void {
    if (!value.root.isStored) this.#kept.add(value.root);
  }

  get keptBytes(): number {
    return [...this.#kept].reduce((total, value) => total + bytesOf(value), 0);
  }

  readonly matmul = (x: Value, y: Value): Value => this.#product(x, y, [x.shape[0]!, y.shape[1]!]);

  readonly linear = (x: Value, weight: Value): Value => {
    const isMadeAgain = x.isMadeAgain && this.#isFused && weight.shape[0]! <= mostJoinedColumns;
    return this.#product(x, weight, [x.shape[0]!, weight.shape[0]!], !isMadeAgain);
  };

  /** @param keepsX whether the gradient of y reads x as the forward pass left it */
  #product(x: Value, y: Value, shape: readonly [number, number], keepsX = true): Value {
    const once = 2 * elements(x.shape) * shape[1];
    if (this.#isBackward) this.flops.backward += once;
    else {
      this.flops.forward += once;
      this.flops.backward += once * (Number(x.hasGradient) + Number(y.hasGradient));
      if (x.hasGradient) this.keep(y);
      if (y.hasGradient && keepsX) this.keep(x);
    }
    return makeValue(shape, x.bytesPerElement, { inputs: [x, y] });
  }

  readonly add = (x: Value, y: Value): Value => broadcast([x, y]);
  readonly addAll = (terms: readonly Value[]): Value => broadcast(terms);
  readonly subtract = (x: Value, y: Value): Value => broadcast([x, y]);

  readonly multiply = (x: Value, y: Value): Value => {
    if (x.hasGradient) this.keep(y);
    if (y.hasGradient) this.keep(x);
    return broadcast([x, y]);
  };

  readonly divide = (x: Value, y: Value): Value => {
    if (x.hasGradient || y.hasGradient) this.keep(y);
    if (y.hasGradient) this.keep(x);
    return broadcast([x, y]);
  };

  readonly square = (x: Value): Value => {
    if (x.hasGradient) this.keep(x);
    return broadcast([x]);
  };

  readonly sqrt = (x: Value): Value => this.#keptResult(x);
  readonly softmax = (x: Value): Value => this.#keptResult(this.toF32(x));

  #keptResult(x: Value): Value {
    const result = broadcast([x]);
    if (x.hasGradient) this.keep(result);
    return result;
  }

  readonly scale = (x: Value): Value => broadcast([x]);
  readonly scalarLike = (x: Value): Value =>
    makeValue([], x.bytesPerElement, { hasGradient: false, isStored: true });

  readonly sum = (x: Value, axes: readonly number[]): Value =>
    makeValue(
      x.shape.filter((_, axis) => !axes.includes(axis)),
      x.bytesPerElement,
      { inputs: [x] },
    );

  readonly toF32 = (x: Value): Value =>
    x.bytesPerElement === 4 ? x : makeValue(x.shape, 4, { inputs: [x] });

  readonly toTypeOf = (like: Value, x: Value): Value =>
    like.bytesPerElement === x.bytesPerElement
      ? x
      : makeValue(x.shape, like.bytesPerElement, { inputs: [x] });

  readonly reshape = (x: Value, shape: readonly number[]): Value => ({ ...x, shape, inputs: [x] });

  readonly concat = (parts: readonly Value[], axis: number): Value => {
    const shape = parts[0]!.shape.map((size, i) =>
      i === axis ? parts.reduce((total, part) => total + part.shape[axis]!, 0) : size,
    );
    return makeValue(shape, parts[0]!.bytesPerElement, { inputs: parts });
  };

  readonly gather = (x: Value, indices: Value, axis: number): Value =>
    makeValue(
      x.shape.flatMap((size, i) => (i === axis ? indices.shape : [size])),
      x.bytesPerElement,
      { inputs: [x] },
    );

  readonly fused = <const I extends readonly Value[]>(
    _kind: string,
    inputs: I,
    body: (inputs: { readonly [K in keyof I]: Value }) => Value,
  ): Value => {
    type Inputs = { readonly [K in keyof I]: Value };
    if (!this.#isFused) return body(inputs as unknown as Inputs);
    const leaves = inputs.map(({ shape, bytesPerElement, hasGradient }) =>
      makeValue(shape, bytesPerElement, { hasGradient }),
    );
    const outside = this.#kept;
    this.#kept = new Set();
    const result = body(leaves as unknown as Inputs);
    // The gradient computes again what it reads, from the inputs.
    const read = reachable(this.#kept);
    this.#kept = outside;
    leaves.forEach((leaf, i) => {
      if (read.has(leaf)) this.keep(inputs[i]!);
    });
    return makeValue(result.shape, result.bytesPerElement, { inputs });
  };

  readonly stopGradient = (x: Value): Value => ({ ...x, hasGradient: false });

  readonly withProductGradient = (
    to: Value,
    value: Value,
    gradient: (upstream: Value) => { readonly x: Value; readonly y: Value },
  ): Value => {
    if (to.hasGradient) {
      this.#isBackward = true;
      const { x, y } = gradient({ ...value, hasGradient: false });
      this.matmul(x, y);
      this.#isBackward = false;
    }
    return { ...value, hasGradient: to.hasGradient, inputs: [to] };
  };
}

function broadcast(terms: readonly Value[]): Value {
  const largest = terms.reduce((most, term) => (elements(term.shape) > elements(most.shape) ? term : most));
  const bytesPerElement = terms.reduce((most, term) => Math.max(most, term.bytesPerElement), 0);
  return makeValue(largest.shape, bytesPerElement, { inputs: terms });
}

/** Everything that values were computed from, themselves included. */
function reachable(values: Iterable<Value>): Set<Value> {
  const found = new Set<Value>();
  const queue = [...values];
  for (let value = queue.pop(); value; value = queue.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    for (const input of value.inputs) queue.push(input);
    queue.push(value.root);
  }
  return found;
}
