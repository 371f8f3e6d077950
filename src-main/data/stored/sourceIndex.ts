import { createHash, type Hash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/** Where each row of a copy begins, and where it came from: 16 bytes a row. */
const entryBytes = 16;
/** So many entries are read at once. */
const heldEntries = 4096;
/** So much of the copy is read at once. */
const windowBytes = 1024 * 1024;

export interface IndexEntry {
  /** Byte at which the row's line begins. */
  offset: number;
  /** Number of the file that it came from, among the dataset's files. */
  file: number;
  /** Its number in that file. */
  number: number;
}

/** Writes an index beside a copy that is being written. */
export class IndexWriter {
  readonly hash: Hash = createHash('sha256');
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(heldEntries * entryBytes);
  #used = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'wx');
  }

  add({ offset, file, number }: IndexEntry): void {
    this.#buffer.writeDoubleLE(offset, this.#used);
    this.#buffer.writeUInt32LE(file, this.#used + 8);
    this.#buffer.writeUInt32LE(Math.min(number, 0xffffffff), this.#used + 12);
    this.#used += entryBytes;
    if (this.#used === this.#buffer.length) this.#flush();
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#used);
    this.hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    this.#used = 0;
  }

  close(): void {
    try {
      this.#flush();
      fsyncSync(this.#fd);
    } finally {
      closeSync(this.#fd);
    }
  }
}

/** A row of a copy as its line has it. */
export interface SourceLine extends IndexEntry {
  /** 0-based, among all rows of the copy. */
  index: number;
  text: string;
}

/** Rows of a copy from `begin` to before `end`, found by its index at once. */
export async function* readLinesAt(
  files: { copy: string; index: string },
  { begin, end }: { begin: number; end: number },
): AsyncGenerator<SourceLine> {
  if (begin >= end) return;
  const [copy, index] = [await open(files.copy, 'r'), await open(files.index, 'r')];
  try {
    const lines = new LineReader(copy);
    const entries = Buffer.alloc(heldEntries * entryBytes);
    for (let at = begin; at < end; at += heldEntries) {
      const count = Math.min(heldEntries, end - at);
      const { bytesRead } = await index.read(entries, 0, count * entryBytes, at * entryBytes);
      if (bytesRead < count * entryBytes) throw new Error(`${files.index} ends before row ${end}`);
      for (let i = 0; i < count; i++) {
        const place = i * entryBytes;
        const offset = entries.readDoubleLE(place);
        yield {
          index: at + i,
          offset,
          file: entries.readUInt32LE(place + 8),
          number: entries.readUInt32LE(place + 12),
          text: lines.held(offset) ?? (await lines.read(offset, count === 1)),
        };
      }
    }
  } finally {
    await copy.close();
    await index.close();
  }
}

/** Some rows of a copy by their numbers. @param indices ascending, so that what was read is of use to the next one */
export async function* readLinesOf(
  files: { copy: string; index: string },
  indices: Iterable<number>,
): AsyncGenerator<SourceLine> {
  const [copy, index] = [await open(files.copy, 'r'), await open(files.index, 'r')];
  try {
    const lines = new LineReader(copy);
    const entry = Buffer.alloc(entryBytes);
    for (const row of indices) {
      const { bytesRead } = await index.read(entry, 0, entryBytes, row * entryBytes);
      if (bytesRead < entryBytes) throw new Error(`${files.index} has no row ${row}`);
      const offset = entry.readDoubleLE(0);
      const text = lines.held(offset) ?? (await lines.read(offset, true));
      yield { index: row, offset, file: entry.readUInt32LE(8), number: entry.readUInt32LE(12), text };
    }
  } finally {
    await copy.close();
    await index.close();
  }
}

/** Lines of a file by where they begin; what was read around them is kept. */
class LineReader {
  readonly #file: FileHandle;
  #window: Buffer = Buffer.alloc(0);
  #begin = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The line, where all of it is held. */
  held(offset: number): string | null {
    const from = offset - this.#begin;
    if (from < 0 || from >= this.#window.length) return null;
    const end = this.#window.indexOf(10, from);
    return end < 0 ? null : this.#window.toString('utf8', from, end);
  }

  /** @param isAlone where no other line is wanted, less is read */
  async read(offset: number, isAlone: boolean): Promise<string> {
    let size = isAlone ? 16 * 1024 : windowBytes;
    for (;;) {
      const window = Buffer.allocUnsafe(size);
      const { bytesRead } = await this.#file.read(window, 0, size, offset);
      this.#window = window.subarray(0, bytesRead);
      this.#begin = offset;
      const line = this.held(offset);
      if (line !== null) return line;
      // The last line of a file that is used where it lies may have no end.
      if (bytesRead < size) return this.#window.toString('utf8');
      size *= 4;
    }
  }
}

/** Numbers of rows that are not used, ascending; empty where there is no such file. */
export function readSkipped(path: string): Uint32Array {
  if (!existsSync(path)) return new Uint32Array();
  const fd = openSync(path, 'r');
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const part = Buffer.alloc(1024 * 1024);
      const got = readSync(fd, part);
      if (got === 0) break;
      parts.push(part.subarray(0, got));
    }
    const bytes = Buffer.concat(parts);
    return new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  } finally {
    closeSync(fd);
  }
}

/** How many of some ascending numbers are below another. */
export function countBelow(numbers: Uint32Array, limit: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The number among all rows of the n-th row that is not skipped. */
export function nthKept(skipped: Uint32Array, n: number): number {
  // Before the k-th skipped row lie skipped[k] - k kept ones.
  let [low, high] = [0, skipped.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (skipped[middle]! - middle <= n) low = middle + 1;
    else high = middle;
  }
  return n + low;
}

/** Puts a finished file in its place, unless the same stands there already. */
export function place(temporary: string, final: string): void {
  if (existsSync(final)) rmSync(temporary, { force: true });
  else renameSync(temporary, final);
}
