import { createHash, randomUUID, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { mappingSchema } from '../contract/datasets/mapping.ts';
import { unusableText, type UnusedCounts, type UnusedRow } from '../contract/datasets/unusable.ts';
import type { Dataset, Stretch } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { syncFolder } from '../formats/files/atomicFile.ts';
import { planImport, type ImportPlan, type PlannedStream, type PlanOptions } from './importPlan.ts';
import { wrongEncoding } from './readers/fileRows.ts';
import { foreignEncoding } from './readers/textPieces.ts';
import { rowIdentity, writeSkipped } from './stored/rowIdentity.ts';
import { factsPath, FactsWriter, openFacts } from './stored/factsFile.ts';
import { factsOf } from './stored/rowFacts.ts';
import { tallyOf, type Tally } from './stored/rowTally.ts';
import { IndexWriter, place } from './stored/sourceIndex.ts';
import { fileHash } from './stored/storedFiles.ts';

export type ImportedDataset = Omit<Dataset, 'id' | 'name' | 'sourcePath' | 'benchmarkRows' | 'createdAt'>;

export interface ImportOptions extends PlanOptions {
  /** Where the library keeps its copies. */
  folder: string;
  /** A row that cannot be used ends the import. */
  strict?: boolean | undefined;
  /** Makes no copy: a file in JSON Lines is read where it lies. */
  inPlace?: boolean | undefined;
  /** Told of the bytes that a copy takes at least (packed files become longer), before anything is written. */
  checkSpace?: ((bytes: number) => void) | undefined;
  /** Told of the hashes by which files are about to be named. */
  reserve?: ((hashes: readonly string[]) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Told of bytes as they are read, of so many in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const bufferBytes = 1024 * 1024;
/** Files that a dataset lists. */
const listedFiles = 200;

/**
 * Reads files row by row into the library, with an index of the rows. Rows that cannot be used are set aside.
 * @returns what was found; `file` is the name inside `folder`
 * @throws StudioError dataset_empty; dataset_invalid where fewer than half of the rows can be used, or one cannot and
 *   it is strict; cancelled. Nothing is left behind
 */
export async function importDataset(options: ImportOptions): Promise<{ imported: ImportedDataset }> {
  const { folder, signal } = options;
  let done = 0;
  let total = 0;
  const plan = await planImport({
    ...options,
    onBytes(bytes) {
      done += bytes;
      // What is looked at before does not count.
      if (total > 0) options.onProgress?.(Math.min(done, total), total);
    },
  });
  done = 0;
  total = plan.found.bytes;
  mkdirSync(folder, { recursive: true });
  if (!options.inPlace) options.checkSpace?.(total);
  // By chance, not by the clock: two files may be imported in the same millisecond.
  const temporary = join(folder, `.import.${randomUUID()}`);
  const parts = {
    copy: `${temporary}.partial`,
    index: `${temporary}.index`,
    broken: `${temporary}.broken`,
    facts: `${temporary}.facts`,
  };
  try {
    const reference = options.inPlace ? await referenceOf(plan) : null;
    const read = await readAll(plan, parts, reference !== null, signal);
    const tally = await tallyOfImport(parts.facts, read.stretches);
    checkUsable(plan, tally, read.broken, options.strict ?? false);
    const sourceHash = reference?.hash ?? read.hash;
    const { format } = plan.detected;
    // Their fields in the order in which they are stored: what is named by a hash of them is found again.
    const mappings = plan.detected.mappings.map((mapping) => mappingSchema.parse(mapping));
    const identity = {
      sourceHash,
      mappings,
      stretches: tally.stretches,
      edits: null,
    };
    const contentHash = rowIdentity(identity);
    const name = createHash('sha256').update(`${sourceHash} ${read.indexHash}`).digest('hex');
    options.reserve?.([name, contentHash]);
    if (!reference) place(parts.copy, join(folder, `${name}.jsonl`));
    place(parts.index, join(folder, `${name}.index`));
    if (read.broken > 0) place(parts.broken, join(folder, `${name}.broken`));
    place(parts.facts, factsPath(folder, { file: `${name}.jsonl`, mappings, format }));
    writeSkipped(folder, contentHash, tally.skipped);
    syncFolder(folder);
    return {
      imported: {
        file: `${name}.jsonl`,
        inPlace: reference,
        format,
        rows: tally.rows,
        sizeBytes: reference?.size ?? statSync(join(folder, `${name}.jsonl`)).size,
        contentHash,
        sourceHash,
        mappings,
        isMappedByHand: plan.isMappedByHand,
        reason: plan.detected.reason,
        columns: plan.columns,
        unreadColumns: plan.unreadColumns,
        stretches: tally.stretches,
        files: plan.streams.slice(0, listedFiles).map(({ name: file, split, reason }, i) => ({
          name: file,
          split,
          rows: read.rows[i]!,
          reason,
        })),
        skippedFiles: plan.found.skipped.slice(0, listedFiles),
        unused: tally.unused,
        promptRows: tally.promptRows,
        edits: null,
        editHistory: [],
        statistics: tally.statistics,
      },
    };
  } finally {
    // After a failure; finished files have their final names by now.
    for (const path of Object.values(parts)) rmSync(path, { force: true });
  }
}

async function tallyOfImport(path: string, stretches: ReadRows['stretches']): Promise<Tally> {
  const facts = openFacts(path)!;
  try {
    const look = () => Promise.reject(new Error('no row of an import is edited'));
    return await tallyOf(facts, { stretches, changed: new Map(), look });
  } finally {
    facts.close();
  }
}

interface ReadRows {
  stretches: Pick<Stretch, 'split' | 'sourceRows'>[];
  /** SHA-256 of the copy, and of where its rows came from. */
  hash: string;
  indexHash: string;
  /** Rows that were no rows. */
  broken: number;
  /** Rows of each stream. */
  rows: number[];
}

async function readAll(
  { streams, detected }: ImportPlan,
  parts: { copy: string; index: string; broken: string; facts: string },
  isInPlace: boolean,
  signal: AbortSignal | undefined,
): Promise<ReadRows> {
  const stretches: ReadRows['stretches'] = [];
  const facts = new FactsWriter(parts.facts);
  const copy = isInPlace ? null : new LineWriter(parts.copy);
  const index = new IndexWriter(parts.index);
  const broken = new LineWriter(parts.broken);
  const rows: number[] = [];
  let brokenRows = 0;
  try {
    for (const [file, stream] of streams.entries()) {
      if (stream.split !== streams[file - 1]?.split) stretches.push({ split: stream.split, sourceRows: 0 });
      let count = 0;
      for await (const row of stream.read()) {
        if (count++ % 256 === 0) signal?.throwIfAborted();
        const { number } = row;
        if (row.broken) {
          brokenRows++;
          facts.addBroken(row.broken, { file: stream.name, number });
          const unused: UnusedRow = { ...row.broken, file: stream.name, number, text: row.text };
          broken.add(JSON.stringify(unused));
          continue;
        }
        let text: string;
        try {
          text = copy ? JSON.stringify(row.value) : '';
        } catch {
          brokenRows++;
          facts.addBroken({ reason: 'too_deep', column: null, detail: null }, { file: stream.name, number });
          continue;
        }
        index.add({ offset: copy ? copy.add(text) : row.offset!, file, number });
        facts.add(factsOf(row.value, detected.mappings, detected.format), { file: stream.name, number });
        stretches.at(-1)!.sourceRows++;
      }
      rows.push(count);
    }
    facts.finish();
  } finally {
    facts.close();
    copy?.close();
    index.close();
    broken.close();
  }
  return {
    stretches,
    hash: copy?.hash.digest('hex') ?? '',
    indexHash: `${index.hash.digest('hex')} ${broken.hash.digest('hex')}`,
    broken: brokenRows,
    rows,
  };
}

/** Writes lines and hashes what it writes. */
class LineWriter {
  readonly hash: Hash = createHash('sha256');
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #used = 0;
  #written = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'wx');
  }

  /** @returns the byte at which the line begins */
  add(line: string): number {
    const at = this.#written + this.#used;
    // A letter of a string takes three bytes at most.
    if (3 * line.length + 1 > bufferBytes - this.#used) this.#flush();
    if (3 * line.length + 1 > bufferBytes) this.#write(Buffer.from(`${line}\n`));
    else {
      this.#used += this.#buffer.write(line, this.#used, 'utf8');
      this.#buffer[this.#used++] = 10;
    }
    return at;
  }

  #flush(): void {
    this.#write(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  #write(bytes: Buffer): void {
    this.hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    this.#written += bytes.length;
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

/** What a file is that is going to be used where it lies. @throws StudioError usage */
async function referenceOf({ streams }: ImportPlan): Promise<NonNullable<Dataset['inPlace']>> {
  const [first, ...others] = streams;
  if (!first || others.length > 0 || !first.isLines || first.source.path === null)
    throw new StudioError(
      'usage',
      'Only one file in JSON Lines, not packed, can be used where it lies.',
      'Leave --in-place out: the studio then keeps a copy.',
    );
  const { path } = first.source;
  const { size, mtimeMs } = statSync(path);
  return { path, size, mtimeMs, hash: await fileHash(path) };
}

/** @throws StudioError where too few rows can be used */
function checkUsable(plan: ImportPlan, tally: Tally, broken: number, strict: boolean): void {
  const total = tally.stretches.reduce((sum, { sourceRows }) => sum + sourceRows, 0) + broken;
  const { unused, rows } = tally;
  if (total === 0) {
    const names = plan.streams.map(({ name }) => name);
    throw new StudioError(
      'dataset_empty',
      `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''} ${names.length === 1 ? 'has' : 'have'} no rows.`,
      'Choose a file with at least one row: JSONL with one object a line, a JSON array of objects, or a table.',
    );
  }
  if (unused.rows === 0 || (2 * rows >= total && !strict)) return;
  const [most] = unused.reasons;
  if (most!.reason === 'encoding') {
    const file = plan.streams.find(({ name }) => name === most!.file);
    const error = file && foreignEncoding(file.source);
    if (error) throw wrongEncoding(file.name, error);
  }
  throw tooFewUsable(plan.streams, unused, total, strict);
}

function tooFewUsable(
  streams: readonly PlannedStream[],
  { rows, reasons }: UnusedCounts,
  total: number,
  strict: boolean,
): StudioError {
  const [first] = reasons;
  const more = reasons
    .slice(1, 4)
    .map(
      (reason) =>
        `${reason.rows} (the first is row ${reason.number}) ${unusableText({ ...reason, detail: null })}`,
    );
  const count = rows === total ? 'None' : `${total - rows}`;
  return new StudioError(
    'dataset_invalid',
    `${first!.file}, row ${first!.number} ${unusableText(first!)}${first!.rows > 1 ? `; so it is with ${first!.rows} rows` : ''}${more.length > 0 ? `, and ${more.join(', ')}` : ''}. ${count} of ${total} ${total === 1 ? 'row' : 'rows'} can be used.`,
    strict
      ? 'Correct the rows, or leave --strict out: they are set aside then.'
      : streams.length > 1
        ? 'Choose the files that hold the data alone, or say which field is what (--prompt FIELD --answer FIELD).'
        : 'Say which field is what (--prompt FIELD --answer FIELD, or --text FIELD; on the page in the heads of the columns), or correct the file.',
  );
}
