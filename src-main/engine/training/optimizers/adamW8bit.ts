import { elementCount } from '../../graph/dtype.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, divide, multiply, scale, sqrt, square, subtract } from '../../graph/ops/elementwise.ts';
import { reshape } from '../../graph/ops/layout.ts';
import { dynamicMap } from '../../graph/dynamicMap.ts';
import { adamScalars, adamW, average, keepOf, type AdamConfig, type AdamScalars } from './adamW.ts';
import { createQuantized, dequantize, fromBlocks, quantize, toBlocks } from './blockwiseQuantization.ts';
import { moveTogether } from './moveTogether.ts';
import { clipped, type Optimizer, type ParameterUpdate } from './optimizer.ts';

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
      const { name, shape } = variable;
      if (elementCount(shape) < smallestQuantized) return wide.attach(variable, rateFactor);
      const first = createQuantized(variable, `${name}.moment_1`);
      const second = createQuantized(variable, `${name}.moment_2`);
      const state = [first.codes, first.scales, second.codes, second.scales];
      const next: ParameterUpdate['next'] = (values, gradient, scalars) => {
        const rates = scalars as AdamScalars<Tensor>;
        const [weights, ...moments] = values as [Tensor, ...Four<Tensor>];
        const [mCodes, mScales, vCodes, vScales] = withRows(moments);
        const blocks = toBlocks(clipped(gradient));
        const m = average(dequantize({ codes: mCodes, scales: mScales }, maps.m), blocks, config.beta1);
        const v = average(
          dequantize({ codes: vCodes, scales: vScales }, maps.v),
          square(blocks),
          config.beta2,
        );
        const step = divide(m, add(sqrt(v), rates.corrected_epsilon));
        const direction = fromBlocks(step, weights.shape);
        const kept = multiply(weights, keepOf(rates, rateFactor, config));
        const moved = subtract(kept, multiply(direction, scale(rates.corrected_rate, rateFactor)));
        const [newM, newV] = [quantize(m, maps.m), quantize(v, maps.v)];
        return [moved, newM.codes, newM.scales, newV.codes, newV.scales];
      };
      // Measured reason to have XLA compile it: 84 ns of processor time a parameter node by node, most of it in the
      // search for codes, and 5 compiled.
      const member = { variable, rateFactor, update: { state, next } };
      return {
        state,
        next,
        apply: (gradient, scalars) => moveTogether([member], [gradient], scalars),
      };
    },
  };
}

const maps = { m: dynamicMap(true), v: dynamicMap(false) };

type Four<T> = [T, T, T, T];

/** Codes and scales of two moments, the scales as one for each block. */
function withRows([mCodes, mScales, vCodes, vScales]: Four<Tensor>): Four<Tensor> {
  const rows = (scales: Tensor) => reshape(scales, [elementCount(scales.shape), 1]);
  return [mCodes, rows(mScales), vCodes, rows(vScales)];
}
