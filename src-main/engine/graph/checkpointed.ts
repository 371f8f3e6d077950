import { gradients } from './gradients.ts';
import type { Operation, Tensor } from './graph.ts';

/**
 * Gradient checkpointing (Chen et al. 2016): of everything that `build` computes only the inputs are kept for the
 * backward pass, which computes the rest again, once the gradient of the outputs has arrived.
 *
 * The second computation depends on that gradient by control edges. Without them TensorFlow's optimizer would merge it
 * with the first one, as they are equal, and keep everything after all.
 *
 * @param build the same operations at each call; values it reads besides its inputs must exist before
 * @param trainable the values for which training wants gradients, asked for after `build`: those that `build` reads get
 * theirs, too
 */
export function checkpointed(
  inputs: readonly Tensor[],
  build: (inputs: readonly Tensor[]) => readonly Tensor[],
  trainable: () => Iterable<Tensor>,
): Tensor[] {
  const graph = inputs[0]!.graph;
  const outputs = build(inputs);
  const read = readBetween(outputs, inputs, new Set(trainable()));
  const sources = [...inputs, ...read];
  return graph.withGradient(sources, outputs, (upstream, wanted) => {
    const arriving = upstream.filter((gradient) => gradient !== null);
    const again = graph.after(arriving, () => build(inputs)).filter((_, i) => upstream[i] !== null);
    const targets = sources.filter((_, i) => wanted[i]);
    const found = gradients(again, arriving, targets);
    let next = 0;
    return wanted.map((isWanted) => (isWanted ? found[next++]! : null));
  });
}

/** Those of `candidates` on which the outputs depend, other than through the inputs. */
function readBetween(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  candidates: ReadonlySet<Tensor>,
): Tensor[] {
  const stop = new Set(inputs);
  const found = new Set<Tensor>();
  const seen = new Set<Operation>();
  const queue = outputs.filter((output) => !stop.has(output));
  for (let tensor = queue.pop(); tensor; tensor = queue.pop()) {
    if (candidates.has(tensor)) found.add(tensor);
    if (seen.has(tensor.source)) continue;
    seen.add(tensor.source);
    for (const input of tensor.source.inputs) if (!stop.has(input)) queue.push(input);
  }
  return [...found];
}
