import { bytesPerElement, elementCount } from './dtype.ts';
import type { Shape, Tensor } from './graph.ts';
import { bitcast, reshape, sliceAxis } from './ops/layout.ts';
import type { Variable } from './variables.ts';

/** Types in which a value may be stored in a file. */
export type StoredDType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'i8';

/**
 * The type in which a variable's values enter and leave a session. Integers are i32 outside and i64 in a variable:
 * TensorFlow has no i32 variables on a GPU.
 */
export function storedTypeOf({ name, dtype }: Variable): StoredDType {
  if (dtype === 'i64') return 'i32';
  if (dtype === 'i32' || dtype === 'bool')
    throw new Error(`${name}: a GPU holds no variables of type ${dtype}`);
  return dtype;
}

/** i32 or f32 words, of a length known only at run time, as a tensor of the stored type in the given shape. */
export function decodeWords(words: Tensor, stored: StoredDType, shape: Shape): Tensor {
  const count = elementCount(shape);
  const perWord = 4 / bytesPerElement[stored];
  const wordCount = Math.ceil(count / perWord);
  const sized = words.graph.withGradient([], [{ ...words, shape: [wordCount] }], () => [])[0]!;
  if (stored === sized.dtype) return reshape(sized, shape);
  if (perWord === 1) return reshape(bitcast(sized, stored, [wordCount]), shape);
  const flat = reshape(bitcast(sized, stored, [wordCount, perWord]), [wordCount * perWord]);
  return reshape(sliceAxis(flat, 0, 0, count), shape);
}

/**
 * A u8 tensor as i32 words of four elements each, in which form it can leave a session. Its size is a multiple of four.
 */
export function bytesAsWords(bytes: Tensor): Tensor {
  const words = elementCount(bytes.shape) / 4;
  return bitcast(reshape(bytes, [words, 4]), 'i32', [words]);
}
