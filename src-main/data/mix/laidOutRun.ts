import type { TrainConfig } from '../../contract/training.ts';
import {
  unpackedLayouts,
  withFirstKeys,
  withLabels,
  type BatchLayout,
  type PassLayouts,
} from '../../options/passLayouts.ts';
import { packingEfficiency, packRows, rowSlots } from '../packing.ts';
import { createDataOrder, type DataOrder, type Pack } from './dataOrder.ts';
import type { RowSet } from './rowPlan.ts';

/** What of rows decides how they are laid out. */
export type RowsRead = Pick<RowSet, 'rowCount' | 'length' | 'labels' | 'epochRows'>;

/** What decides which rows meet in a pass, and how they are laid out. */
type LaidOutConfig = Pick<
  TrainConfig,
  'batch' | 'accumulate' | 'epochs' | 'maxSteps' | 'seed' | 'context' | 'packing' | 'heldOutRows'
>;

/** A run's rows in their order, and the arrays in which they lie. */
export interface LaidOutRun {
  order: DataOrder;
  layouts: PassLayouts;
}

/** Tokens of each row. */
export function rowLengths(rows: Pick<RowSet, 'rowCount' | 'length'>): Int32Array {
  return Int32Array.from({ length: rows.rowCount }, (_, row) => rows.length(row));
}

/**
 * Orders the rows of a run and lays them out: what the engine does and what a forecast is made from.
 * @param passes forward passes that there will be, where `rows` are a sample; absent: those of the run
 */
export function layOutRun(
  config: LaidOutConfig,
  rows: RowsRead,
  heldOut: RowsRead | null,
  passes?: number,
): LaidOutRun {
  const { batch, context, packing } = config;
  const lengths = rowLengths(rows);
  const longestTrained = longestOf(lengths);
  const longest = Math.max(longestTrained, heldOut ? longestOf(rowLengths(heldOut)) : 0);
  const total = sum(lengths);
  const padded = rowSlots({ longest, total, context, packing: false });
  const tokens = rowSlots({ longest, total, context, packing });
  const order = createDataOrder({
    ...config,
    rows: rows.rowCount,
    epochRows: rows.epochRows,
    packing: packing ? { lengths, capacity: tokens } : null,
  });
  const scored = heldOut ? scoredRows(heldOut, config.heldOutRows) : [];
  // With nothing to score, routing is watched on training rows (engine/training/heldOut.ts): any must find room.
  const scoredLengths =
    scored.length > 0
      ? scored.map((row) => Math.min(heldOut!.length(row), padded))
      : [Math.min(longestTrained, padded)];
  const laidOut = layOutPasses(order, {
    batch,
    packing,
    lengths,
    labels: (row) => rows.labels(row),
    padded,
    tokens,
    steps: order.totalSteps,
    ...(passes !== undefined && { passes }),
    heldOut: { total: sum(scoredLengths), longest: longestOf(scoredLengths) },
  });
  let { scoring } = laidOut;
  if (heldOut && scored.length > 0) {
    const labels = scoringPasses(heldOut, scored, scoring).map((packs) =>
      sum(packs.flat().map((row) => heldOut.labels(row))),
    );
    scoring = withLabels(scoring, longestOf(labels));
  }
  return { order, layouts: { ...laidOut, scoring } };
}

/**
 * Layouts of the passes over rows, training's with room for their labels.
 * @param of.padded slots of a row that is padded to the longest, `tokens` of a pack (`rowSlots`)
 * @param of.steps so many of the first are looked at, for all `passes` there will be; absent: they are all
 * @param of.heldOut as of `unpackedLayouts`
 */
export function layOutPasses(
  order: Pick<DataOrder, 'microBatches' | 'packs'>,
  of: Pick<TrainConfig, 'batch' | 'packing'> & {
    lengths: ArrayLike<number>;
    labels(row: number): number;
    padded: number;
    tokens: number;
    steps: number;
    passes?: number;
    heldOut: { total: number; longest: number };
  },
): PassLayouts {
  const { batch, packing, lengths, labels, padded, tokens, steps, passes, heldOut } = of;
  const counts = countPasses(order, steps, (row) => Math.min(lengths[row]!, padded), labels);
  const laidOut = packing
    ? packedLayouts(
        { batch, tokens, longestExample: padded },
        packingEfficiency(lengths, order.packs(0), tokens),
      )
    : unpackedLayouts({
        totals: counts.packs.map(tokensOfPass),
        ...(passes !== undefined && { passes }),
        batch,
        padded,
        heldOut,
      });
  return { ...laidOut, training: fittedTo(laidOut.training, counts, packing) };
}

function packedLayouts(layout: BatchLayout, fill: number): PassLayouts {
  return { training: [layout], scoring: layout, meanSlots: layout.batch * layout.tokens, fill };
}

/** The rows that an evaluation during a run scores. */
export function scoredRows({ rowCount, epochRows }: RowsRead, most: number): number[] {
  const numbers = epochRows?.(0) ?? Array(rowCount).keys();
  return Array.from(numbers as Iterable<number>).slice(0, most);
}

/** Rows in passes of a layout, as few as hold them. */
export function scoringPasses(
  rows: Pick<RowSet, 'rowCount' | 'length'>,
  numbers: readonly number[],
  { batch, tokens, longestExample }: BatchLayout,
): Pack[][] {
  const packs =
    longestExample === undefined ? numbers.map((row) => [row]) : packRows(rowLengths(rows), numbers, tokens);
  return Array.from({ length: Math.ceil(packs.length / batch) }, (_, i) =>
    packs.slice(i * batch, (i + 1) * batch),
  );
}

/**
 * Rows of a pack, or all of a pass, in the order in which they lie side by side: the longest first. Short ones behind
 * it are then not multiplied with as many keys as the longest reaches back.
 */
export function inLine(rows: readonly number[], lengthOf: (row: number) => number): number[] {
  return [...rows].sort((a, b) => lengthOf(b) - lengthOf(a));
}

/** Each forward pass: its labels, and the tokens of the rows in each of its packs, as they are laid out. */
interface PassCounts {
  labels: number[];
  packs: number[][][];
}

/** @param steps so many of the first are counted */
function countPasses(
  order: Pick<DataOrder, 'microBatches'>,
  steps: number,
  tokensOf: (row: number) => number,
  labelsOf: (row: number) => number,
): PassCounts {
  const counts: PassCounts = { labels: [], packs: [] };
  for (let step = 1; step <= steps; step++)
    for (const packs of order.microBatches(step)) {
      counts.packs.push(packs.map((rows) => inLine(rows, tokensOf).map(tokensOf)));
      counts.labels.push(sum(packs.flat().map(labelsOf)));
    }
  return counts;
}

/** Tokens of a pass. */
const tokensOfPass = (packs: readonly number[][]) => packs.reduce((total, pack) => total + sum(pack), 0);

/** Layouts with room for the labels of the passes that take them, and no keys that none of these sees. */
function fittedTo(
  layouts: readonly BatchLayout[],
  { labels, packs }: PassCounts,
  packing: boolean,
): BatchLayout[] {
  const takenBy = layouts.map(() => ({ labels: 0, rows: [] as number[][] }));
  packs.forEach((pass, i) => {
    const at = layouts.length === 1 ? 0 : layouts.findIndex(({ tokens }) => tokens >= tokensOfPass(pass));
    const taken = takenBy[at]!;
    taken.labels = Math.max(taken.labels, labels[i]!);
    if (packing) for (const pack of pass) taken.rows.push(pack);
    else taken.rows.push(pass.flat().sort((a, b) => b - a));
  });
  return layouts.map((layout, i) => withFirstKeys(withLabels(layout, takenBy[i]!.labels), takenBy[i]!.rows));
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0);
}

function longestOf(lengths: ArrayLike<number>): number {
  return Array.from(lengths).reduce((most, length) => Math.max(most, length), 0);
}
