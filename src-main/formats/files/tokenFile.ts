import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StudioError } from '../../contract/errors.ts';
import { writeFileAtomic } from './atomicFile.ts';

/**
 * Tokenized rows on disk, so that an engine reads single rows and never holds a dataset.
 *
 * Layout, little endian: magic `IDLT`, u32 version 2, u32 row count n, u32 zero, then n + 1 u64 offsets counted in
 * tokens, n u32 task numbers (version 1 has none: task 0), then all tokens as int32. A token that is a label (trained
 * on, scored) is stored as its id; a token that is context only is stored as -1 - id. The first token of a row is never
 * predicted, label or not.
 */
const magic = 0x544c4449;
const headerBytes = 16;

export interface TokenRow {
  ids: Int32Array;
  /** 1 where the token is a label. */
  trained: Uint8Array;
  /** Number of the row's task; absent: 0. */
  task?: number;
}

/** Writes rows to a new file; complete or absent. Returns the number of rows. */
export function writeTokenFile(path: string, rows: Iterable<TokenRow>): number {
  const list = [...rows];
  const offsets = new BigUint64Array(list.length + 1);
  let total = 0;
  list.forEach((row, i) => {
    total += row.ids.length;
    offsets[i + 1] = BigInt(total);
  });
  const tokens = new Int32Array(total);
  let at = 0;
  for (const row of list)
    for (let i = 0; i < row.ids.length; i++) tokens[at++] = row.trained[i] ? row.ids[i]! : -1 - row.ids[i]!;
  const header = new Uint32Array([magic, 2, list.length, 0]);
  writeFileAtomic(path, [
    new Uint8Array(header.buffer),
    new Uint8Array(offsets.buffer),
    new Uint8Array(Uint32Array.from(list, ({ task }) => task ?? 0).buffer),
    new Uint8Array(tokens.buffer),
  ]);
  return list.length;
}

/** Random access to the rows of a token file. Close it after use. */
export class TokenFileReader {
  readonly rowCount: number;
  /** Task of each row. */
  readonly tasks: Uint32Array;
  readonly #fd: number;
  readonly #offsets: BigUint64Array;
  readonly #tokensAt: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    try {
      const size = fstatSync(this.#fd).size;
      const header = new Uint32Array(4);
      readSync(this.#fd, new Uint8Array(header.buffer), 0, headerBytes, 0);
      const rows = header[2]!;
      const tasksAt = headerBytes + 8 * (rows + 1);
      const tasks = header[1] === 2 ? rows : 0;
      this.#tokensAt = tasksAt + 4 * tasks;
      this.#offsets = new BigUint64Array(rows + 1 <= size / 8 ? rows + 1 : 0);
      readSync(this.#fd, new Uint8Array(this.#offsets.buffer), 0, this.#offsets.byteLength, headerBytes);
      const total = Number(this.#offsets.at(-1) ?? 0n);
      if (header[0] !== magic || ![1, 2].includes(header[1]!) || size !== this.#tokensAt + 4 * total)
        throw new StudioError(
          'dataset_invalid',
          `${path} is not a complete token file (${size} bytes).`,
          'Delete it: the studio makes it anew from the dataset.',
        );
      this.rowCount = rows;
      this.tasks = new Uint32Array(rows);
      readSync(this.#fd, new Uint8Array(this.tasks.buffer), 0, 4 * tasks, tasksAt);
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
    const begin = Number(this.#offsets[index]!);
    const stored = new Int32Array(this.length(index));
    const at = this.#tokensAt + 4 * begin;
    readSync(this.#fd, new Uint8Array(stored.buffer), 0, stored.byteLength, at);
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
