import type { AddendGradientFunction, InputGradients, LaterProduct, Operation, Tensor } from './graph.ts';
import { addAll } from './ops/elementwise.ts';
import { concat, sliceAxis } from './ops/layout.ts';
import { matmul } from './ops/linear.ts';

/**
 * Reverse-mode differentiation inside one body.
 *
 * What arrives at a value is kept as addends until it is read: operations that can do so add them up in the loop in
 * which they read them (Graph.withGradientOfAddends), the others get their sum. Products of few columns, as those with
 * the matrices of adapters, are made as late as that, and joined: x_1 y_1 + x_2 y_2 is [x_1 x_2] [y_1; y_2], rounded
 * once, and x_1^T y and x_2^T y are the rows of [x_1 x_2]^T y. Each alone would leave the kernels half empty and write
 * a result as large as a layer's input. The latter are made at the end, of a y that is computed again where its
 * operation does that on the way: then the forward pass need not keep it.
 *
 * @param outputs values y_j
 * @param upstream dL/dy_j, in the shape and type of y_j
 * @param targets values x_i
 * @returns dL/dx_i for each target, or null where L does not depend on it
 */
export function gradients(
  outputs: readonly Tensor[],
  upstream: readonly Tensor[],
  targets: readonly Tensor[],
): (Tensor | null)[] {
  const operations = operationsBetween(outputs, targets);
  const needed = new Set<Tensor>(targets);
  for (const operation of operations)
    if (hasGradient(operation) && operation.inputs.some((input) => needed.has(input)))
      for (const output of operation.outputs) needed.add(output);

  const arrived = new Arrived();
  outputs.forEach((output, i) => {
    if (needed.has(output)) arrived.add(output, upstream[i]!);
  });
  const ofAddends = (
    { outputs: results }: Operation,
    gradient: AddendGradientFunction,
    wanted: readonly boolean[],
  ): InputGradients => {
    const found = gradient(
      results.map((result) => arrived.addendsOf(result)),
      wanted,
      results.map((result) => arrived.isReadLater(result)),
    );
    if (!('again' in found)) return found;
    found.again.forEach((value, i) => {
      if (value) arrived.readInstead(results[i]!, value);
    });
    return found.gradients;
  };
  const pass = (operation: Operation): void => {
    const wanted = operation.inputs.map((input) => needed.has(input));
    const { outputs: results } = operation;
    if (!hasGradient(operation) || !wanted.includes(true) || !results.some((result) => arrived.has(result)))
      return;
    const found = operation.gradientOfAddends
      ? ofAddends(operation, operation.gradientOfAddends, wanted)
      : operation.gradient!(
          results.map((result) => arrived.sumOf(result)),
          wanted,
        );
    operation.inputs.forEach((input, i) => {
      const gradient = found[i];
      if (wanted[i] && gradient) arrived.add(input, gradient);
    });
  };

  // Operations on nothing but targets, as casts of parameters, come last: by then all products of one x are known.
  const isTarget = new Set(targets);
  const mayWait = operations.every(({ outputs: results }) => !results.some((result) => isTarget.has(result)));
  const waits = ({ inputs, gradientOfAddends }: Operation) =>
    mayWait && !gradientOfAddends && inputs.every((input) => !needed.has(input) || isTarget.has(input));
  const backward = operations.reverse();
  for (const operation of backward) if (!waits(operation)) pass(operation);
  arrived.makeProductsOfRows();
  for (const operation of backward) if (waits(operation)) pass(operation);
  return targets.map((target) => arrived.sumOf(target));
}

function hasGradient({ gradient, gradientOfAddends }: Operation): boolean {
  return gradient !== null || gradientOfAddends !== null;
}

/** What arrives at values, not yet added up. */
class Arrived {
  readonly #tensors = new Map<Tensor, Tensor[]>();
  readonly #products = new Map<Tensor, LaterProduct[]>();
  /** Values that are y of an x^T y to be made. */
  readonly #rights = new Set<Tensor>();
  readonly #again = new Map<Tensor, Tensor>();

  add(value: Tensor, gradient: Tensor | LaterProduct): void {
    if ('source' in gradient) append(this.#tensors, value, gradient);
    else {
      append(this.#products, value, gradient);
      if (gradient.transposeX) this.#rights.add(gradient.y);
    }
  }

  has(value: Tensor): boolean {
    return this.#tensors.has(value) || this.#products.has(value);
  }

  /** The addends of what arrives; products are made by now. */
  addendsOf(value: Tensor): readonly Tensor[] {
    const products = this.#products.get(value) ?? [];
    this.#products.delete(value);
    const direct = products.filter(({ transposeX }) => !transposeX);
    if (direct.length > 0) append(this.#tensors, value, sumOfProducts(direct));
    for (const { x, y, transposeX } of products)
      if (transposeX) append(this.#tensors, value, matmul(x, y, { transposeX }));
    return this.#tensors.get(value) ?? [];
  }

  sumOf(value: Tensor): Tensor | null {
    const addends = this.addendsOf(value);
    if (addends.length === 0) return null;
    const sum = addAll(addends);
    this.#tensors.set(value, [sum]);
    return sum;
  }

  /** Whether a product x^T y that is not made yet reads a value as its y. */
  isReadLater(value: Tensor): boolean {
    return this.#rights.has(value);
  }

  /** Lets products that are not made yet read another tensor of the same value. */
  readInstead(value: Tensor, again: Tensor): void {
    this.#again.set(value, again);
  }

  /** Makes all x^T y with the same y as one product, and gives each value its rows. */
  makeProductsOfRows(): void {
    const byRight = new Map<Tensor, { value: Tensor; x: Tensor }[]>();
    for (const [value, products] of this.#products) {
      for (const { x, y, transposeX } of products) if (transposeX) append(byRight, y, { value, x });
      const left = products.filter(({ transposeX }) => !transposeX);
      if (left.length > 0) this.#products.set(value, left);
      else this.#products.delete(value);
    }
    for (const [y, parts] of byRight) {
      const lefts = parts.map(({ x }) => x);
      const all = matmul(concat(lefts, 1), this.#again.get(y) ?? y, { transposeX: true });
      let begin = 0;
      for (const { value, x } of parts) {
        append(this.#tensors, value, sliceAxis(all, 0, begin, x.shape[1]!));
        begin += x.shape[1]!;
      }
    }
  }
}

/**
 * sum_i x_i y_i as one product. The y, parameters and rows of weights, are joined once the x are there: otherwise those
 * of all layers would be as soon as a step begins.
 */
function sumOfProducts(products: readonly LaterProduct[]): Tensor {
  const left = concat(
    products.map(({ x }) => x),
    1,
  );
  const rights = () =>
    concat(
      products.map(({ y }) => y),
      0,
    );
  const { graph } = left;
  return matmul(left, graph.body.isCompiled ? rights() : graph.after([left], rights));
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** All operations that the outputs depend on, oldest first; the search does not go behind the targets. */
function operationsBetween(outputs: readonly Tensor[], targets: readonly Tensor[]): Operation[] {
  const stop = new Set(targets);
  const found = new Set<Operation>();
  const queue = outputs.filter((output) => !stop.has(output)).map((output) => output.source);
  for (let operation = queue.pop(); operation; operation = queue.pop()) {
    if (found.has(operation)) continue;
    found.add(operation);
    for (const input of operation.inputs) if (!stop.has(input)) queue.push(input.source);
  }
  return [...found].sort((a, b) => a.order - b.order);
}
