import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError, type ErrorCode } from '../../contract/errors.ts';
import { fetchRemedy, foreignFile } from './foreignFile.ts';
import { bytesPerCall, writeFileAtomic } from './atomicFile.ts';

/** Bytes per element of every dtype we read. */
const elementBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type SafetensorsDType = keyof typeof elementBytes;

export interface TensorInfo {
  name: string;
  dtype: SafetensorsDType;
  shape: readonly number[];
  /** From the start of the file. */
  byteOffset: number;
  byteLength: number;
}

/** The format's own limit on the header. */
const maxHeaderBytes = 100 * 1024 * 1024;
const maxRank = 8;

/** So many bytes of an open file from an offset on. @throws Error where it became shorter meanwhile */
export function readBytes(fd: number, path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const got = readSync(fd, bytes, at, Math.min(bytesPerCall, length - at), offset + at);
    if (got === 0) throw new Error(`${path} became shorter while it was read`);
    at += got;
  }
  return bytes;
}

/**
 * A safetensors file, open for reading single tensors. The header is validated before anything else is read:
 * offsets must be contiguous and cover the file exactly, and every size must match its dtype and shape.
 */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #fd: number;

  /** @throws StudioError with `code` where the file is damaged */
  constructor(path: string, code: ErrorCode) {
    this.path = path;
    this.#fd = openSync(path, 'r');
    try {
      const { tensors, metadata } = readHeader(this.#fd, path, code);
      this.tensors = tensors;
      this.metadata = metadata;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** All bytes of a tensor, little endian, row-major. */
  read(name: string): Uint8Array {
    const info = this.tensors.get(name);
    if (!info) throw new Error(`${this.path} has no tensor ${name}`);
    return this.readRange(name, 0, info.byteLength);
  }

  /** Bytes begin..end of a tensor. */
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

function readHeader(
  fd: number,
  path: string,
  code: ErrorCode,
): { tensors: Map<string, TensorInfo>; metadata: Record<string, string> } {
  const damaged = (what: string): StudioError => {
    const foreign = foreignFile(path);
    return new StudioError(
      code,
      `${basename(path)} ${foreign?.what ?? `is damaged: ${what}`}.`,
      foreign?.remedy ?? damageRemedy(path, code),
    );
  };
  const fileBytes = fstatSync(fd).size;
  if (fileBytes < 8) throw damaged(`${fileBytes} bytes are too few for a safetensors file`);
  const lengthField = Buffer.alloc(8);
  readSync(fd, lengthField, 0, 8, 0);
  const headerBytes = lengthField.readBigUInt64LE();
  if (headerBytes > BigInt(maxHeaderBytes) || headerBytes > BigInt(fileBytes - 8))
    throw damaged(`its header claims ${headerBytes} bytes, the file has ${fileBytes}`);
  const text = Buffer.alloc(Number(headerBytes));
  readSync(fd, text, 0, text.length, 8);
  const header = parseHeader(text, damaged);

  const dataStart = 8 + text.length;
  const dataBytes = fileBytes - dataStart;
  const tensors: TensorInfo[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(value, damaged);
    else tensors.push(checkEntry(name, value, damaged));
  }
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let expected = 0;
  for (const tensor of tensors) {
    if (tensor.byteOffset !== expected)
      throw damaged(`tensor ${tensor.name} begins at byte ${tensor.byteOffset}, ${expected} was expected`);
    expected += tensor.byteLength;
  }
  if (expected !== dataBytes)
    throw damaged(
      `its tensors need ${expected} bytes of data, the file has ${dataBytes}` +
        (dataBytes < expected ? ' (truncated)' : ''),
    );
  return {
    tensors: new Map(tensors.map((t) => [t.name, { ...t, byteOffset: t.byteOffset + dataStart }])),
    metadata,
  };
}

function damageRemedy(path: string, code: ErrorCode): string {
  return code === 'model_invalid'
    ? fetchRemedy(path, 'damaged')
    : 'Compare its size with that of the file that it was copied from; where they are the same, save it anew there.';
}

function parseHeader(text: Buffer, damaged: (what: string) => StudioError): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch {
    throw damaged('its header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw damaged('its header is not an object');
  return header as Record<string, unknown>;
}

function checkMetadata(value: unknown, damaged: (what: string) => StudioError): Record<string, string> {
  const isStrings =
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((entry) => typeof entry === 'string');
  if (!isStrings) throw damaged('its metadata are not strings');
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, damaged: (what: string) => StudioError): TensorInfo {
  const entry = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype))
    throw damaged(`tensor ${name} has the unknown type ${JSON.stringify(dtype)}`);
  if (!Array.isArray(shape) || shape.length > maxRank || !shape.every(isCount))
    throw damaged(`tensor ${name} has the impossible shape ${JSON.stringify(shape)}`);
  const [begin, end, ...rest]: unknown[] = Array.isArray(offsets) ? offsets : [];
  if (!isCount(begin) || !isCount(end) || rest.length > 0 || end < begin)
    throw damaged(`tensor ${name} has the impossible offsets ${JSON.stringify(offsets)}`);
  const needed = shape.reduce(
    (bytes: number, size: number) => bytes * size,
    elementBytes[dtype as SafetensorsDType],
  );
  if (needed !== end - begin)
    throw damaged(
      `tensor ${name} ${dtype}[${shape.join()}] needs ${needed} bytes, its offsets give ${end - begin}`,
    );
  return {
    name,
    dtype: dtype as SafetensorsDType,
    shape: shape as number[],
    byteOffset: begin,
    byteLength: end - begin,
  };
}

export interface TensorToWrite {
  name: string;
  dtype: SafetensorsDType;
  shape: readonly number[];
  /** All bytes, or what gives them when they are to be written: at once or in parts. */
  data: Uint8Array | (() => Uint8Array | Iterable<Uint8Array>);
}

/** Bytes that a tensor takes in a file. */
export function tensorBytes({ dtype, shape }: Pick<TensorToWrite, 'dtype' | 'shape'>): number {
  return shape.reduce((product, size) => product * size, elementBytes[dtype]);
}

/**
 * Writes a safetensors file: complete or absent. Tensors are ordered by element size, then name, and the header is
 * padded to 8 bytes, as the reference implementation does.
 */
export function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string> = {},
): void {
  const ordered = [...tensors].sort(
    (a, b) => elementBytes[b.dtype] - elementBytes[a.dtype] || (a.name < b.name ? -1 : 1),
  );
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  let offset = 0;
  for (const { name, dtype, shape } of ordered) {
    const end = offset + tensorBytes({ dtype, shape });
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileAtomic(path, chunks());

  function* chunks(): Generator<Uint8Array> {
    yield length;
    yield padded;
    for (const { name, dtype, shape, data } of ordered) {
      const given = typeof data === 'function' ? data() : data;
      let written = 0;
      for (const bytes of given instanceof Uint8Array ? [given] : given) {
        written += bytes.byteLength;
        yield bytes;
      }
      if (written !== tensorBytes({ dtype, shape }))
        throw new Error(`${name}: ${written} bytes given for ${dtype}[${shape.join()}]`);
    }
  }
}
