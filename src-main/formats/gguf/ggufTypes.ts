/**
 * The names, sizes and numbers of the GGUF container, as ggml's documentation and header state them (docs/gguf.md,
 * ggml.h of llama.cpp).
 */

/** How a tensor is stored: so many numbers take one block of so many bytes. */
interface TensorType {
  /** Its number in the file. */
  id: number;
  blockLength: number;
  blockBytes: number;
}

/** The types that the studio reads and writes. */
export const tensorTypes = {
  F32: { id: 0, blockLength: 1, blockBytes: 4 },
  F16: { id: 1, blockLength: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockLength: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockLength: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockLength: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockLength: 32, blockBytes: 24 },
  Q8_0: { id: 8, blockLength: 32, blockBytes: 34 },
  Q2_K: { id: 10, blockLength: 256, blockBytes: 84 },
  Q3_K: { id: 11, blockLength: 256, blockBytes: 110 },
  Q4_K: { id: 12, blockLength: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockLength: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockLength: 256, blockBytes: 210 },
  BF16: { id: 30, blockLength: 1, blockBytes: 2 },
} as const satisfies Readonly<Record<string, TensorType>>;
export type TensorTypeName = keyof typeof tensorTypes;

/** Names of the other types, for messages. */
export const otherTensorTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
};

/** Bytes of so many numbers of a type; they fill whole blocks. */
export function bytesOf(type: TensorTypeName, count: number): number {
  const { blockLength, blockBytes } = tensorTypes[type];
  return (count / blockLength) * blockBytes;
}

/** The numbers under which the kinds of metadata stand in the file. */
export const valueTypes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
export type ScalarType = Exclude<keyof typeof valueTypes, 'array'>;

/** Bytes of one number of a kind. */
export const scalarBytes: Readonly<Record<Exclude<ScalarType, 'string' | 'bool'>, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
};

export type GgufScalar = number | string | boolean;
/** A value of the metadata; lists hold scalars. */
export type GgufValue = GgufScalar | readonly GgufScalar[];

export const ggufMagic = 'GGUF';
/** The version that is written; 2 differs in nothing that little-endian files show. */
export const ggufVersion = 3;
/** Tensors begin at multiples of it where `general.alignment` says nothing. */
export const defaultAlignment = 32;
