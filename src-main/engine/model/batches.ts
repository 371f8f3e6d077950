import type { Pack } from '../../data/mix/dataOrder.ts';
import type { RowSet } from '../../data/mix/rowPlan.ts';
import type { TokenRow } from '../../formats/files/tokenFile.ts';
import { inLine } from '../../data/mix/laidOutRun.ts';
import { forEachFirstKey, lineStep, type BatchLayout } from '../../options/passLayouts.ts';

/** Arrays that a session is fed for a batch of rows; [batch * tokens] but for labels and their places. */
export interface Batch {
  /** Padding is id 0 behind a row's tokens. */
  ids: Int32Array;
  /** At position t the token to predict, ids[t + 1], where that is trained on and of the same example; else -1. */
  labels: Int32Array;
  /** The positions of labels where logits are made at those alone: labels then stand in their order, -1 behind them. */
  places?: Int32Array;
  /** Task of the row; only some methods read it. */
  tasks: Int32Array;
  /** Position within the example; read only where a row of the batch holds several. */
  positions: Float32Array;
  /** Number of the example within its row of the batch, padding has its own; read only there, too. */
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
    { batch, tokens },
  );
}

/**
 * Lays packs into a batch of fixed shape, the rows of a pack one behind the other. Positions start anew with each, and
 * none predicts the first token of the next. What reaches beyond the shape is cut.
 */
export function layOutPacks(
  packs: readonly (readonly TokenRow[])[],
  { batch, tokens, longestExample, labels, firstKeys }: BatchLayout,
): Batch {
  const most = longestExample ?? tokens;
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
    const laid: number[] = [];
    rows.forEach((row, segment) => {
      const length = Math.min(row.ids.length, most, end - at);
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
      laid.push(length);
    });
    if (firstKeys)
      forEachFirstKey(laid, (block, firstKey) => {
        if (firstKey < firstKeys[block]!)
          throw new Error(`slot ${block * lineStep} sees slot ${firstKey}, foreseen was ${firstKeys[block]}`);
      });
    fillSegment(result, at, end - at, rows.length);
  }
  return labels === undefined ? result : { ...result, ...placedLabels(result, labels) };
}

/** Labels with their places, and -1 at place 0 behind them. */
function placedLabels({ labels, labelled }: Batch, most: number): Required<Pick<Batch, 'labels' | 'places'>> {
  if (labelled > most) throw new Error(`${labelled} labels where ${most} were foreseen`);
  const placed = { labels: new Int32Array(most).fill(-1), places: new Int32Array(most) };
  let at = 0;
  labels.forEach((label, place) => {
    if (label < 0) return;
    placed.labels[at] = label;
    placed.places[at++] = place;
  });
  return placed;
}

/** Adds up losses of labels by the source that they come from. @param losses of each of `labels` */
export function addBySource(
  sums: Map<number, LossSum>,
  { labels, places, sources }: Batch,
  losses: ArrayLike<number>,
): void {
  labels.forEach((label, at) => {
    if (label < 0) return;
    const source = sources[places?.[at] ?? at]!;
    const sum = sums.get(source) ?? { lossSum: 0, tokens: 0 };
    sums.set(source, { lossSum: sum.lossSum + losses[at]!, tokens: sum.tokens + 1 });
  });
}

/** Losses of so many labels, summed. */
export interface LossSum {
  lossSum: number;
  tokens: number;
}

/**
 * Lays the packs of a pass into the first of the layouts that holds them: into lines all of them side by side, else
 * each into a row of the batch; rows that share one by length, as `inLine` orders them.
 * @param layouts shortest first
 */
export function batchFromRows(
  packs: readonly Pack[],
  rows: Pick<RowSet, 'row' | 'length'>,
  layouts: readonly BatchLayout[],
): Batch {
  const last = layouts.at(-1)!;
  const isLine = last.batch === 1;
  const most = last.longestExample ?? last.tokens;
  const lengthOf = (row: number) => Math.min(rows.length(row), most);
  const laid = (isLine ? [packs.flat()] : packs).map((pack) => inLine(pack, lengthOf));
  const tokens = laid.reduce((longest, pack) => {
    const total = pack.reduce((sum, row) => sum + lengthOf(row), 0);
    return Math.max(longest, total);
  }, 0);
  const layout = layouts.find((one) => one.tokens >= tokens) ?? last;
  return layOutPacks(
    laid.map((pack) => pack.map((row) => rows.row(row))),
    layout,
  );
}

/** What a session may be fed of a batch: it takes the inputs that its graph has. */
export function batchFeeds({ ids, labels, places, tasks, positions, segments, counted }: Batch) {
  return { ids, labels, tasks, positions, segments, counted, ...(places && { places }) };
}

function fillSegment({ positions, segments }: Batch, at: number, length: number, segment: number): void {
  segments.fill(segment, at, at + length);
  for (let t = 0; t < length; t++) positions[at + t] = t;
}
