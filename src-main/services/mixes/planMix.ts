import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { manyEpochs, type MixedSource, type MixUnit } from '../../contract/mixing/mixes.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { takenRows } from '../../data/mix/epochOrder.ts';
import { fitRows, type FittedRows } from '../../data/mix/fittedRows.ts';
import type { PlannedSource, RowPlan } from '../../data/mix/rowPlan.ts';
import { selectRows, type SelectedRows } from '../../data/mix/select.ts';
import { noRowLeft } from '../../data/tokenize.ts';
import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import { seedFrom } from '../../statistics/random.ts';
import { refusalOf } from './sourceTokens.ts';
import { leafAmounts, mixLeaves, type LeafAmounts, type MixLeaf, type MixNode } from './mixTree.ts';

/** What of a run decides its rows. */
export type RowOptions = Pick<TrainConfig, 'context' | 'seed' | 'heldOutFraction' | 'truncation'>;

/** The token files of a leaf: of what it trains on, and of its rows for validation. */
export interface LeafFiles {
  train: string;
  /** Null where it has none. */
  validation: string | null;
}

/** One pass over a mix, planned: what is trained on, what is held out, and what that is in numbers. */
export interface PlannedMix {
  train: RowPlan;
  /** Null where no row is held out. */
  heldOut: RowPlan | null;
  sources: MixedSource[];
  parts: LeafAmounts['parts'];
  warnings: string[];
}

/** Reads of a token file what planning needs; whoever plans often keeps the answers. */
export type RowReader = (file: string, options: Pick<RowOptions, 'context' | 'truncation'>) => FittedRows;

export const readFittedRows: RowReader = (file, { context, truncation }) => {
  const reader = new TokenFileReader(file);
  try {
    return fitRows(reader, context, truncation);
  } finally {
    reader.close();
  }
};

/** Keeps what was read of the files that were used last. */
export function keepingRowReader(most = 64): RowReader {
  const kept = new Map<string, FittedRows>();
  return (file, options) => {
    const key = JSON.stringify([file, options.context, options.truncation]);
    const known = kept.get(key) ?? readFittedRows(file, options);
    kept.delete(key);
    kept.set(key, known);
    if (kept.size > most) kept.delete(kept.keys().next().value!);
    return known;
  };
}

/**
 * Plans a pass over a mix whose sources are tokenized. Order of work: duplicates go, each source is split, rows
 * without a label within the context go, sources repeat, shuffled anew each time, and are interleaved (data/mix).
 * @param files of each leaf, in the order of `mixLeaves`
 * @throws StudioError dataset_invalid where a source keeps no row within the context; config_invalid for amounts that
 * cannot be had
 */
export function planMix(
  node: MixNode,
  files: readonly LeafFiles[],
  options: RowOptions,
  read: RowReader = readFittedRows,
): PlannedMix {
  const leaves = mixLeaves(node);
  const { recipe } = node;
  const seed = planSeed(node, options.seed);
  const rows = files.map(({ train, validation }) => ({
    rows: read(train, options),
    validation: validation === null ? null : read(validation, options),
  }));
  const selected = selectRows(rows, {
    deduplicate: deduplicationOf(node),
    heldOutFraction: options.heldOutFraction,
    seed,
  });
  selected.forEach((of, i) => checkKept(of, rows[i]!.rows, files[i]!.train, options));
  const unitsOf = (leaf: number, unit: MixUnit) =>
    sumOf(selected[leaf]!.train, unitList(rows[leaf]!.rows, unit));
  const amounts = leafAmounts(node, unitsOf);
  const planned = leaves.map((leaf, i): PlannedSource => {
    const list = unitList(rows[i]!.rows, recipe.unit);
    const units = Uint32Array.from(selected[i]!.train, (row) => list?.[row] ?? 1);
    const amount = amounts.epochs[i]! * units.reduce((sum, unit) => sum + unit, 0);
    const { key, train } = selected[i]!;
    return { name: leaf.name, file: files[i]!.train, key, rows: train, units, amount };
  });
  const shared = { context: options.context, truncation: options.truncation, order: recipe.order, seed };
  const held = leaves.flatMap((leaf, i): PlannedSource[] => {
    const { heldOut, key } = selected[i]!;
    const units = new Uint32Array(heldOut.length).fill(1);
    const file = rows[i]!.validation ? files[i]!.validation! : files[i]!.train;
    return [{ name: leaf.name, file, key, rows: heldOut, units, amount: heldOut.length }];
  });
  const sources = countSources(leaves, planned, {
    rows: rows.map((row) => row.rows),
    selected,
    recipe,
    amounts,
    seed,
  });
  return {
    train: { sources: planned, ...shared },
    heldOut: held.some((source) => source.rows.length > 0) ? { sources: held, ...shared } : null,
    sources,
    parts: amounts.parts,
    warnings: [...amounts.warnings, ...repeatWarnings(sources)],
  };
}

/** The seed of a run's rows: another run seed is another split and order, and so is another seed of the mix. */
export function planSeed({ recipe }: Pick<MixNode, 'recipe'>, seed: number): number {
  return seedFrom(seed, 'mix', recipe.seed);
}

/** The strictest of the mix and the mixes in it. */
export function deduplicationOf({ recipe, sources }: MixNode): 'none' | 'within' | 'across' {
  const all = [
    recipe.deduplicate,
    ...sources.flatMap(({ of }) => (of.kind === 'mix' ? [deduplicationOf(of.node)] : [])),
  ];
  return all.includes('across') ? 'across' : all.includes('within') ? 'within' : 'none';
}

/** Units of each row; null: one each. */
function unitList({ tokens, labels }: FittedRows, unit: MixUnit): Uint32Array | null {
  return unit === 'rows' ? null : unit === 'tokens' ? tokens : labels;
}

function sumOf(rows: Uint32Array, values: Uint32Array | null): number {
  return values === null ? rows.length : rows.reduce((sum, row) => sum + values[row]!, 0);
}

/** A source of which no row is left is a mistake of the context or the template, which the message says in numbers. */
function checkKept(
  { train, droppedRows, refusedRows }: SelectedRows,
  { wholeTokens }: FittedRows,
  file: string,
  { context, truncation }: RowOptions,
): void {
  if (train.length > 0 || droppedRows + refusedRows === 0) return;
  const reader = new TokenFileReader(file);
  let [shortest, shortestPrompt] = [Infinity, Infinity];
  try {
    for (let row = 0; row < reader.rowCount; row++) {
      if (wholeTokens[row] === 0) continue;
      shortest = Math.min(shortest, wholeTokens[row]!);
      const prompt = reader.row(row).trained.indexOf(1);
      if (prompt >= 0) shortestPrompt = Math.min(shortestPrompt, prompt);
    }
  } finally {
    reader.close();
  }
  const refusal = refusedRows > 0 ? readFileSync(refusalOf(file), 'utf8') : '';
  const seen = droppedRows + refusedRows;
  throw noRowLeft({ seen, refusedRows, context, truncation, shortestPrompt, shortest, refusal });
}

/** The table "asked | got" of the first pass. */
function countSources(
  leaves: readonly MixLeaf[],
  planned: readonly PlannedSource[],
  given: {
    rows: readonly FittedRows[];
    selected: readonly SelectedRows[];
    recipe: MixNode['recipe'];
    amounts: LeafAmounts;
    seed: number;
  },
): MixedSource[] {
  const { rows, selected, recipe, amounts, seed } = given;
  const counted = leaves.map((leaf, i) => {
    const fitted = rows[i]!;
    const taken = takenRows(planned[i]!, seed, 0);
    const of = selected[i]!;
    const numbers = taken.map((place) => of.train[place]!);
    const total = (values: Uint32Array | null) => sumOf(numbers, values);
    const whole = { ...fitted, tokens: fitted.wholeTokens, labels: fitted.wholeLabels };
    const uniqueRows = new Set(taken).size;
    return {
      units: total(unitList(fitted, recipe.unit)),
      wholeUnits: total(unitList(whole, recipe.unit)),
      source: {
        dataset: leaf.name,
        datasetId: leaf.dataset.id,
        split: leaf.split,
        asked: leaf.asked,
        askedShare: amounts.askedShares[i]!,
        rows: taken.length,
        uniqueRows,
        repeatedRows: taken.length - uniqueRows,
        epochs: amounts.epochs[i]!,
        tokens: total(fitted.tokens),
        trainedTokens: total(fitted.labels),
        availableRows: of.train.length,
        heldOutRows: of.heldOut.length,
        truncatedRows: of.truncatedRows,
        droppedRows: of.droppedRows,
        refusedRows: of.refusedRows,
        unusedRows: leaf.dataset.unused.rows,
        duplicateRows: of.duplicateRows,
        heldOutElsewhere: of.heldOutElsewhere,
      },
    };
  });
  const sum = (key: 'units' | 'wholeUnits') => counted.reduce((total, source) => total + source[key], 0);
  const [all, allWhole] = [sum('units'), sum('wholeUnits')];
  return counted.map(({ units, wholeUnits, source }) => ({
    ...source,
    share: all === 0 ? 0 : units / all,
    shareBeforeTruncation: allWhole === 0 ? 0 : wholeUnits / allWhole,
  }));
}

function repeatWarnings(sources: readonly MixedSource[]): string[] {
  return sources
    .filter(({ epochs }) => epochs > manyEpochs * (1 + 1e-9))
    .map(
      ({ dataset, epochs }) =>
        `"${dataset}" is repeated ${epochs.toFixed(1)} times in one pass: more than ${manyEpochs} passes over the same rows tend to be learned by heart.`,
    );
}

/** Totals of a planned pass, without what a batch makes of it. */
export function mixTotals({ train, heldOut, sources }: PlannedMix): {
  rows: number;
  tokens: number;
  trainedTokens: number;
  heldOutRows: number;
  hash: string;
} {
  const total = (key: 'rows' | 'tokens' | 'trainedTokens') =>
    sources.reduce((sum, source) => sum + source[key]!, 0);
  return {
    rows: total('rows'),
    tokens: total('tokens'),
    trainedTokens: total('trainedTokens'),
    heldOutRows: heldOut?.sources.reduce((sum, source) => sum + source.rows.length, 0) ?? 0,
    hash: planHash(train, heldOut),
  };
}

/**
 * Over the rows, their tokens and their order, whatever the order of the sources: token files are named by all that
 * decides their content.
 */
function planHash(train: RowPlan, heldOut: RowPlan | null): string {
  const parts = [train, heldOut].map(
    (plan) =>
      plan && [
        plan.sources.map(({ file, key, amount, rows }) => [basename(file), key, amount, rows.length]).sort(),
        [plan.context, plan.truncation, plan.order, plan.seed],
      ],
  );
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
