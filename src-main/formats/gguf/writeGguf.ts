import { writeFileAtomic } from '../files/atomicFile.ts';
import {
  bytesOf,
  defaultAlignment,
  ggufMagic,
  ggufVersion,
  scalarBytes,
  tensorTypes,
  valueTypes,
  type GgufScalar,
  type ScalarType,
  type TensorTypeName,
} from './ggufTypes.ts';

/** A key of the metadata with its kind; a list has the kind of what it holds. */
export type GgufEntry =
  | { key: string; type: ScalarType; value: GgufScalar }
  | { key: string; type: ScalarType; values: Iterable<GgufScalar> & { length: number } };

export interface GgufTensorToWrite {
  name: string;
  type: TensorTypeName;
  /** Row-major, as in PyTorch: the file has the sizes in reverse. */
  shape: readonly number[];
  /** The bytes in order, asked for when they are to be written. */
  data(): Iterable<Uint8Array>;
}

/** A growing list of little-endian numbers and texts. */
class Bytes {
  #buffer = Buffer.alloc(1 << 16);
  #length = 0;

  #room(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(2 * this.#buffer.length, this.#length));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  u64(value: number): void {
    const at = this.#room(8);
    this.#buffer.writeBigUInt64LE(BigInt(value), at);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.u64(length);
    const at = this.#room(length);
    this.#buffer.write(value, at);
  }

  scalar(type: ScalarType, value: GgufScalar): void {
    if (type === 'string') return this.text(value as string);
    if (type === 'bool') {
      const at = this.#room(1);
      this.#buffer[at] = value ? 1 : 0;
      return;
    }
    const number = value as number;
    const at = this.#room(scalarBytes[type]);
    switch (type) {
      case 'u8':
        return void this.#buffer.writeUInt8(number, at);
      case 'i8':
        return void this.#buffer.writeInt8(number, at);
      case 'u16':
        return void this.#buffer.writeUInt16LE(number, at);
      case 'i16':
        return void this.#buffer.writeInt16LE(number, at);
      case 'u32':
        return void this.#buffer.writeUInt32LE(number, at);
      case 'i32':
        return void this.#buffer.writeInt32LE(number, at);
      case 'f32':
        return void this.#buffer.writeFloatLE(number, at);
      case 'f64':
        return void this.#buffer.writeDoubleLE(number, at);
      case 'u64':
        return void this.#buffer.writeBigUInt64LE(BigInt(number), at);
      case 'i64':
        return void this.#buffer.writeBigInt64LE(BigInt(number), at);
      default:
        throw new Error(`unknown kind ${String(type satisfies never)}`);
    }
  }

  /** Zeros up to the next multiple. */
  align(multiple: number): void {
    this.#room(padding(this.#length, multiple));
  }

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

function padding(length: number, multiple: number): number {
  return (multiple - (length % multiple)) % multiple;
}

/** Bytes that a tensor takes in a file, without what fills it up to the next. */
export function ggufTensorBytes({ type, shape }: Pick<GgufTensorToWrite, 'type' | 'shape'>): number {
  return bytesOf(
    type,
    shape.reduce((product, size) => product * size, 1),
  );
}

/**
 * Writes a GGUF file (version 3, little endian): complete or absent. Tensors are asked for their bytes one after the
 * other, so that none need lie in memory as a whole.
 */
export function writeGguf(
  path: string,
  metadata: readonly GgufEntry[],
  tensors: readonly GgufTensorToWrite[],
): void {
  const head = new Bytes();
  for (const byte of Buffer.from(ggufMagic)) head.scalar('u8', byte);
  head.u32(ggufVersion);
  head.u64(tensors.length);
  head.u64(metadata.length);
  for (const entry of metadata) {
    head.text(entry.key);
    if ('values' in entry) {
      head.u32(valueTypes.array);
      head.u32(valueTypes[entry.type]);
      head.u64(entry.values.length);
      for (const value of entry.values) head.scalar(entry.type, value);
    } else {
      head.u32(valueTypes[entry.type]);
      head.scalar(entry.type, entry.value);
    }
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    head.text(name);
    head.u32(shape.length);
    for (const size of [...shape].reverse()) head.u64(size);
    head.u32(tensorTypes[type].id);
    head.u64(offset);
    const bytes = ggufTensorBytes({ type, shape });
    offset += bytes + padding(bytes, defaultAlignment);
  }
  head.align(defaultAlignment);
  writeFileAtomic(path, chunks());

  function* chunks(): Generator<Uint8Array> {
    yield head.take();
    for (const { name, type, shape, data } of tensors) {
      let written = 0;
      for (const bytes of data()) {
        written += bytes.byteLength;
        yield bytes;
      }
      const needed = ggufTensorBytes({ type, shape });
      if (written !== needed)
        throw new Error(`${name}: ${written} bytes given for ${type}[${shape.join()}], ${needed} needed`);
      const missing = padding(needed, defaultAlignment);
      if (missing > 0) yield new Uint8Array(missing);
    }
  }
}
