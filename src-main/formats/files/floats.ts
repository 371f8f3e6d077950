import { StudioError } from '../../contract/errors.ts';

export function unreadable(dtype: string): StudioError {
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
