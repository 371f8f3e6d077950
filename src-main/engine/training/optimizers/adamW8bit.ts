import { elementCount } from '../../graph/dtype.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, divide, multiply, scale, sqrt, square } from '../../graph/ops/elementwise.ts';
import { callShared } from '../../graph/functions.ts';
import { assignSubVariable } from '../../graph/variables.ts';
import { adamScalars, adamW, decayWeights, type AdamConfig, type AdamScalars } from './adamW.ts';
import {
  assignQuantized,
  createQuantized,
  dequantize,
  dynamicMap,
  fromBlocks,
  quantize,
  readQuantized,
  toBlocks,
  type Quantized,
} from './blockwiseQuantization.ts';
import type { Optimizer } from './optimizer.ts';

/** Smaller tensors keep f32 moments, as in bitsandbytes: they cost little memory and suffer most. */
const smallestQuantized = 4096;

/**
 * AdamW with both moments kept in 8 bits between steps (Dettmers et al. 2022), as bitsandbytes' AdamW8bit: a step
 * widens them to f32, updates them, moves the weights by the f32 values, and rounds. State: 2 bytes and 8 / 256 bytes
 * of scales a parameter.
 */
export function adamW8bit(config: AdamConfig): Optimizer {
  const wide = adamW(config);
  return {
    scalars: (learningRate, update) => adamScalars(config, learningRate, update),
    attach(variable, rateFactor) {
      const { graph, name, shape } = variable;
      if (elementCount(shape) < smallestQuantized) return wide.attach(variable, rateFactor);
      const first = createQuantized(variable, `${name}.moment_1`);
      const second = createQuantized(variable, `${name}.moment_2`);
      return {
        state: [first.codes, first.scales, second.codes, second.scales],
        apply(gradient, scalars) {
          const rates = scalars as AdamScalars<Tensor>;
          const old = { m: readQuantized(first), v: readQuantized(second) };
          const { direction, m, v } = adamDirection(gradient, old, rates.corrected_epsilon, config);
          const step = multiply(direction, scale(rates.corrected_rate, rateFactor));
          const decayed = decayWeights(variable, scale(rates.learning_rate, rateFactor), config.weightDecay);
          const moved = graph.after(decayed, () => assignSubVariable(variable, step));
          return [moved, ...assignQuantized(first, m), ...assignQuantized(second, v)];
        },
      };
    },
  };
}

const maps = { m: dynamicMap(true), v: dynamicMap(false) };

/** m / (sqrt(v) + epsilon) of the new moments, in the gradient's shape, and the moments, quantized again. */
function adamDirection(
  gradient: Tensor,
  old: { m: Quantized; v: Quantized },
  epsilon: Tensor,
  { beta1, beta2 }: AdamConfig,
): { direction: Tensor; m: Quantized; v: Quantized } {
  const inputs = [gradient, old.m.codes, old.m.scales, old.v.codes, old.v.scales, epsilon];
  const [direction, ...moments] = callShared(gradient.graph, 'adam_8bit', inputs, (given) => {
    const [g, mCodes, mScales, vCodes, vScales, small] = given as Six<Tensor>;
    const blocks = toBlocks(g);
    const m = average(dequantize({ codes: mCodes, scales: mScales }, maps.m), blocks, beta1);
    const v = average(dequantize({ codes: vCodes, scales: vScales }, maps.v), square(blocks), beta2);
    const [first, second] = [quantize(m, maps.m), quantize(v, maps.v)];
    const result = fromBlocks(divide(m, add(sqrt(v), small)), gradient.shape);
    return [result, first.codes, first.scales, second.codes, second.scales];
  });
  const [mCodes, mScales, vCodes, vScales] = moments;
  return {
    direction: direction!,
    m: { codes: mCodes!, scales: mScales! },
    v: { codes: vCodes!, scales: vScales! },
  };
}

type Six<T> = [T, T, T, T, T, T];

/** beta old + (1 - beta) value */
function average(old: Tensor, value: Tensor, beta: number): Tensor {
  return add(scale(old, beta), scale(value, 1 - beta));
}
