import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { unusedCountsSchema, type Unusable } from '../../contract/datasets/unusable.ts';
import type { Dataset } from '../../contract/entities.ts';
import { factsVersion, type RowFacts, type RowPlace } from './rowFacts.ts';
import { UnusedReasons } from './unusedReasons.ts';

/**
 * The facts of all rows of a copy as a mapping reads them, without edits: 25 bytes a row. With them a dataset is
 * counted anew without reading a row, whatever is edited, left out or taken as another part.
 *
 * Blocks of columns (`key` and `content` f64, characters of prompt and answer u32, a code u8), then an ending in JSON
 * and its length (f64).
 */
const blockRows = 65_536;
const rowBytes = 25;

/** Codes: bits of a row that can be used; from `firstReason` on the number of the reason why one cannot. */
const unanswered = 1;
const foreignTask = 2;
const firstReason = 16;
const otherReason = 255;

const endingSchema = z.object({
  rows: z.number().int(),
  /** How many usable rows differ from all before them. */
  distinct: z.number().int(),
  /** Reasons by their number, each with its first row. */
  reasons: z.array(unusedCountsSchema.shape.reasons.element.extend({ index: z.number().int() })),
  /** Rows that are not in the copy, because they were no rows. */
  broken: unusedCountsSchema,
  firstForeignTask: z.object({ index: z.number().int(), task: z.string() }).nullable(),
});
export type FactsEnding = z.infer<typeof endingSchema>;

/** Where the facts of a copy lie. Their name says what they follow from. */
export function factsPath(
  folder: string,
  { file, mappings, format }: Pick<Dataset, 'file' | 'mappings' | 'format'>,
): string {
  const reading = createHash('sha256').update(JSON.stringify([factsVersion, mappings, format]));
  return join(folder, `${file.replace(/\.jsonl$/, '')}.${reading.digest('hex').slice(0, 16)}.facts`);
}

/** A stretch of rows, column by column. */
export interface FactsBlock {
  begin: number;
  count: number;
  key: Float64Array;
  content: Float64Array;
  promptCharacters: Uint32Array;
  answerCharacters: Uint32Array;
  code: Uint8Array;
}

export function isUsable(code: number): boolean {
  return code < firstReason;
}
export function isUnanswered(code: number): boolean {
  return (code & unanswered) !== 0;
}
export function hasForeignTask(code: number): boolean {
  return (code & foreignTask) !== 0;
}
/** The number of the reason why a row cannot be used; null: it is one beyond those that are told apart. */
export function reasonOf(code: number): number | null {
  return code === otherReason ? null : code - firstReason;
}

function blockOver(bytes: ArrayBuffer, begin: number, count: number): FactsBlock {
  return {
    begin,
    count,
    key: new Float64Array(bytes, 0, count),
    content: new Float64Array(bytes, 8 * count, count),
    promptCharacters: new Uint32Array(bytes, 16 * count, count),
    answerCharacters: new Uint32Array(bytes, 20 * count, count),
    code: new Uint8Array(bytes, 24 * count, count),
  };
}

/** Numbers whose count is not known before. */
class Numbers {
  #values = new Float64Array(1024);
  #length = 0;
  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }
  /** How many are unlike all others. Puts them in order. */
  distinct(): number {
    const sorted = this.#values.subarray(0, this.#length).sort();
    let count = 0;
    for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) count++;
    return count;
  }
}

/** Writes the facts of a copy, row by row in its order. */
export class FactsWriter {
  readonly #fd: number;
  readonly #block = blockOver(new ArrayBuffer(blockRows * rowBytes), 0, blockRows);
  readonly #contents = new Numbers();
  readonly #reasons = new UnusedReasons();
  readonly #firsts: number[] = [];
  readonly #broken = new UnusedReasons();
  #firstForeignTask: FactsEnding['firstForeignTask'] = null;
  #used = 0;
  #rows = 0;

  /** @param path of a new file */
  constructor(path: string) {
    this.#fd = openSync(path, 'wx');
  }

  add(facts: RowFacts, place: RowPlace): void {
    const [block, at] = [this.#block, this.#used++];
    block.key[at] = facts.key;
    block.content[at] = facts.content;
    block.promptCharacters[at] = facts.promptCharacters;
    block.answerCharacters[at] = facts.answerCharacters;
    block.code[at] = this.#codeOf(facts, place);
    if (!facts.unusable) this.#contents.push(facts.content);
    this.#rows++;
    if (this.#used === blockRows) this.#flush();
  }

  /** A row that is not in the copy. */
  addBroken(unusable: Unusable, place: RowPlace): void {
    this.#broken.add(unusable, place);
  }

  #codeOf({ unusable, isAnswered, foreignTask: task }: RowFacts, place: RowPlace): number {
    if (unusable) {
      const number = this.#reasons.add(unusable, place);
      if (number === null) return otherReason;
      this.#firsts[number] ??= this.#rows;
      return firstReason + number;
    }
    if (task !== null) this.#firstForeignTask ??= { index: this.#rows, task };
    return (isAnswered ? 0 : unanswered) + (task === null ? 0 : foreignTask);
  }

  #flush(): void {
    const { key, content, promptCharacters, answerCharacters, code } = this.#block;
    for (const column of [key, content, promptCharacters, answerCharacters, code])
      this.#write(new Uint8Array(column.buffer, column.byteOffset, this.#used * column.BYTES_PER_ELEMENT));
    this.#used = 0;
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
  }

  /** Completes the file. */
  finish(): void {
    this.#flush();
    const ending: FactsEnding = {
      rows: this.#rows,
      distinct: this.#contents.distinct(),
      reasons: this.#reasons.list.map((one, i) => ({ ...one, index: this.#firsts[i]! })),
      broken: this.#broken.counts(),
      firstForeignTask: this.#firstForeignTask,
    };
    const text = Buffer.from(JSON.stringify(ending));
    this.#write(text);
    this.#write(new Uint8Array(Float64Array.of(text.length).buffer));
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** The facts of a copy. */
export interface FactsFile {
  readonly ending: FactsEnding;
  /** All rows in their order; others have their turn between two blocks. */
  blocks(): AsyncGenerator<FactsBlock>;
  /** What a row says, 0 where it cannot be used. @returns see RowFacts.content */
  contentAt(index: number): number;
  close(): void;
}

/** Opens facts; null where there are none. */
export function openFacts(path: string): FactsFile | null {
  if (!existsSync(path)) return null;
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const length = new Float64Array(readBytes(fd, 8, size - 8))[0]!;
    const text = Buffer.from(readBytes(fd, length, size - 8 - length)).toString('utf8');
    const ending = endingSchema.parse(JSON.parse(text));
    const { rows } = ending;
    return {
      ending,
      async *blocks() {
        for (let begin = 0; begin < rows; begin += blockRows) {
          const count = Math.min(blockRows, rows - begin);
          yield blockOver(readBytes(fd, count * rowBytes, begin * rowBytes), begin, count);
          await setImmediate();
        }
      },
      contentAt(index) {
        const begin = index - (index % blockRows);
        const count = Math.min(blockRows, rows - begin);
        const at = begin * rowBytes + 8 * count + 8 * (index - begin);
        return new Float64Array(readBytes(fd, 8, at))[0]!;
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function readBytes(fd: number, count: number, position: number): ArrayBuffer {
  const bytes = new Uint8Array(new ArrayBuffer(count));
  for (let at = 0; at < count;) {
    const got = readSync(fd, bytes, at, count - at, position + at);
    if (got === 0) throw new Error(`a file of facts ends before byte ${position + count}`);
    at += got;
  }
  return bytes.buffer;
}
