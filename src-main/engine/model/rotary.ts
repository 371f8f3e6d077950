import type { Rope } from '../../formats/families/decoderConfig.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, cast, cos, multiply, scale, sin, subtract } from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis } from '../graph/ops/layout.ts';

/** Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face's Llama. */

const f32 = Math.fround;

/**
 * Inverse frequencies of a rotary embedding with its scaling. The steps are rounded to f32 as transformers rounds
 * them (modeling_rope_utils.py): at position 100,000 the last bit of a frequency already turns an angle by 0.01.
 *
 * @param length tokens of the text, on which dynamic and longrope scaling depend: all of them, those before the
 * computed ones included
 * @returns [dimensions / 2], in radians per position
 */
export function rotaryFrequencies(rope: Rope, length: number): Float32Array {
  const half = rope.dimensions / 2;
  const powers = (theta: number) =>
    Float32Array.from({ length: half }, (_, i) => theta ** f32((2 * i) / rope.dimensions));
  const inverse = (values: Float32Array) => values.map((value) => 1 / value);
  const base = inverse(powers(rope.theta));
  const { scaling } = rope;
  if (!scaling) return base;
  switch (scaling.type) {
    case 'linear':
      return base.map((f) => f / scaling.factor);
    case 'dynamic': {
      const { factor, originalContext } = scaling;
      if (length <= originalContext) return base;
      const stretch = f32(f32((factor * length) / originalContext) - (factor - 1));
      return inverse(powers(f32(rope.theta * stretch ** (rope.dimensions / (rope.dimensions - 2)))));
    }
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
      return base.map((f) => {
        const turns = (originalContext * f) / (2 * Math.PI);
        if (turns < low) return f / factor;
        if (turns > high) return f;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
    }
    case 'yarn': {
      const { factor, originalContext, betaFast, betaSlow, truncate } = scaling;
      const dimensionOf = (turns: number) =>
        (rope.dimensions * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(rope.theta));
      const [from, to] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(from) : from, 0);
      const high = Math.min(truncate ? Math.ceil(to) : to, rope.dimensions - 1);
      return base.map((f, i) => {
        const ramp = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)));
        return (f / factor) * ramp + f * (1 - ramp);
      });
    }
    case 'longrope': {
      const factors = length > scaling.originalContext ? scaling.longFactors : scaling.shortFactors;
      return inverse(powers(rope.theta).map((value, i) => f32(factors[i]!) * value));
    }
    default:
      throw new Error(`unknown rope scaling ${JSON.stringify(scaling satisfies never)}`);
  }
}

/** Factor on cos and sin, so on the scores its square (yarn, longrope). */
export function rotaryMagnitude({ scaling }: Rope): number {
  return scaling?.type === 'yarn' || scaling?.type === 'longrope' ? scaling.attentionFactor : 1;
}

export interface RotaryTable {
  /** [..., positions, 1, dimensions / 2], f32; broadcast over heads. */
  cos: Tensor;
  sin: Tensor;
}

/**
 * cos and sin of every position.
 * @param positions f32 [rows, tokens]; rows 1 where all rows of a batch have the same positions
 * @param frequencies f32 [rows or 1, dimensions / 2], from `rotaryFrequencies`
 */
export function rotaryTable(rope: Rope, positions: Tensor, frequencies: Tensor): RotaryTable {
  const [rows, tokens] = [positions.shape[0]!, positions.shape[1]!];
  const [sets, half] = [frequencies.shape[0]!, frequencies.shape[1]!];
  const angles = multiply(reshape(positions, [rows, tokens, 1, 1]), reshape(frequencies, [sets, 1, 1, half]));
  const magnitude = rotaryMagnitude(rope);
  return { cos: scale(cos(angles), magnitude), sin: scale(sin(angles), magnitude) };
}

/** The tables of all ropes of a model, where every text has the same, known length. */
export function rotaryTables(ropes: readonly Rope[], positions: Tensor, length: number): RotaryTable[] {
  return ropes.map((rope) => {
    const frequencies = positions.graph.constant(rotaryFrequencies(rope, length), 'f32', [
      1,
      rope.dimensions / 2,
    ]);
    return rotaryTable(rope, positions, frequencies);
  });
}

/**
 * Rotates each pair (x_i, x_{i + n/2}), i < n/2, by its position's angle, where n is the number of rotated dimensions;
 * the dimensions from n on stay.
 * @param x [batch, tokens, heads, headDim]
 * @returns the same shape, f32
 */
export function applyRotary(x: Tensor, table: RotaryTable): Tensor {
  const wide = cast(x, 'f32');
  const half = table.cos.shape.at(-1)!;
  const passing = wide.shape[3]! - 2 * half;
  const first = sliceAxis(wide, 3, 0, half);
  const second = sliceAxis(wide, 3, half, half);
  return concat(
    [
      subtract(multiply(first, table.cos), multiply(second, table.sin)),
      add(multiply(second, table.cos), multiply(first, table.sin)),
      ...(passing > 0 ? [sliceAxis(wide, 3, 2 * half, passing)] : []),
    ],
    3,
  );
}
