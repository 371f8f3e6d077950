import { StudioError } from '../../contract/errors.ts';
import { toBfloat16 } from '../graph/dtype.ts';

function unreadable(dtype: string): StudioError {
  return new StudioError(
    'model_invalid',
    `Weights stored as ${dtype} cannot be read.`,
    'Convert them to F32, BF16 or F16.',
  );
}

/** Stored weights as f32; exact. @param dtype as safetensors names it */
export function asFloat32(bytes: Uint8Array, dtype: string): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'BF16': {
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
    }
    case 'F16':
      return new Float32Array(new Float16Array(buffer as ArrayBuffer, byteOffset, byteLength / 2));
    default:
      throw unreadable(dtype);
  }
}

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
