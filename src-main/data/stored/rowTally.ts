import type { Unusable, UnusedCounts } from '../../contract/datasets/unusable.ts';
import type { Dataset, Stretch } from '../../contract/entities.ts';
import {
  hasForeignTask,
  isUnanswered,
  isUsable,
  reasonOf,
  type FactsBlock,
  type FactsFile,
} from './factsFile.ts';
import type { RowFacts, RowPlace } from './rowFacts.ts';
import { UnusedReasons } from './unusedReasons.ts';

/** What all rows of a dataset come to. */
export interface Tally {
  rows: number;
  promptRows: number;
  stretches: Stretch[];
  unused: UnusedCounts;
  statistics: Dataset['statistics'];
  /** Numbers of the rows that are not used, among all rows of the copy, ascending. */
  skipped: Uint32Array;
}

/** A row with its facts. */
export interface PlacedFacts {
  facts: RowFacts;
  place: RowPlace;
}

/** Rows that are not as the copy has them, by their numbers; null: somebody has taken it out. */
export type ChangedRows = ReadonlyMap<number, PlacedFacts | null>;

/**
 * Counts a dataset by the facts of its rows.
 * @param changed rows whose facts are others
 * @param look reads a row of the copy: the first with a reason, where edits took away the one that is known
 */
export async function tallyOf(
  facts: FactsFile,
  {
    stretches,
    changed,
    look,
  }: {
    stretches: readonly Pick<Stretch, 'split' | 'sourceRows'>[];
    changed: ChangedRows;
    look(index: number): Promise<PlacedFacts>;
  },
): Promise<Tally> {
  const tally = new RowTally(facts, stretches, changed);
  for await (const block of facts.blocks()) tally.addBlock(block);
  return tally.result(look);
}

class RowTally {
  readonly #facts: FactsFile;
  readonly #changed: ChangedRows;
  readonly #order: number[];
  readonly #contents: ChangedContents;
  readonly #stretches: Stretch[];
  /** By its number, of each reason how many rows have it and which is the first. */
  readonly #reasons: ({ rows: number; first: number } | undefined)[] = [];
  readonly #skipped: number[] = [];
  readonly #sums = { prompt: 0, answer: 0, promptMax: 0, answerMax: 0 };
  readonly #foreign = { rows: 0, first: -1 };
  #next = 0;
  #stretch = 0;
  #stretchEnd: number;
  #promptRows = 0;
  #otherUnused = 0;

  constructor(
    facts: FactsFile,
    stretches: readonly Pick<Stretch, 'split' | 'sourceRows'>[],
    changed: ChangedRows,
  ) {
    this.#facts = facts;
    this.#changed = changed;
    this.#order = [...changed.keys()].sort((a, b) => a - b);
    this.#contents = new ChangedContents(facts, changed);
    this.#stretches = stretches.map(({ split, sourceRows }) => ({ split, sourceRows, rows: 0 }));
    this.#stretchEnd = this.#stretches[0]?.sourceRows ?? 0;
  }

  addBlock(block: FactsBlock): void {
    const { begin, count, code, content, promptCharacters, answerCharacters } = block;
    for (let i = 0; i < count; i++) {
      const index = begin + i;
      while (index >= this.#stretchEnd) this.#stretchEnd += this.#stretches[++this.#stretch]!.sourceRows;
      const isChanged = this.#order[this.#next] === index;
      if (isUsable(code[i]!)) this.#contents.count(content[i]!);
      if (isChanged) {
        this.#next++;
        this.#addChanged(index, this.#changed.get(index)!);
      } else if (isUsable(code[i]!))
        this.#use(index, {
          prompt: promptCharacters[i]!,
          answer: answerCharacters[i]!,
          isAnswered: !isUnanswered(code[i]!),
          hasForeignTask: hasForeignTask(code[i]!),
        });
      else {
        this.#skipped.push(index);
        const number = reasonOf(code[i]!);
        if (number === null) this.#otherUnused++;
        else {
          const reason = (this.#reasons[number] ??= { rows: 0, first: index });
          reason.rows++;
        }
      }
    }
  }

  #addChanged(index: number, row: PlacedFacts | null): void {
    if (row === null || row.facts.unusable) {
      this.#skipped.push(index);
      return;
    }
    const { promptCharacters: prompt, answerCharacters: answer, isAnswered, foreignTask } = row.facts;
    this.#use(index, { prompt, answer, isAnswered, hasForeignTask: foreignTask !== null });
  }

  #use(
    index: number,
    row: { prompt: number; answer: number; isAnswered: boolean; hasForeignTask: boolean },
  ): void {
    this.#stretches[this.#stretch]!.rows++;
    const sums = this.#sums;
    sums.prompt += row.prompt;
    sums.answer += row.answer;
    if (row.prompt > sums.promptMax) sums.promptMax = row.prompt;
    if (row.answer > sums.answerMax) sums.answerMax = row.answer;
    if (!row.isAnswered) this.#promptRows++;
    if (row.hasForeignTask && this.#foreign.rows++ === 0) this.#foreign.first = index;
  }

  async result(look: (index: number) => Promise<PlacedFacts>): Promise<Tally> {
    const rows = this.#stretches.reduce((sum, stretch) => sum + stretch.rows, 0);
    const sums = this.#sums;
    const foreignTasks = await this.#foreignTasks(look);
    return {
      rows,
      promptRows: this.#promptRows,
      stretches: this.#stretches,
      unused: await this.#unused(look),
      statistics: {
        promptCharactersMean: sums.prompt / Math.max(1, rows),
        promptCharactersMax: sums.promptMax,
        answerCharactersMean: sums.answer / Math.max(1, rows),
        answerCharactersMax: sums.answerMax,
        duplicateRows: rows - this.#contents.distinct(),
        ...(foreignTasks && { foreignTasks }),
      },
      skipped: Uint32Array.from(this.#skipped),
    };
  }

  async #foreignTasks(look: (index: number) => Promise<PlacedFacts>) {
    const { rows, first } = this.#foreign;
    if (rows === 0) return null;
    const known = this.#facts.ending.firstForeignTask;
    const example =
      known?.index === first && !this.#changed.has(first)
        ? known.task
        : (this.#changed.get(first) ?? (await look(first))).facts.foreignTask;
    return { rows, example: example ?? '' };
  }

  async #unused(look: (index: number) => Promise<PlacedFacts>): Promise<UnusedCounts> {
    const { reasons: known, broken } = this.#facts.ending;
    const found: { index: number; rows: number; unusable: Unusable; place: RowPlace }[] = [];
    for (const [number, reason] of this.#reasons.entries()) {
      if (!reason) continue;
      const { rows, first: index } = reason;
      const { index: knownIndex, file, number: line, ...unusable } = known[number]!;
      if (knownIndex === index) found.push({ index, rows, unusable, place: { file, number: line } });
      else {
        const { facts, place } = await look(index);
        found.push({ index, rows, unusable: facts.unusable ?? unusable, place });
      }
    }
    for (const [index, row] of this.#changed)
      if (row?.facts.unusable) found.push({ index, rows: 1, unusable: row.facts.unusable, place: row.place });
    const reasons = new UnusedReasons();
    for (const { rows, unusable, place } of found.sort((a, b) => a.index - b.index))
      reasons.add(unusable, place, rows);
    for (const { rows, file, number, ...unusable } of broken.reasons)
      reasons.add(unusable, { file, number }, rows);
    const listed = broken.reasons.reduce((sum, { rows }) => sum + rows, 0);
    reasons.rows += this.#otherUnused + broken.rows - listed;
    return reasons.counts();
  }
}

/** How many different rows there are once some are changed: those alone are counted that a change touches. */
class ChangedContents {
  readonly #distinctBefore: number;
  /** What changed rows said and say: how often it stood in the copy, and how often more it stands now. */
  readonly #touched = new Map<number, { before: number; more: number }>();

  constructor({ ending, contentAt }: FactsFile, changed: ChangedRows) {
    this.#distinctBefore = ending.distinct;
    for (const [index, row] of changed) {
      this.#of(contentAt(index)).more--;
      if (row && !row.facts.unusable) this.#of(row.facts.content).more++;
    }
    // What rows say that cannot be used.
    this.#touched.delete(0);
  }

  #of(content: number): { before: number; more: number } {
    const found = this.#touched.get(content) ?? { before: 0, more: 0 };
    this.#touched.set(content, found);
    return found;
  }

  /** A usable row of the copy. */
  count(content: number): void {
    if (this.#touched.size === 0) return;
    const found = this.#touched.get(content);
    if (found) found.before++;
  }

  distinct(): number {
    let distinct = this.#distinctBefore;
    for (const { before, more } of this.#touched.values())
      distinct += Number(before + more > 0) - Number(before > 0);
    return distinct;
  }
}
