import { StudioError } from '../../contract/errors.ts';
import type { TensorInfo } from '../files/safetensors.ts';

/**
 * Bits of the exponent, and what carries into the bit above them where all are set (NaN and infinity). A word has 32
 * bits: two values of the 16-bit types.
 */
const exponents: Readonly<Record<string, { mask: number; carry: number; above: number }>> = {
  F32: { mask: 0x7f800000, carry: 0x00800000, above: 0x80000000 | 0 },
  BF16: { mask: 0x7f807f80, carry: 0x00800080, above: 0x80008000 | 0 },
  F16: { mask: 0x7c007c00, carry: 0x04000400, above: 0x80008000 | 0 },
};

const wordBytes = 4;

/** Looks for values that are no finite numbers in tensors that are read through once, part by part. */
export class FiniteCheck {
  readonly #path: string;
  readonly #tensors: readonly TensorInfo[];
  #next = 0;
  /** Bytes of the tensor under way that make no whole word yet. */
  #rest = new Uint8Array(0);

  /**
   * @param tensors of the file, in the order of their places
   * @param spared names of tensors that are not looked at
   */
  constructor(path: string, tensors: Iterable<TensorInfo>, spared: ReadonlySet<string>) {
    this.#path = path;
    this.#tensors = [...tensors].filter(
      ({ name, dtype, byteLength }) => dtype in exponents && byteLength > 0 && !spared.has(name),
    );
  }

  /**
   * Looks at the bytes from `at` on; parts must come in their order.
   * @throws StudioError model_invalid: names the first tensor and the place
   */
  read(part: Uint8Array, at: number): void {
    for (; this.#next < this.#tensors.length; this.#next++) {
      const tensor = this.#tensors[this.#next]!;
      const end = tensor.byteOffset + tensor.byteLength;
      const [first, last] = [Math.max(tensor.byteOffset, at), Math.min(end, at + part.length)];
      if (last <= first) return;
      this.#look(tensor, part.subarray(first - at, last - at), first - tensor.byteOffset);
      if (last < end) return;
    }
  }

  #look(tensor: TensorInfo, bytes: Uint8Array, offset: number): void {
    const begin = offset - this.#rest.length;
    // Words at the end of a tensor are filled with zeros, which are finite.
    const isLast = offset + bytes.length === tensor.byteLength;
    const length = this.#rest.length + bytes.length;
    const words = isLast ? Math.ceil(length / wordBytes) : Math.floor(length / wordBytes);
    let joined = bytes;
    if (this.#rest.length > 0 || bytes.byteOffset % wordBytes > 0 || words * wordBytes > length) {
      joined = new Uint8Array(Math.ceil(length / wordBytes) * wordBytes);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
    }
    const at = firstNotFinite(new Int32Array(joined.buffer, joined.byteOffset, words), tensor.dtype);
    if (at !== null) throw this.#notFinite(tensor, begin + at);
    this.#rest = joined.slice(words * wordBytes, length);
  }

  #notFinite({ name, dtype, shape }: TensorInfo, byte: number): StudioError {
    const element = Math.floor(byte / (dtype === 'F32' ? 4 : 2));
    const columns = shape.at(-1) ?? 1;
    const row = shape.length > 1 ? ` in row ${Math.floor(element / columns)}` : '';
    return new StudioError(
      'model_invalid',
      `${name} has values that are NaN or infinite, the first${row} (${this.#path}): every text would get NaN.`,
      'Take weights that were saved before they went wrong: an earlier checkpoint, or the model that they were made from.',
    );
  }
}

/** The byte at which the first value that is not finite begins, or null. In 32-bit integers: files have gigabytes. */
function firstNotFinite(words: Int32Array, dtype: string): number | null {
  const { mask, carry, above } = exponents[dtype]!;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]! & mask;
    if ((((word + carry) | 0) & above) === 0) continue;
    const isSecond = (((word & 0xffff) + (carry & 0xffff)) & 0x8000) === 0;
    return i * wordBytes + (isSecond ? 2 : 0);
  }
  return null;
}
