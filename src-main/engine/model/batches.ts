import type { TrainConfig } from '../../contract/training.ts';
import type { RowSet } from '../../data/mix/rowPlan.ts';
import { rowSlots } from '../../data/packing.ts';
import type { TokenRow } from '../../formats/files/tokenFile.ts';
import type { BatchLayout } from './wholeRows.ts';

/** Arrays that a session is fed for a batch of rows; all [batch * tokens]. */
export interface Batch {
  /** Padding is id 0 behind a row's tokens. */
  ids: Int32Array;
  /** At position t the token to predict, ids[t + 1], where that is trained on and of the same example; else -1. */
  labels: Int32Array;
  /** Task of the row; only some methods read it. */
  tasks: Int32Array;
  /** Position within the example; read only with packing. */
  positions: Float32Array;
  /** Number of the example within its row of the batch, padding has its own; read only with packing. */
  segments: Float32Array;
  /** 1 at the tokens of rows, 0 at padding; read only where routing is watched. */
  counted: Float32Array;
  /** Place in its mix of the source that the token comes from; not fed. */
  sources: Uint16Array;
  /** Labels in the batch. */
  labelled: number;
  /** Tokens of the rows, without padding. */
  tokens: number;
}

/** Lays rows into a batch of fixed shape; missing rows stay empty, longer ones are cut. */
export function layOutBatch(rows: readonly TokenRow[], batch: number, tokens: number): Batch {
  return layOutPacks(
    rows.map((row) => [row]),
    batch,
    tokens,
  );
}

/**
 * Lays packs into a batch of fixed shape, the rows of a pack one behind the other. Positions start anew with each, and
 * none predicts the first token of the next. What reaches beyond the shape is cut.
 */
export function layOutPacks(packs: readonly (readonly TokenRow[])[], batch: number, tokens: number): Batch {
  const slots = batch * tokens;
  const result: Batch = {
    ids: new Int32Array(slots),
    labels: new Int32Array(slots).fill(-1),
    tasks: new Int32Array(slots),
    positions: new Float32Array(slots),
    segments: new Float32Array(slots),
    counted: new Float32Array(slots),
    sources: new Uint16Array(slots),
    labelled: 0,
    tokens: 0,
  };
  for (let r = 0; r < batch; r++) {
    const end = (r + 1) * tokens;
    let at = r * tokens;
    const rows = packs[r] ?? [];
    rows.forEach((row, segment) => {
      const length = Math.min(row.ids.length, end - at);
      result.ids.set(row.ids.subarray(0, length), at);
      result.tasks.fill(row.task ?? 0, at, at + length);
      result.sources.fill(row.source ?? 0, at, at + length);
      result.counted.fill(1, at, at + length);
      for (let t = 1; t < length; t++)
        if (row.trained[t]) {
          result.labels[at + t - 1] = row.ids[t]!;
          result.labelled++;
        }
      fillSegment(result, at, length, segment);
      at += length;
      result.tokens += length;
    });
    fillSegment(result, at, end - at, rows.length);
  }
  return result;
}

/** Lays packs of row numbers into a batch. */
export function batchFromRows(
  packs: readonly (readonly number[])[],
  rows: Pick<RowSet, 'row'>,
  { batch, tokens }: BatchLayout,
): Batch {
  return layOutPacks(
    packs.map((pack) => pack.map((row) => rows.row(row))),
    batch,
    tokens,
  );
}

/** What a session may be fed of a batch: it takes the inputs that its graph has. */
export function batchFeeds({ ids, labels, tasks, positions, segments, counted }: Batch) {
  return { ids, labels, tasks, positions, segments, counted };
}

function fillSegment({ positions, segments }: Batch, at: number, length: number, segment: number): void {
  segments.fill(segment, at, at + length);
  for (let t = 0; t < length; t++) positions[at + t] = t;
}

/** Tokens of each row. */
export function rowLengths(rows: Pick<RowSet, 'rowCount' | 'length'>): Int32Array {
  return Int32Array.from({ length: rows.rowCount }, (_, row) => rows.length(row));
}

/** The length to which all rows are padded: the longest row's, up to the context, as a multiple of 8. */
export function paddedLength(files: readonly Pick<RowSet, 'rowCount' | 'length'>[], context: number): number {
  let longest = 1;
  for (const file of files)
    for (let row = 0; row < file.rowCount; row++) longest = Math.max(longest, file.length(row));
  return Math.min(context, Math.ceil(longest / 8) * 8);
}

/**
 * The layout of all batches. Without packing, rows are padded to the longest; with it, packs have the context's length,
 * or less where all training rows together are shorter.
 */
export function layoutOf(
  config: Pick<TrainConfig, 'batch' | 'context' | 'packing'>,
  rows: RowSet,
  heldOut: RowSet | null,
): BatchLayout {
  const { batch, context } = config;
  const { packing } = config;
  const longest = paddedLength(heldOut ? [rows, heldOut] : [rows], context);
  const total = rowLengths(rows).reduce((sum, length) => sum + length, 0);
  const tokens = rowSlots({ longest, total, context, packing });
  return packing ? { batch, tokens, longestExample: longest } : { batch, tokens };
}
