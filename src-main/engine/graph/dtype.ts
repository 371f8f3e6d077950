import { toBfloat16 } from '../../formats/files/floats.ts';

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

/** Numbers as a tensor's content: the bytes of their type. */
export function encode(values: ArrayLike<number>, dtype: DType): Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Uint8Array(Float32Array.from(values).buffer);
    case 'bf16':
      return new Uint8Array(toBfloat16(Float32Array.from(values)).buffer);
    case 'i32':
      return new Uint8Array(Int32Array.from(values).buffer);
    case 'i64':
      return new Uint8Array(BigInt64Array.from(Array.from(values, BigInt)).buffer);
    case 'u8':
    case 'bool':
      return Uint8Array.from(values);
    case 'f16':
    case 'i8':
      throw new Error(`${dtype} constants are not needed by any graph`);
    default:
      throw new Error(`unknown dtype ${String(dtype satisfies never)}`);
  }
}
