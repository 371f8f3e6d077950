import type { DecoderConfig } from '../../formats/decoderConfig.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, cast, cos, multiply, scale, sin, subtract } from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis } from '../graph/ops/layout.ts';

/** Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face's Llama. */

/**
 * Inverse frequencies of the rotary embedding and the factor on cos and sin, with the configuration's rope scaling.
 * @returns frequencies [headDim / 2], in radians per position
 */
export function rotaryFrequencies(config: DecoderConfig): {
  frequencies: Float64Array;
  attentionFactor: number;
} {
  const half = config.headDim / 2;
  const base = Float64Array.from({ length: half }, (_, i) => config.ropeTheta ** -(i / half));
  const scaling = config.ropeScaling;
  if (!scaling) return { frequencies: base, attentionFactor: 1 };
  switch (scaling.type) {
    case 'linear':
      return { frequencies: base.map((f) => f / scaling.factor), attentionFactor: 1 };
    case 'dynamic':
      // Within the original context, the only range we train and decode in, dynamic scaling changes nothing.
      return { frequencies: base, attentionFactor: 1 };
    case 'llama3': {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
      const frequencies = base.map((f) => {
        const turns = (originalContext * f) / (2 * Math.PI);
        if (turns < lowFrequencyFactor) return f / factor;
        if (turns > highFrequencyFactor) return f;
        const smooth = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
      return { frequencies, attentionFactor: 1 };
    }
    case 'yarn': {
      const { factor, originalContext, betaFast, betaSlow } = scaling;
      const dimensionOf = (turns: number) =>
        (config.headDim * Math.log(originalContext / (turns * 2 * Math.PI))) /
        (2 * Math.log(config.ropeTheta));
      const low = Math.max(Math.floor(dimensionOf(betaFast)), 0);
      const high = Math.min(Math.ceil(dimensionOf(betaSlow)), config.headDim - 1);
      const frequencies = base.map((f, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
        return (f / factor) * ramp + f * (1 - ramp);
      });
      return { frequencies, attentionFactor: scaling.attentionFactor ?? 0.1 * Math.log(factor) + 1 };
    }
    default:
      throw new Error(`unknown rope scaling ${JSON.stringify(scaling satisfies never)}`);
  }
}

export interface RotaryTable {
  /** [..., positions, 1, headDim / 2], f32; broadcast over heads. */
  cos: Tensor;
  sin: Tensor;
}

/**
 * cos and sin of every position.
 * @param positions f32 [rows, tokens]; rows 1 where all rows of a batch have the same positions
 */
export function rotaryTable(config: DecoderConfig, positions: Tensor): RotaryTable {
  const { frequencies, attentionFactor } = rotaryFrequencies(config);
  const [rows, tokens] = [positions.shape[0]!, positions.shape[1]!];
  const angles = multiply(
    reshape(positions, [rows, tokens, 1, 1]),
    positions.graph.constant(frequencies, 'f32', [1, 1, 1, frequencies.length]),
  );
  return { cos: scale(cos(angles), attentionFactor), sin: scale(sin(angles), attentionFactor) };
}

/**
 * Rotates each pair (x_i, x_{i + d/2}) by its position's angle.
 * @param x [batch, tokens, heads, headDim]
 * @returns the same shape, f32
 */
export function applyRotary(x: Tensor, table: RotaryTable): Tensor {
  const wide = cast(x, 'f32');
  const half = wide.shape[3]! / 2;
  const first = sliceAxis(wide, 3, 0, half);
  const second = sliceAxis(wide, 3, half, half);
  return concat(
    [
      subtract(multiply(first, table.cos), multiply(second, table.sin)),
      add(multiply(second, table.cos), multiply(first, table.sin)),
    ],
    3,
  );
}
