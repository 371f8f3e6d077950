import { add } from './ops/elementwise.ts';
import type { Operation, Tensor } from './graph.ts';

/**
 * Reverse-mode differentiation inside one body.
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
    if (operation.gradient && operation.inputs.some((input) => needed.has(input)))
      for (const output of operation.outputs) needed.add(output);

  const sums = new Map<Tensor, Tensor>();
  const accumulate = (value: Tensor, gradient: Tensor) => {
    const sum = sums.get(value);
    sums.set(value, sum ? add(sum, gradient) : gradient);
  };
  outputs.forEach((output, i) => {
    if (needed.has(output)) accumulate(output, upstream[i]!);
  });

  for (const operation of operations.reverse()) {
    const wanted = operation.inputs.map((input) => needed.has(input));
    const arriving = operation.outputs.map((output) => sums.get(output) ?? null);
    if (!operation.gradient || !wanted.includes(true) || arriving.every((g) => g === null)) continue;
    const results = operation.gradient(arriving, wanted);
    operation.inputs.forEach((input, i) => {
      const gradient = results[i];
      if (wanted[i] && gradient) accumulate(input, gradient);
    });
  }
  return targets.map((target) => sums.get(target) ?? null);
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
