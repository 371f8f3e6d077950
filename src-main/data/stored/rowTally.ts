import { hash as digest } from 'node:crypto';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { Unusable, UnusedCounts } from '../../contract/datasets/unusable.ts';
import type { Dataset, DatasetFormat, Stretch } from '../../contract/entities.ts';
import type { Row } from '../../contract/rows.ts';
import { fieldOf, type SourceValue } from '../mapping/fields.ts';
import { isTask, mapRow } from '../mapping/mapRow.ts';
import { exampleOf } from '../rowExample.ts';
import { rowKey } from '../rowKeys.ts';

/** Numbers whose count is not known before. */
class Numbers {
  #values = new Float64Array(1024);
  length = 0;
  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }
  take(): Float64Array {
    return this.#values.slice(0, this.length);
  }
}

const mostReasons = 100;

/** What reading all rows of a dataset finds out. */
export interface Tally {
  rows: number;
  promptRows: number;
  stretches: Stretch[];
  unused: UnusedCounts;
  statistics: Dataset['statistics'];
  /** Keys of the usable rows (rowKeys.ts), in their order. */
  keys: Float64Array;
  /** Numbers of the rows that are not used, among all rows of the copy, ascending. */
  skipped: Uint32Array;
}

/** Counts rows as they go by: which can be used and why not, how long they are, which are there twice. */
export class RowTally {
  readonly #mappings: readonly Mapping[];
  readonly #format: DatasetFormat;
  readonly #keys = new Numbers();
  readonly #hashes = new Numbers();
  readonly #skipped = new Numbers();
  readonly #reasons = new Map<string, UnusedCounts['reasons'][number]>();
  readonly #stretches: Stretch[] = [];
  readonly #sums = { prompt: 0, answer: 0, promptMax: 0, answerMax: 0 };
  readonly #foreignTasks = { rows: 0, example: '' };
  #rows = 0;
  #promptRows = 0;
  #unused = 0;
  #seen = 0;

  constructor(mappings: readonly Mapping[], format: DatasetFormat) {
    this.#mappings = mappings;
    this.#format = format;
  }

  get rows(): number {
    return this.#rows;
  }

  /** From here on rows are of this part. */
  beginStretch(split: Stretch['split']): void {
    this.#stretches.push({ split, rows: 0, sourceRows: 0 });
  }

  /** A row of the copy. @param isExcluded somebody has taken it out */
  add(value: SourceValue, place: { file: string; number: number }, isExcluded = false): void {
    const stretch = this.#stretches.at(-1)!;
    stretch.sourceRows++;
    const index = this.#seen++;
    if (isExcluded) {
      this.#skipped.push(index);
      return;
    }
    const { row, unusable } = mapRow(value, this.#mappings);
    if (unusable) {
      this.#skipped.push(index);
      this.refuse(unusable, place);
      return;
    }
    stretch.rows++;
    this.#rows++;
    this.#count(value, row);
  }

  /** A row that cannot be used; those that are not in the copy come here alone. */
  refuse(unusable: Unusable, { file, number }: { file: string; number: number }): void {
    this.#unused++;
    // Turns of a list are told apart by their number, which makes no other reason.
    const column = unusable.column?.replace(/\[\d+\]/g, '') ?? null;
    const key = JSON.stringify([unusable.reason, column]);
    const found = this.#reasons.get(key);
    if (found) found.rows++;
    else if (this.#reasons.size < mostReasons)
      this.#reasons.set(key, { ...unusable, column, rows: 1, file, number });
  }

  #count(value: SourceValue, row: Row): void {
    this.#keys.push(rowKey(row));
    this.#hashes.push(shortHash(row));
    const { prompt, answer } = exampleOf(row, this.#format);
    const sums = this.#sums;
    sums.prompt += prompt.length;
    sums.answer += answer.length;
    sums.promptMax = Math.max(sums.promptMax, prompt.length);
    sums.answerMax = Math.max(sums.answerMax, answer.length);
    if (row.kind === 'chat' && !row.turns.some(({ role }) => role === 'assistant')) this.#promptRows++;
    const column = this.#mappings[0]?.task ?? 'task';
    const task = fieldOf(value, column);
    if (task === undefined || task === null || isTask(task)) return;
    this.#foreignTasks.example ||= JSON.stringify(task).slice(0, 100);
    this.#foreignTasks.rows++;
  }

  result(): Tally {
    const rows = Math.max(1, this.#rows);
    const hashes = this.#hashes.take().sort();
    let duplicateRows = 0;
    for (let i = 1; i < hashes.length; i++) if (hashes[i] === hashes[i - 1]) duplicateRows++;
    return {
      rows: this.#rows,
      promptRows: this.#promptRows,
      stretches: this.#stretches,
      unused: {
        rows: this.#unused,
        reasons: [...this.#reasons.values()].sort((a, b) => b.rows - a.rows),
      },
      statistics: {
        promptCharactersMean: this.#sums.prompt / rows,
        promptCharactersMax: this.#sums.promptMax,
        answerCharactersMean: this.#sums.answer / rows,
        answerCharactersMax: this.#sums.answerMax,
        duplicateRows,
        ...(this.#foreignTasks.rows > 0 && { foreignTasks: this.#foreignTasks }),
      },
      keys: this.#keys.take(),
      skipped: Uint32Array.from(this.#skipped.take()),
    };
  }
}

/** 53 bits of a row's hash: among a million rows one pair in ten thousand imports agrees by chance. */
function shortHash(row: Row): number {
  const bytes = digest('sha1', JSON.stringify(row), 'buffer');
  return bytes.readUInt32LE(0) + (bytes.readUInt32LE(4) & 0x1fffff) * 2 ** 32;
}
