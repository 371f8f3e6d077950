import type { AdapterConfig, TargetModule, TrainConfig } from '../../contract/training.ts';
import { methodOf } from '../../methods/registry.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import { linearModules, moduleSize, type ModelShape } from '../../shape/modelShape.ts';
import { makeValue, Tape, type Value } from './tape.ts';

/** What one decoder layer keeps for the backward pass, and what its products cost. */
export interface LayerCost {
  /** Bytes of inputs, norms, projections, MLP and what the adapters keep. */
  keptBytes: number;
  /** Bytes of queries, keys, values and attention weights. */
  attentionBytes: number;
  /** Floating-point operations of the products. */
  flops: { forward: number; backward: number };
}

/**
 * Op by op, what a gradient computes again from kept sums waits for nothing and is there from the forward pass on, in
 * f32: of the gated unit and of the norms so many tensors, and so many more that widen bf16 (measured; compiled
 * functions have none of this).
 */
const eager = { gated: 2.5, normed: 6, widened: 2 };

/**
 * One decoder layer of the engine (engine/model/decoder.ts) over sizes: the same modules in the same order, with the
 * same savings. A norm keeps the sum that it takes, attention its weights and not its scores, the gated unit two sums
 * instead of their addends; what norms and gated units give is computed again for adapters of few columns.
 *
 * @param adapters options at each adapted module of the layer
 * @param options.hasGradient whether anything before the layer is trained
 */
export function layerCost(
  shape: ModelShape,
  config: Pick<TrainConfig, 'precision'> & { dropout: number; isFull: boolean },
  layout: BatchLayout,
  adapters: ReadonlyMap<TargetModule, AdapterConfig>,
  options: { hasGradient: boolean; isFused: boolean; queryBlock: number },
): LayerCost {
  const { batch, tokens, longestExample = tokens } = layout;
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim } = shape;
  const { queryBlock } = options;
  const rows = batch * tokens;
  const wide = config.precision === 'bf16' ? 2 : 4;
  const tape = new Tape(options.isFused);
  const attention = new Tape(options.isFused);
  /** Attention weights of all heads and blocks, in elements. */
  let weightElements = 0;
  const value = (size: number, inputs: readonly Value[], isMadeAgain = false) =>
    makeValue([rows, size], wide, { inputs, isMadeAgain });

  const linear = (module: TargetModule, x: Value): Value[] => {
    const size = moduleSize(shape, module);
    const weight = makeValue([size.dOut, size.dIn], wide, { hasGradient: config.isFull, isStored: true });
    const base = tape.linear(x, weight);
    const own = adapters.get(module);
    const method = own && methodOf(own);
    if (!method) return [base];
    const parameters = new Map(
      [...method.parameters(size, own), ...method.sharedParameters(own)].map((spec) => [spec.suffix, spec]),
    );
    return [
      ...method.forward(tape, {
        config: own,
        shape: size,
        rows,
        x,
        base,
        weight,
        weightRows: (numbers) => tape.gather(weight, numbers, 0),
        product: (given) => tape.linear(given, weight),
        taskSelection: makeValue([rows, own.tasks + 1], wide, { isStored: true }),
        parameter: (suffix) => {
          const spec = parameters.get(suffix)!;
          return makeValue(spec.shape, wide, { hasGradient: spec.trainable, isStored: true });
        },
        dropout: (given) =>
          config.dropout === 0
            ? given
            : tape.multiply(given, makeValue(given.shape, given.bytesPerElement, { hasGradient: false })),
      }),
    ];
  };
  const add = (terms: readonly Value[]): Value => {
    const total = value(terms[0]!.shape[1]!, terms);
    if (total.hasGradient) tape.keep(total);
    return total;
  };
  /** A norm of q, k or a branch's output reads its addends again in the backward pass. */
  const keepNormed = (terms: readonly Value[]) => {
    for (const term of terms) if (term.hasGradient) tape.keep(term);
  };

  const stream = value(hiddenSize, []);
  stream.hasGradient = options.hasGradient || config.isFull;
  const normed = value(hiddenSize, [add([stream])], stream.hasGradient);
  const [attentionNames, mlpNames] = halves(linearModules(shape));
  const projected = attentionNames.slice(0, -1).flatMap((module) => {
    const terms = linear(module, normed);
    if (shape.queryKeyNorm !== 'none' && module !== 'v_proj') keepNormed(terms);
    return terms;
  });
  const attended = attend(projected);
  const afterAttention = linear('o_proj', attended);
  if (shape.normPlacement !== 'before') keepNormed(afterAttention);
  const sum = add([stream, ...afterAttention]);
  const middle = value(hiddenSize, [sum], sum.hasGradient);
  const opened = mlpNames.slice(0, -1).flatMap((module) => linear(module, middle));
  const [gate, up] = [value(intermediateSize, opened), value(intermediateSize, opened)];
  if (gate.hasGradient) for (const sum of [gate, up]) tape.keep(sum);
  const closed = linear('down_proj', value(intermediateSize, [gate, up], gate.hasGradient));
  if (shape.normPlacement !== 'before') keepNormed(closed);

  const isWidened = wide === 2;
  const widened = isWidened ? eager.widened : 0;
  const eagerBytes =
    4 * rows * ((eager.gated + widened) * intermediateSize + (eager.normed + widened) * hiddenSize);
  return {
    keptBytes: tape.keptBytes + (options.isFused ? 0 : eagerBytes),
    attentionBytes: attention.keptBytes + (options.isFused || !isWidened ? 0 : 4 * weightElements),
    flops: {
      forward: tape.flops.forward + attention.flops.forward,
      backward: tape.flops.backward + attention.flops.backward,
    },
  };

  function attend(inputs: readonly Value[]): Value {
    const keep = (sizes: readonly number[]) => {
      const made = makeValue(sizes, wide, { inputs });
      if (made.hasGradient) attention.keep(made);
    };
    for (let begin = 0; begin < tokens; begin += queryBlock) {
      const queries = Math.min(queryBlock, tokens - begin);
      const keys = begin + queries - Math.max(0, begin - longestExample + 1);
      keep([batch, heads, queries, headDim]);
      keep([batch, keyValueHeads, keys, headDim]);
      keep([batch, keyValueHeads, keys, headDim]);
      keep([batch, heads, queries, keys]);
      weightElements += batch * heads * queries * keys;
      // q k^T and p v.
      const flops = 2 * 2 * batch * heads * queries * keys * headDim;
      attention.flops.forward += flops;
      if (inputs.some((input) => input.hasGradient)) attention.flops.backward += 2 * flops;
    }
    return value(heads * headDim, inputs);
  }
}

/** The modules of attention and the modules of the MLP; the last of each half writes to the residual stream. */
function halves(modules: readonly TargetModule[]): [TargetModule[], TargetModule[]] {
  const end = modules.indexOf('o_proj') + 1;
  return [modules.slice(0, end), modules.slice(end)];
}
