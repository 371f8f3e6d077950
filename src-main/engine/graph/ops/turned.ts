import type { Graph, Tensor } from '../graph.ts';
import { transpose } from './layout.ts';

/**
 * Products of few rows are computed turned (ops/linear.ts). Turning a result of 16 rows back takes TensorFlow a third
 * of the product's time, and a compiled function that reads it none: it reads the turned one and turns it itself. Of
 * more rows than this, XLA's loops walk through memory in long strides: calls of 128 rows took 97 instead of 74 ms of
 * processor time, of 64 a sixteenth more, of 32 a tenth less.
 */
export const mostTurnedBack = 32;

/** What was turned back, by the reference of the result in the main graph. */
const turned = new WeakMap<Graph, Map<string, Tensor>>();

/** x^T, remembering x where compiled functions may read that instead. @param x [n, m] */
export function turnedBack(x: Tensor): Tensor {
  const out = transpose(x, [1, 0]);
  const { graph } = x;
  if (graph.body === graph.main && out.shape[0]! <= mostTurnedBack) {
    const known = turned.get(graph) ?? new Map<string, Tensor>();
    turned.set(graph, known.set(out.reference, x));
  }
  return out;
}

/**
 * Inputs of a compiled function, those that were turned back as they were before. @returns `restored` turns them inside
 * the function
 */
export function beforeTurning(inputs: readonly Tensor[]): {
  given: Tensor[];
  restored(values: readonly Tensor[]): Tensor[];
} {
  const before = inputs.map(({ graph, body, reference }) =>
    body === graph.main ? turned.get(graph)?.get(reference) : undefined,
  );
  return {
    given: inputs.map((input, i) => before[i] ?? input),
    restored: (values) => values.map((value, i) => (before[i] ? transpose(value, [1, 0]) : value)),
  };
}
