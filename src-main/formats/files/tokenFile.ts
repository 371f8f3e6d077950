import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { syncFolder } from './atomicFile.ts';

/**
 * Tokenized rows on disk, so that an engine reads single rows and nobody holds a dataset.
 *
 * Layout, little endian: magic `IDLT`, u32 version 3, u32 row count n, u32 zero; all tokens as int32, padded to 8
 * bytes; then n + 1 u64 offsets counted in tokens, n f64 keys, n u32 task numbers, n u32 labels. A token that is a
 * label (trained on, scored) is stored as its id; a token that is context only is stored as -1 - id. The first token of
 * a row is never predicted, label or not.
 */
const magic = 0x544c4449;
const version = 3;
const headerBytes = 16;
/** Tokens are written in pieces of this many bytes. */
const pieceBytes = 1024 * 1024;

export interface TokenRow {
  ids: Int32Array;
  /** 1 where the token is a label. */
  trained: Uint8Array;
  /** Number of the row's task; absent: 0. */
  task?: number;
  /** Place of the row's source in the mix that it comes from; absent: 0. Not kept in token files. */
  source?: number;
}

/** Labels of a row: trained tokens, but for the first, which nothing predicts. */
export function labelCount({ trained }: Pick<TokenRow, 'trained'>): number {
  let labels = 0;
  for (let i = 1; i < trained.length; i++) labels += trained[i]!;
  return labels;
}

/** A number for a row's content, 53 bits of a SHA-256: equal rows have equal keys, and others practically never. */
export function contentKey(content: string | Uint8Array): number {
  const digest = createHash('sha256').update(content).digest();
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1fffff) * 2 ** 32;
}

/** Writes a token file row by row; the file is complete after `finish`, or absent. */
export class TokenFileWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #offsets = new Growing(Float64Array);
  readonly #keys = new Growing(Float64Array);
  readonly #tasks = new Growing(Uint32Array);
  readonly #labels = new Growing(Uint32Array);
  #piece = new Int32Array(pieceBytes / 4);
  #filled = 0;
  #tokens = 0;

  constructor(path: string) {
    this.#path = path;
    // Two jobs of one process may write the same rows at once: a run that is prepared, and a mix that is counted.
    this.#temporary = `${path}.${randomBytes(6).toString('hex')}.partial`;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(this.#temporary, 'w');
    this.#offsets.push(0);
    this.#write(new Uint8Array(headerBytes));
  }

  /** @param key of what the row says; absent: of its tokens */
  add(row: TokenRow, key?: number): void {
    for (let i = 0; i < row.ids.length; i++) {
      this.#piece[this.#filled++] = row.trained[i] ? row.ids[i]! : -1 - row.ids[i]!;
      if (this.#filled === this.#piece.length) this.#flush();
    }
    this.#tokens += row.ids.length;
    this.#offsets.push(this.#tokens);
    this.#keys.push(key ?? contentKey(bytesOf(row.ids)));
    this.#tasks.push(row.task ?? 0);
    this.#labels.push(labelCount(row));
  }

  /** @returns the number of rows */
  finish(): number {
    const rows = this.#keys.length;
    this.#flush();
    if (this.#tokens % 2 === 1) this.#write(new Uint8Array(4));
    const offsets = BigUint64Array.from(this.#offsets.values(), (offset) => BigInt(offset));
    for (const part of [offsets, this.#keys.values(), this.#tasks.values(), this.#labels.values()])
      this.#write(bytesOf(part));
    const header = Uint32Array.of(magic, version, rows, 0);
    writeSync(this.#fd, bytesOf(header), 0, headerBytes, 0);
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    renameSync(this.#temporary, this.#path);
    syncFolder(dirname(this.#path));
    return rows;
  }

  /** Leaves nothing behind. */
  abort(): void {
    closeSync(this.#fd);
    rmSync(this.#temporary, { force: true });
  }

  #flush(): void {
    this.#write(bytesOf(this.#piece.subarray(0, this.#filled)));
    this.#filled = 0;
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
  }
}

/** Writes rows to a new file; complete or absent. @returns the number of rows */
export function writeTokenFile(path: string, rows: Iterable<TokenRow>): number {
  const writer = new TokenFileWriter(path);
  try {
    for (const row of rows) writer.add(row);
    return writer.finish();
  } catch (error) {
    writer.abort();
    throw error;
  }
}

/** Random access to the rows of a token file. Close it after use. */
export class TokenFileReader {
  readonly rowCount: number;
  /** Task of each row. */
  readonly tasks: Uint32Array;
  /** Labels of each row. */
  readonly labels: Uint32Array;
  /** Content of each row, as a number. */
  readonly keys: Float64Array;
  readonly #fd: number;
  readonly #offsets: BigUint64Array;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(this.#fd);
      const header = new Uint32Array(4);
      readSync(this.#fd, bytesOf(header), 0, headerBytes, 0);
      const rows = header[2]!;
      const tableBytes = 8 * (rows + 1) + 8 * rows + 4 * rows + 4 * rows;
      const tableAt = size - tableBytes;
      const isPlausible = header[0] === magic && header[1] === version && tableAt >= headerBytes;
      this.#offsets = new BigUint64Array(isPlausible ? rows + 1 : 0);
      this.keys = new Float64Array(isPlausible ? rows : 0);
      this.tasks = new Uint32Array(isPlausible ? rows : 0);
      this.labels = new Uint32Array(isPlausible ? rows : 0);
      let at = tableAt;
      for (const part of isPlausible ? [this.#offsets, this.keys, this.tasks, this.labels] : [])
        at += readSync(this.#fd, bytesOf(part), 0, part.byteLength, at);
      const total = Number(this.#offsets.at(-1) ?? -1n);
      if (!isPlausible || tableAt !== headerBytes + 8 * Math.ceil(total / 2))
        throw new StudioError(
          'dataset_invalid',
          `${path} is not a complete token file (${size} bytes).`,
          'Delete it: the studio makes it anew from the dataset.',
        );
      this.rowCount = rows;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Number of tokens of a row. */
  length(row: number): number {
    return Number(this.#offsets[row + 1]! - this.#offsets[row]!);
  }

  row(index: number): TokenRow {
    const stored = new Int32Array(this.length(index));
    const at = headerBytes + 4 * Number(this.#offsets[index]!);
    readSync(this.#fd, bytesOf(stored), 0, stored.byteLength, at);
    const trained = new Uint8Array(stored.length);
    const ids = stored.map((value, i) => {
      trained[i] = value >= 0 ? 1 : 0;
      return value >= 0 ? value : -1 - value;
    });
    return { ids, trained, task: this.tasks[index]! };
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A typed array that grows at its end. */
class Growing<T extends Float64Array | Uint32Array> {
  #array: T;
  length = 0;
  readonly #create: new (length: number) => T;

  constructor(create: new (length: number) => T) {
    this.#create = create;
    this.#array = new create(1024);
  }

  push(value: number): void {
    if (this.length === this.#array.length) {
      const larger = new this.#create(2 * this.length);
      larger.set(this.#array);
      this.#array = larger;
    }
    this.#array[this.length++] = value;
  }

  values(): T {
    return this.#array.subarray(0, this.length) as T;
  }
}
