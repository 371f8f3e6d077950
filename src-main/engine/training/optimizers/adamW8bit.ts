import { elementCount } from '../../graph/dtype.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, divide, multiply, scale, sqrt, square, subtract } from '../../graph/ops/elementwise.ts';
import { reshape } from '../../graph/ops/layout.ts';
import { dynamicMap } from '../../graph/dynamicMap.ts';
import { compiledCall } from '../../graph/fused.ts';
import { callShared } from '../../graph/functions.ts';
import { assignVariable, readVariable } from '../../graph/variables.ts';
import { adamScalars, adamW, type AdamConfig, type AdamScalars } from './adamW.ts';
import {
  assignQuantized,
  createQuantized,
  dequantize,
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
          const keep = subtract(
            graph.constant(1),
            scale(rates.learning_rate, rateFactor * config.weightDecay),
          );
          const { weights, m, v } = adamStep(
            {
              gradient: gradient.raw,
              factor: gradient.factor ?? graph.constant(1),
              weights: readVariable(variable),
              m: readQuantized(first),
              v: readQuantized(second),
              keep,
              rate: scale(rates.corrected_rate, rateFactor),
              epsilon: rates.corrected_epsilon,
            },
            config,
          );
          return [
            assignVariable(variable, weights),
            ...assignQuantized(first, m),
            ...assignQuantized(second, v),
          ];
        },
      };
    },
  };
}

const maps = { m: dynamicMap(true), v: dynamicMap(false) };

interface Step {
  gradient: Tensor;
  /** By which the gradient is clipped, scalar. */
  factor: Tensor;
  weights: Tensor;
  m: Quantized;
  v: Quantized;
  /** What decay leaves of the weights, scalar. */
  keep: Tensor;
  rate: Tensor;
  epsilon: Tensor;
}

/**
 * Weights and moments after a step, as one function that all variables of equal size share. Measured reason to have XLA
 * compile it: 84 ns of processor time a parameter node by node, most of it in the search for codes, and 5 compiled.
 */
function adamStep(step: Step, { beta1, beta2 }: AdamConfig): Pick<Step, 'weights' | 'm' | 'v'> {
  const { shape } = step.weights;
  // In one row, so that a matrix and its transpose, as LoRA's A and B, share what is compiled.
  const [gradientRow, weightsRow] = [step.gradient, step.weights].map(inOneRow) as [Tensor, Tensor];
  const inputs = [
    ...[gradientRow, step.factor, weightsRow, step.keep, step.rate, step.epsilon],
    ...[step.m.codes, step.m.scales, step.v.codes, step.v.scales],
  ];
  const body = (given: readonly Tensor[]) => {
    const [gradient, factor, weights, keep, rate, epsilon, mCodes, mScales, vCodes, vScales] =
      given as Ten<Tensor>;
    const blocks = toBlocks(multiply(gradient, factor));
    const m = average(dequantize({ codes: mCodes, scales: mScales }, maps.m), blocks, beta1);
    const v = average(dequantize({ codes: vCodes, scales: vScales }, maps.v), square(blocks), beta2);
    const [first, second] = [quantize(m, maps.m), quantize(v, maps.v)];
    const direction = fromBlocks(divide(m, add(sqrt(v), epsilon)), gradient.shape);
    const moved = subtract(multiply(weights, keep), multiply(direction, rate));
    return [moved, first.codes, first.scales, second.codes, second.scales];
  };
  const { graph } = step.gradient;
  const results = compiledCall('adam_8bit', inputs, body) ?? callShared(graph, 'adam_8bit', inputs, body);
  const [weights, mCodes, mScales, vCodes, vScales] = results as [Tensor, Tensor, Tensor, Tensor, Tensor];
  return {
    weights: reshape(weights, shape),
    m: { codes: mCodes, scales: mScales },
    v: { codes: vCodes, scales: vScales },
  };
}

type Ten<T> = [T, T, T, T, T, T, T, T, T, T];

function inOneRow(x: Tensor): Tensor {
  return reshape(x, [elementCount(x.shape)]);
}

/** beta old + (1 - beta) value */
function average(old: Tensor, value: Tensor, beta: number): Tensor {
  return add(scale(old, beta), scale(value, 1 - beta));
}
