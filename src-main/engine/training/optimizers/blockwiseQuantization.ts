import { elementCount } from '../../graph/dtype.ts';
import { midpoints } from '../../graph/dynamicMap.ts';
import type { Shape, Tensor } from '../../graph/graph.ts';
import {
  absolute,
  bucketize,
  cast,
  divide,
  maximum,
  multiply,
  scalarLike,
} from '../../graph/ops/elementwise.ts';
import { gather, padAxis, reshape, sliceAxis } from '../../graph/ops/layout.ts';
import { max } from '../../graph/ops/reduce.ts';
import { assignVariable, createVariable, readVariable, type Variable } from '../../graph/variables.ts';
import { greatestMagnitudes, nearestCodes } from './nearestCode.ts';

/**
 * Block-wise dynamic quantization to 8 bits (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization",
 * sections 1.3 and 2.1; maps and block size as in bitsandbytes): blocks of 256 numbers are divided by their greatest
 * absolute value and each number becomes the index of the nearest entry of a sorted table of 256.
 */
export const blockSize = 256;

/** The smallest normal f32: divisor of blocks of zeros. */
const tiny = 1.1754943508222875e-38;

/**
 * An f32 tensor that is kept in 8 bits: one byte a number and one f32 a block. Zeros everywhere mean a tensor of zeros.
 */
export interface QuantizedVariable {
  /** Table indices, u8 [blocks, 256]; the last block is padded. */
  codes: Variable;
  /** Greatest absolute values, f32 [blocks, 1]. */
  scales: Variable;
}

/** Declares a quantized variable for as many numbers as the owner has. */
export function createQuantized(owner: Variable, name: string): QuantizedVariable {
  const blocks = Math.ceil(elementCount(owner.shape) / blockSize);
  return {
    codes: createVariable(owner.graph, `${name}.codes`, [blocks, blockSize], 'u8'),
    scales: createVariable(owner.graph, `${name}.scales`, [blocks, 1], 'f32'),
  };
}

/** The value of a quantized variable. */
export interface Quantized {
  /** u8 [blocks, 256] */
  codes: Tensor;
  /** f32 [blocks, 1] */
  scales: Tensor;
}

export function readQuantized({ codes, scales }: QuantizedVariable): Quantized {
  return { codes: readVariable(codes), scales: readVariable(scales) };
}

/** @returns the names of the nodes that do it */
export function assignQuantized(variable: QuantizedVariable, { codes, scales }: Quantized): string[] {
  return [assignVariable(variable.codes, codes), assignVariable(variable.scales, scales)];
}

/** The numbers, f32 [blocks, 256]. */
export function dequantize({ codes, scales }: Quantized, map: readonly number[]): Tensor {
  const table = codes.graph.constant(map);
  return multiply(gather(table, cast(codes, 'i32'), 0), scales);
}

/** The same numbers in functions that XLA compiles and elsewhere. @param blocks f32 [blocks, 256] */
export function quantize(blocks: Tensor, map: readonly number[]): Quantized {
  const { isCompiled } = blocks.graph.body;
  const scales = isCompiled ? greatestMagnitudes(blocks) : max(absolute(blocks), [1], true);
  const shares = divide(blocks, maximum(scales, scalarLike(scales, tiny)));
  const codes = (isCompiled ? nearestCodes : bucketize)(shares, midpoints(map));
  return { codes: cast(codes, 'u8'), scales };
}

/** Any shape as [blocks, 256], the end padded with zeros. */
export function toBlocks(x: Tensor): Tensor {
  const count = elementCount(x.shape);
  const blocks = Math.ceil(count / blockSize);
  return reshape(padAxis(reshape(x, [count]), 0, 0, blocks * blockSize - count), [blocks, blockSize]);
}

/** The inverse of `toBlocks`. */
export function fromBlocks(blocks: Tensor, shape: Shape): Tensor {
  return reshape(sliceAxis(reshape(blocks, [elementCount(blocks.shape)]), 0, 0, elementCount(shape)), shape);
}
