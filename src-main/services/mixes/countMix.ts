import { setImmediate } from 'node:timers/promises';
import { rowLayout } from '../../budget/forecast/rowLayout.ts';
import { countRows } from '../../contract/datasets/parts.ts';
import type { Model } from '../../contract/entities.ts';
import type { MixCount, MixedRow } from '../../contract/mixing/mixes.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { createDataOrder, type DataOrder } from '../../data/mix/dataOrder.ts';
import { layOutPasses } from '../../data/mix/laidOutRun.ts';
import { epochOrder } from '../../data/mix/epochOrder.ts';
import type { FittedRows } from '../../data/mix/fittedRows.ts';
import { planRows } from '../../data/mix/rowPlan.ts';
import { readRows } from '../../data/readRows.ts';
import type { RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { rowSlots } from '../../data/packing.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ServiceContext } from '../context.ts';
import { mixLeaves, type MixNode } from './mixTree.ts';
import { mixTotals, planMix, type LeafFiles, type PlannedMix, type RowReader } from './planMix.ts';
import { bareRows, contentKeys } from './runRows.ts';
import { tokenizeLeaves } from './trainingData.ts';

/** What of a training decides what a mix gives. */
export type CountOptions = Pick<
  TrainConfig,
  | 'context'
  | 'truncation'
  | 'seed'
  | 'heldOutFraction'
  | 'batch'
  | 'accumulate'
  | 'packing'
  | 'epochs'
  | 'maxSteps'
  | keyof RenderingOptions
>;

/** A mix counted, with what its rows are. */
export interface CountedMix {
  count: MixCount;
  planned: PlannedMix;
  /** Tokens of each planned row as it is trained, by source; null where rows alone were counted. */
  lengths: Uint32Array[] | null;
  labels: Uint32Array[] | null;
  /** Null likewise. */
  laidOut: LaidOutRows | null;
}

/** Training rows as batches hold them. */
interface LaidOutRows {
  /** Tokens of each row, numbered through the sources. */
  lengths: Uint32Array;
  /** Labels of each at most, those included that are cut off: as the engine counts them. */
  labels: Uint32Array;
  /** Tokens of a row that is padded to the longest. */
  padded: number;
  /** Tokens of a pack, or the same. */
  slots: number;
}

/**
 * Counts one pass over a mix with a model's tokenizer. What is tokenized once is not tokenized again: another share,
 * seed or context reads numbers alone.
 * @param model null: rows alone are counted
 * @throws StudioError as `planMix` does; usage where tokens are to be counted without a model
 */
export async function countMix(
  context: ServiceContext,
  node: MixNode,
  model: Model | null,
  options: CountOptions,
  work: {
    read: RowReader;
    known: Map<string, string>;
    signal: AbortSignal;
    onRows(done: number, total: number): void;
  },
): Promise<CountedMix> {
  const length = model ? Math.min(options.context, model.contextLength) : options.context;
  const rowOptions = { ...options, context: length };
  const { files, read } = model
    ? { files: await tokenized(context, node, model, { ...work, rendering: options }), read: work.read }
    : await bareSources(context, node);
  const planned = planMix(node, files, rowOptions, read);
  const totals = mixTotals(planned);
  const rows = files.map(({ train }) => read(train, rowOptions));
  const of = (key: 'tokens' | 'labels' | 'wholeLabels') =>
    planned.train.sources.map((source, i) => Uint32Array.from(source.rows, (row) => rows[i]![key][row]!));
  const [lengths, labels] = model ? [of('tokens'), of('labels')] : [null, null];
  const held = (planned.heldOut?.sources ?? []).map((source) => {
    const { tokens } = read(source.file, rowOptions);
    return Uint32Array.from(source.rows, (row) => tokens![row]!);
  });
  const laidOut = lengths && laidOutRows({ lengths, labels: of('wholeLabels'), held }, rowOptions);
  const known = (tokens: number) => (model ? tokens : null);
  return {
    planned,
    lengths,
    labels,
    laidOut,
    count: {
      ...totals,
      tokens: known(totals.tokens),
      trainedTokens: known(totals.trainedTokens),
      sources: planned.sources.map((source) => ({
        ...source,
        tokens: known(source.tokens!),
        trainedTokens: known(source.trainedTokens!),
      })),
      parts: planned.parts,
      unit: node.recipe.unit,
      model: model?.name ?? null,
      context: length,
      ...fill(planned, laidOut, options),
      longestRow: lengths && [...taking(planned, lengths), ...held].reduce(longestOf, 0),
      warnings: planned.warnings,
    },
  };
}

/** Rows of the first pass in their order, with what they say. */
export async function sampleMix(
  { paths }: Pick<ServiceContext, 'paths'>,
  node: MixNode,
  { planned, lengths, labels }: CountedMix,
  range: { offset: number; limit: number },
): Promise<MixedRow[]> {
  const leaves = mixLeaves(node);
  const pairs = epochOrder(planned.train.sources, planned.train, 0);
  const rows: MixedRow[] = [];
  const end = Math.min(pairs.length / 2, range.offset + range.limit);
  for (let at = range.offset; at < end; at++) {
    const [source, place] = [pairs[2 * at]!, pairs[2 * at + 1]!];
    const { dataset, split } = leaves[source]!;
    const offset = planned.train.sources[source]!.rows[place]!;
    for await (const { index, row } of readRows(paths.datasets, dataset, { split, offset, limit: 1 }))
      rows.push({
        source,
        index,
        row,
        tokens: lengths?.[source]![place] ?? null,
        trainedTokens: labels?.[source]![place] ?? null,
      });
  }
  return rows;
}

async function tokenized(
  { paths }: ServiceContext,
  node: MixNode,
  model: Model,
  work: {
    rendering: RenderingOptions;
    known: Map<string, string>;
    signal: AbortSignal;
    onRows(done: number, total: number): void;
  },
): Promise<LeafFiles[]> {
  return tokenizeLeaves({ model, node, datasetFolder: paths.datasets, cacheFolder: paths.cache, ...work });
}

/** Sources of which only the content of rows is known; their "files" are names alone. */
async function bareSources(
  context: ServiceContext,
  node: MixNode,
): Promise<{ files: LeafFiles[]; read: RowReader }> {
  const units = (inner: MixNode): string[] => [
    inner.recipe.unit,
    ...inner.sources.flatMap(({ of }) => (of.kind === 'mix' ? units(of.node) : [])),
  ];
  if (units(node).some((unit) => unit !== 'rows'))
    throw new StudioError(
      'usage',
      'A mix in tokens or trained tokens needs a model, whose tokenizer counts them.',
      'Name a model, or let the mix count rows.',
    );
  const read = new Map<string, FittedRows>();
  const files: LeafFiles[] = [];
  for (const { dataset, split } of mixLeaves(node)) {
    const named = async (part: typeof split) => {
      const name = `${dataset.contentHash}.${part}`;
      read.set(name, bareRows(await contentKeys(context, dataset, part)));
      return name;
    };
    const validation = split === 'train' && countRows(dataset, 'validation') > 0;
    files.push({ train: await named(split), validation: validation ? await named('validation') : null });
  }
  return { files, read: (file) => read.get(file)! };
}

/** Of the sources that take part at all. */
function taking<T>({ train }: PlannedMix, bySource: readonly T[]): T[] {
  return bySource.filter((_, i) => train.sources[i]!.amount > 0);
}

function longestOf(longest: number, lengths: Uint32Array): number {
  return lengths.reduce((most, tokens) => Math.max(most, tokens), longest);
}

/** As the engine lays them out (data/mix/laidOutRun.ts). */
function laidOutRows(
  of: { lengths: readonly Uint32Array[]; labels: readonly Uint32Array[]; held: readonly Uint32Array[] },
  { context, packing }: Pick<CountOptions, 'context' | 'packing'>,
): LaidOutRows {
  const lengths = inOneLine(of.lengths);
  const labels = inOneLine(of.labels).map((count) => Math.min(context, count));
  const longest = [lengths, ...of.held].reduce(longestOf, 1);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const slots = (packed: boolean) => rowSlots({ longest, total, context, packing: packed });
  return { lengths, labels, padded: slots(false), slots: slots(packing) };
}

function inOneLine(bySource: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(bySource.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const of of bySource) {
    all.set(of, at);
    at += of.length;
  }
  return all;
}

/** The order in which a run trains on a plan, by the function that orders it there. */
function orderOf(
  { train }: PlannedMix,
  laidOut: LaidOutRows | null,
  { batch, accumulate, packing, seed }: CountOptions,
): DataOrder {
  return createDataOrder({
    rows: train.sources.reduce((sum, { rows }) => sum + rows.length, 0),
    batch,
    accumulate,
    // Passes are counted one by one, as they are asked for.
    epochs: 1,
    maxSteps: 1,
    seed,
    packing: packing && laidOut ? { lengths: laidOut.lengths, capacity: laidOut.slots } : null,
    epochRows: (epoch) => planRows(train, epoch),
  });
}

/** How the rows of the first pass fill batches, which stands for all passes of the run. */
function fill(
  planned: PlannedMix,
  laidOut: LaidOutRows | null,
  options: CountOptions,
): Pick<MixCount, 'fillRate' | 'layout' | 'stepsPerEpoch'> {
  const order = orderOf(planned, laidOut, options);
  const stepsPerEpoch = order.stepsOf(1);
  if (!laidOut) return { fillRate: null, layout: null, stepsPerEpoch };
  const { batch, packing, epochs, maxSteps } = options;
  const { labels, padded, slots: tokens, lengths } = laidOut;
  const share = maxSteps === null ? epochs : maxSteps / stepsPerEpoch;
  const perEpoch = order.packs(0).length / batch;
  const layouts = layOutPasses(order, {
    batch,
    packing,
    lengths,
    labels: (row) => labels[row]!,
    padded,
    tokens,
    steps: Math.max(1, Math.min(stepsPerEpoch, Math.ceil(share * stepsPerEpoch))),
    ...(share > 1 && { passes: Math.ceil(share * perEpoch) }),
    heldOut: { total: 0, longest: 0 },
  });
  return { fillRate: layouts.fill, layout: rowLayout(layouts, packing), stepsPerEpoch };
}

/**
 * Steps of so many passes: as many as a run takes. Passes over a mix, and rows that are packed anew, differ by a step.
 * @throws StudioError as `countMix` does; the signal's reason
 */
export async function countSteps(
  { planned, laidOut }: CountedMix,
  options: CountOptions,
  signal: AbortSignal,
): Promise<number> {
  const order = orderOf(planned, laidOut, options);
  for (let pass = 1; pass <= options.epochs; pass++) {
    order.stepsOf(pass);
    // A pass over a million rows takes a second: the process has other things to do in between.
    await setImmediate();
    signal.throwIfAborted();
  }
  return order.stepsOf(options.epochs);
}
