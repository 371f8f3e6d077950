import { toBfloat16 } from '../graph/dtype.ts';
import { unreadable } from '../../formats/files/floats.ts';

/** The bytes of f32 values in a stored type, rounded to nearest, ties to even. */
export function asStored(values: Float32Array, dtype: string): Uint8Array {
  const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  switch (dtype) {
    case 'F32':
      return bytesOf(values);
    case 'BF16':
      return bytesOf(toBfloat16(values));
    case 'F16':
      return bytesOf(new Float16Array(values));
    default:
      throw unreadable(dtype);
  }
}
