import type { RowLengths, RowLayout } from '../../contract/forecast.ts';
import type { TrainConfig } from '../../contract/training.ts';
import {
  unpackedLayouts,
  withLabels,
  type BatchLayout,
  type PassLayouts,
} from '../../options/passLayouts.ts';

/** Passes over rows of which only a sample of lengths is known are foreseen from so many drawn ones. */
const drawnPasses = 256;

/** Rows of a pass that are drawn one by one at most. */
const mostDrawn = 4096;

/** What a forecast is made from, of the layouts of a run. */
export function rowLayout({ training, meanSlots }: PassLayouts, packing: boolean): RowLayout {
  const { batch, tokens, longestExample, labels } = training.at(-1)!;
  const isLine = longestExample !== undefined && !packing;
  return {
    rowTokens: tokens,
    line: isLine ? { meanTokens: meanSlots, longest: longestExample } : null,
    ...(labels !== undefined && { labels: (labels * meanSlots) / (batch * tokens) }),
  };
}

/**
 * How rows will be laid out, as the engine does it (data/mix/laidOutRun.ts), before they are tokenized: passes are
 * drawn from the lengths that are known. Without any, rows are taken to be as long as the context, or the longest.
 * @param lengths null: not counted
 */
export function rowLayoutOf(
  config: Pick<TrainConfig, 'context' | 'packing' | 'batch' | 'accumulate' | 'epochs' | 'maxSteps'>,
  contextLength: number,
  lengths: (Pick<RowLengths, 'longest'> & Partial<RowLengths>) | null,
): RowLayout {
  const context = Math.min(config.context, contextLength);
  if (!lengths) return { rowTokens: context, line: null };
  const padded = Math.min(context, 8 * Math.ceil(lengths.longest / 8));
  const { batch, accumulate, epochs, maxSteps, packing } = config;
  const share = lengths.trainedShare ?? 1;
  if (packing) {
    const layout = withLabels({ batch, tokens: context }, share * batch * context);
    return rowLayout({ training: [layout], scoring: layout, meanSlots: batch * context, fill: 1 }, packing);
  }
  if (!lengths.lengths?.length) return { rowTokens: padded, line: null };
  const rows = lengths.rows ?? lengths.lengths.length;
  // Batches that no dataset fills are foreseen as if they were full.
  if (batch > Math.min(rows, mostDrawn)) return { rowTokens: padded, line: null };
  const totals = drawTotals(lengths.lengths, batch, padded);
  const passes = maxSteps === null ? Math.ceil(rows / batch) * epochs : maxSteps * accumulate;
  const layouts = unpackedLayouts({
    totals,
    passes: Math.max(1, passes),
    batch,
    padded,
    heldOut: { total: 0, longest: 0 },
  });
  const most = share * totals.reduce((more, total) => Math.max(more, total), 0);
  return rowLayout({ ...layouts, training: [withLabels(layouts.training.at(-1)!, most)] }, false);
}

/**
 * Tokens of passes over rows drawn from a sample of lengths, by the generator of Knuth and Lewis: equal rows give equal
 * forecasts.
 */
function drawTotals(lengths: readonly number[], batch: number, most: number): number[] {
  let state = 1;
  const draw = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  return Array.from({ length: drawnPasses }, () => {
    let total = 0;
    for (let row = 0; row < batch; row++)
      total += Math.min(lengths[Math.floor(draw() * lengths.length)]!, most);
    return total;
  });
}

/** The greatest of a run's passes. */
export function largestPass(
  { batch }: Pick<TrainConfig, 'batch'>,
  { rowTokens, line }: RowLayout,
): BatchLayout {
  return line ? { batch: 1, tokens: rowTokens, longestExample: line.longest } : { batch, tokens: rowTokens };
}

/** A pass that takes as long as a run's do on average. */
export function meanPass(config: Pick<TrainConfig, 'batch'>, layout: RowLayout): BatchLayout {
  const { line, labels } = layout;
  const largest = largestPass(config, layout);
  return {
    ...largest,
    ...(line && { tokens: Math.round(line.meanTokens) }),
    ...(labels !== undefined && { labels: Math.round(labels) }),
  };
}
