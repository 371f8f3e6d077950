/** Element types that the graphs use. */
export type DType = 'f32' | 'bf16' | 'f16' | 'u8' | 'i8' | 'i32' | 'i64' | 'bool';

/** TensorFlow's DataType enum values (types.proto). */
export const dtypeCode: Record<DType, number> = {
  f32: 1,
  i32: 3,
  u8: 4,
  i8: 6,
  i64: 9,
  bool: 10,
  bf16: 14,
  f16: 19,
};

export const bytesPerElement: Record<DType, number> = {
  f32: 4,
  bf16: 2,
  f16: 2,
  u8: 1,
  i8: 1,
  i32: 4,
  i64: 8,
  bool: 1,
};

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** f32 values rounded to nearest-even bf16, as raw 16-bit words. NaN stays NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const isNaN = (word & 0x7fffffff) > 0x7f800000;
    out[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
