import { StudioError } from '../../contract/errors.ts';

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
      const words = new Uint32Array(halves.length);
      // A loop: from() walks an iterator, which is slow, and this is called for every row of a model.
      for (let i = 0; i < words.length; i++) words[i] = halves[i]! << 16;
      return new Float32Array(words.buffer);
    }
    case 'F16':
      return new Float32Array(new Float16Array(buffer as ArrayBuffer, byteOffset, byteLength / 2));
    default:
      throw unreadable(dtype);
  }
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

/** Whether bf16 holds a number as it is. */
export function isBfloat16(value: number): boolean {
  return new Float32Array(Uint32Array.of(toBfloat16(Float32Array.of(value))[0]! << 16).buffer)[0] === value;
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
