import type { RowLengths, RowLayout } from '../../contract/forecast.ts';
import type { TrainConfig } from '../../contract/training.ts';
import {
  lineStep,
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
  const totals = drawTotals(lengths.lengths, batch, padded, lengths.longest);
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
 * forecasts. The sample may lack the longest row, and a line must hold it: the greatest pass has it instead of its own
 * longest.
 */
function drawTotals(lengths: readonly number[], batch: number, most: number, longest: number): number[] {
  let state = 1;
  const draw = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const passes = Array.from({ length: drawnPasses }, () => {
    const pass = { total: 0, longest: 0 };
    for (let row = 0; row < batch; row++) {
      const length = Math.min(lengths[Math.floor(draw() * lengths.length)]!, most);
      pass.total += length;
      pass.longest = Math.max(pass.longest, length);
    }
    return pass;
  });
  const greatest = passes.reduce((one, other) => (other.total > one.total ? other : one));
  greatest.total += Math.min(longest, most) - greatest.longest;
  return passes.map(({ total }) => total);
}

/**
 * Layouts of rows of which nothing is counted; what one of them needs at most, no rows need more of. Where none is much
 * shorter than the context each is padded to it. Else they may lie side by side: in that line a query looks as far back
 * as the longest row reaches, in a padded row on average half as far.
 */
export function widestLayouts(
  config: Pick<TrainConfig, 'context' | 'packing' | 'batch'>,
  contextLength: number,
): RowLayout[] {
  const context = Math.min(config.context, contextLength);
  const rectangle = { rowTokens: context, line: null };
  if (config.packing) return [rectangle];
  const slots = lineStep * Math.ceil((config.batch * context) / lineStep);
  return [rectangle, { rowTokens: slots, line: { meanTokens: slots, longest: context } }];
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
