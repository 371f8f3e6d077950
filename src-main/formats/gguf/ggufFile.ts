import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError, type ErrorCode } from '../../contract/errors.ts';
import { foreignFile } from '../files/foreignFile.ts';
import { readBytes } from '../files/safetensors.ts';
import {
  bytesOf,
  defaultAlignment,
  ggufMagic,
  ggufVersion,
  otherTensorTypes,
  scalarBytes,
  tensorTypes,
  valueTypes,
  type GgufScalar,
  type GgufValue,
  type ScalarType,
  type TensorTypeName,
} from './ggufTypes.ts';

export interface GgufTensorInfo {
  name: string;
  type: TensorTypeName;
  /** Row-major, as in PyTorch: the file has the sizes in reverse. */
  shape: readonly number[];
  /** From the start of the file. */
  byteOffset: number;
  byteLength: number;
}

/** Limits beyond which no model goes; ggml allows four sizes. */
const most = {
  /** Metadata and the list of tensors: a large tokenizer takes some 10 MB. */
  headBytes: 512 * 1024 * 1024,
  keys: 65_536,
  tensors: 100_000,
  sizes: 4,
  nameBytes: 1024,
} as const;

/** Least bytes that one value of a kind takes. */
const leastBytes: Readonly<Record<keyof typeof valueTypes, number>> = {
  ...scalarBytes,
  bool: 1,
  string: 8,
  array: 12,
};
const nameOfValueType = new Map<number, keyof typeof valueTypes>(
  (Object.entries(valueTypes) as [keyof typeof valueTypes, number][]).map(([name, id]) => [id, name]),
);
const nameOfTensorType = new Map<number, TensorTypeName>(
  (Object.entries(tensorTypes) as [TensorTypeName, { id: number }][]).map(([name, { id }]) => [id, name]),
);

/**
 * A GGUF file, open for reading single tensors. Metadata and the list of tensors are validated before anything else is
 * read: counts against the bytes that are there, and every tensor against the end of the file and its neighbours.
 */
export class GgufFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  readonly #fd: number;

  /** @throws StudioError with `code` where the file is damaged, model_unsupported for a tensor of an unknown type */
  constructor(path: string, code: ErrorCode) {
    this.path = path;
    this.#fd = openSync(path, 'r');
    try {
      const { metadata, tensors } = readHead(this.#fd, path, code);
      this.metadata = metadata;
      this.tensors = tensors;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Bytes begin..end of a tensor as they are stored. */
  readRange(name: string, begin: number, end: number): Uint8Array {
    const info = this.tensors.get(name);
    if (!info || begin < 0 || end < begin || end > info.byteLength)
      throw new Error(`${this.path}: bytes ${begin}..${end} of ${name} do not exist`);
    return readBytes(this.#fd, this.path, info.byteOffset + begin, end - begin);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

type Damaged = (what: string) => StudioError;

/** Reads the head of the file from its begin on, in pieces, and never beyond the file or the limit. */
class HeadReader {
  readonly #fd: number;
  readonly #end: number;
  readonly #damaged: Damaged;
  #piece = Buffer.alloc(0);
  /** Where the piece begins in the file. */
  #start = 0;
  at = 0;

  constructor(fd: number, fileBytes: number, damaged: Damaged) {
    this.#fd = fd;
    this.#end = Math.min(fileBytes, most.headBytes);
    this.#damaged = damaged;
  }

  /** Bytes of the head that may still come. */
  get left(): number {
    return this.#end - this.at;
  }

  take(count: number, what: string): Buffer {
    if (count > this.left)
      throw this.#damaged(
        `${what} at byte ${this.at} claims ${count} bytes, ${Math.max(0, this.left)} are there`,
      );
    if (this.at + count > this.#start + this.#piece.length) {
      const bytes = Buffer.alloc(Math.min(Math.max(count, 1 << 20), this.left));
      let filled = 0;
      while (filled < bytes.length) {
        const got = readSync(this.#fd, bytes, filled, bytes.length - filled, this.at + filled);
        if (got === 0) break;
        filled += got;
      }
      if (filled < count) throw this.#damaged(`it ends within ${what}`);
      this.#piece = bytes.subarray(0, filled);
      this.#start = this.at;
    }
    const from = this.at - this.#start;
    this.at += count;
    return this.#piece.subarray(from, from + count);
  }

  u32(what: string): number {
    return this.take(4, what).readUInt32LE();
  }

  /** A count or size; beyond what a number holds it is refused. */
  u64(what: string): number {
    const value = this.take(8, what).readBigUInt64LE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw this.#damaged(`${what} is ${value}, which is impossible`);
    return Number(value);
  }

  text(what: string, mostBytes = most.headBytes): string {
    const length = this.u64(`the length of ${what}`);
    if (length > mostBytes) throw this.#damaged(`${what} claims ${length} bytes`);
    // Vocabularies hold pieces of letters: what is no UTF-8 stays readable by its place alone.
    return this.take(length, what).toString('utf8');
  }
}

interface Head {
  metadata: Map<string, GgufValue>;
  tensors: Map<string, GgufTensorInfo>;
}

function readHead(fd: number, path: string, code: ErrorCode): Head {
  const damaged: Damaged = (what) => {
    const foreign = foreignFile(path);
    return new StudioError(
      code,
      `${basename(path)} ${foreign && !foreign.isGguf ? foreign.what : `is damaged: ${what}`}.`,
      'Compare its size with that at its source, and copy or download it once more.',
    );
  };
  const fileBytes = fstatSync(fd).size;
  const reader = new HeadReader(fd, fileBytes, damaged);
  const magic = reader.take(4, 'its first word').toString('latin1');
  if (magic !== ggufMagic) throw damaged(`it begins with ${JSON.stringify(magic)}, not with ${ggufMagic}`);
  checkVersion(reader.u32('the version'));
  const tensorCount = reader.u64('the number of tensors');
  const keyCount = reader.u64('the number of keys');
  if (tensorCount > most.tensors) throw damaged(`it claims ${tensorCount} tensors`);
  if (keyCount > most.keys) throw damaged(`it claims ${keyCount} keys`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = reader.text(`the name of key ${i}`, most.nameBytes);
    if (metadata.has(key)) throw damaged(`it has the key ${key} twice`);
    metadata.set(key, readValue(reader, key, damaged));
  }
  const tensors: GgufTensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) tensors.push(readTensor(reader, i, path, damaged));
  const alignment = metadata.get('general.alignment') ?? defaultAlignment;
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 1 << 20 || alignment % 8 !== 0)
    throw damaged(`general.alignment is ${JSON.stringify(alignment)}`);
  const dataStart = Math.ceil(reader.at / alignment) * alignment;
  return { metadata, tensors: placed(tensors, { dataStart, fileBytes, alignment }, damaged) };
}

function checkVersion(version: number): void {
  if (version === ggufVersion || version === 2) return;
  // Big-endian files have the bytes of the number the other way round.
  const isSwapped = version > 0xffff;
  throw new StudioError(
    'model_unsupported',
    isSwapped
      ? 'The GGUF file is written for big-endian machines.'
      : `The GGUF file has version ${version}; the studio reads versions 2 and 3.`,
    'Convert the model once more with a current llama.cpp, or download a newer file of it.',
  );
}

function readValue(reader: HeadReader, key: string, damaged: Damaged): GgufValue {
  const type = nameOfType(reader.u32(`the type of ${key}`), key, damaged);
  if (type !== 'array') return readScalar(reader, type, key, damaged);
  const inner = nameOfType(reader.u32(`the type within ${key}`), key, damaged);
  if (inner === 'array') throw damaged(`${key} is a list of lists`);
  const count = reader.u64(`the length of ${key}`);
  if (count * leastBytes[inner] > reader.left)
    throw damaged(`${key} claims ${count} values, for which ${reader.left} bytes are left`);
  const values: GgufScalar[] = [];
  for (let i = 0; i < count; i++) values.push(readScalar(reader, inner, key, damaged));
  return values;
}

function nameOfType(id: number, key: string, damaged: Damaged): keyof typeof valueTypes {
  const type = nameOfValueType.get(id);
  if (type === undefined) throw damaged(`${key} has the unknown type ${id}`);
  return type;
}

function readScalar(reader: HeadReader, type: ScalarType, key: string, damaged: Damaged): GgufScalar {
  if (type === 'string') return reader.text(key);
  const bytes = reader.take(leastBytes[type], key);
  switch (type) {
    case 'u8':
      return bytes.readUInt8();
    case 'i8':
      return bytes.readInt8();
    case 'bool':
      return bytes.readUInt8() !== 0;
    case 'u16':
      return bytes.readUInt16LE();
    case 'i16':
      return bytes.readInt16LE();
    case 'u32':
      return bytes.readUInt32LE();
    case 'i32':
      return bytes.readInt32LE();
    case 'f32':
      return bytes.readFloatLE();
    case 'f64':
      return bytes.readDoubleLE();
    case 'u64':
    case 'i64': {
      const value = type === 'u64' ? bytes.readBigUInt64LE() : bytes.readBigInt64LE();
      const number = Number(value);
      if (!Number.isSafeInteger(number)) throw damaged(`${key} is ${value}`);
      return number;
    }
    default:
      throw new Error(`unknown kind ${String(type satisfies never)}`);
  }
}

/** Its offset counts from the begin of the data. */
function readTensor(reader: HeadReader, index: number, path: string, damaged: Damaged): GgufTensorInfo {
  const name = reader.text(`the name of tensor ${index}`, most.nameBytes);
  const sizeCount = reader.u32(`the number of sizes of ${name}`);
  if (sizeCount < 1 || sizeCount > most.sizes) throw damaged(`tensor ${name} claims ${sizeCount} sizes`);
  const sizes = Array.from({ length: sizeCount }, () => reader.u64(`a size of ${name}`));
  const count = sizes.reduce((product, size) => product * size, 1);
  if (sizes.includes(0) || !Number.isSafeInteger(8 * count))
    throw damaged(`tensor ${name} has the impossible sizes ${sizes.join(' x ')}`);
  const id = reader.u32(`the type of ${name}`);
  const byteOffset = reader.u64(`the offset of ${name}`);
  const type = nameOfTensorType.get(id);
  if (type === undefined)
    throw new StudioError(
      'model_unsupported',
      `${basename(path)} stores the tensor ${name} as ${otherTensorTypes[id] ?? `type ${id}`}, which the studio does not read.`,
      `Choose a file of the same model in one of ${Object.keys(tensorTypes).join(', ')}.`,
    );
  if (sizes[0]! % tensorTypes[type].blockLength !== 0)
    throw damaged(
      `tensor ${name} has rows of ${sizes[0]} numbers, and ${type} blocks of ${tensorTypes[type].blockLength}`,
    );
  return { name, type, shape: sizes.reverse(), byteOffset, byteLength: bytesOf(type, count) };
}

/** The tensors with offsets from the begin of the file, none of them beyond its end or within another. */
function placed(
  tensors: readonly GgufTensorInfo[],
  { dataStart, fileBytes, alignment }: { dataStart: number; fileBytes: number; alignment: number },
  damaged: Damaged,
): Map<string, GgufTensorInfo> {
  const found = new Map<string, GgufTensorInfo>();
  let end = 0;
  for (const tensor of [...tensors].sort((a, b) => a.byteOffset - b.byteOffset)) {
    const { name, byteOffset, byteLength } = tensor;
    if (found.has(name)) throw damaged(`it has the tensor ${name} twice`);
    if (byteOffset % alignment !== 0)
      throw damaged(`tensor ${name} begins at byte ${byteOffset}, between two places`);
    if (byteOffset < end) throw damaged(`tensor ${name} begins within another`);
    end = byteOffset + byteLength;
    if (dataStart + end > fileBytes)
      throw damaged(`tensor ${name} ends at byte ${dataStart + end}, the file at ${fileBytes} (truncated)`);
    found.set(name, { ...tensor, byteOffset: dataStart + byteOffset });
  }
  return found;
}
