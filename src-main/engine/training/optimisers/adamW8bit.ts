import { elementCount } from '../../graph/dtype.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, divide, multiply, scale, sqrt, square } from '../../graph/ops/elementwise.ts';
import { assignSubVariable } from '../../graph/variables.ts';
import { adamScalars, adamW, decayWeights, type AdamConfig, type AdamScalars } from './adamW.ts';
import {
  assignQuantised,
  createQuantised,
  fromBlocks,
  readQuantised,
  toBlocks,
} from './blockwiseQuantisation.ts';
import type { Optimiser } from './optimiser.ts';

/** Smaller tensors keep f32 moments, as in bitsandbytes: they cost little memory and suffer most. */
const smallestQuantised = 4096;

/**
 * AdamW with both moments kept in 8 bits between steps (Dettmers et al. 2022), as bitsandbytes' AdamW8bit: a step widens them to
 * f32, updates them, moves the weights by the f32 values, and rounds. State: 2 bytes and 8 / 256 bytes of scales a parameter.
 */
export function adamW8bit(config: AdamConfig): Optimiser {
  const wide = adamW(config);
  return {
    scalars: (learningRate, update) => adamScalars(config, learningRate, update),
    attach(variable, rateFactor) {
      const { graph, name, shape } = variable;
      if (elementCount(shape) < smallestQuantised) return wide.attach(variable, rateFactor);
      const first = createQuantised(variable, `${name}.moment_1`, { signed: true });
      const second = createQuantised(variable, `${name}.moment_2`, { signed: false });
      return {
        state: [first.codes, first.scales, second.codes, second.scales],
        apply(gradient, scalars) {
          const rates = scalars as AdamScalars<Tensor>;
          const g = toBlocks(gradient);
          const m = average(readQuantised(first), g, config.beta1);
          const v = average(readQuantised(second), square(g), config.beta2);
          const direction = divide(m, add(sqrt(v), rates.corrected_epsilon));
          const step = multiply(fromBlocks(direction, shape), scale(rates.corrected_rate, rateFactor));
          const decayed = decayWeights(variable, scale(rates.learning_rate, rateFactor), config.weightDecay);
          const moved = graph.after(decayed, () => assignSubVariable(variable, step));
          return [moved, ...assignQuantised(first, m), ...assignQuantised(second, v)];
        },
      };
    },
  };
}

/** beta old + (1 - beta) value */
function average(old: Tensor, value: Tensor, beta: number): Tensor {
  return add(scale(old, beta), scale(value, 1 - beta));
}
