import { z } from 'zod';
import { rowLayoutSchema } from '../forecast.ts';
import { rowSchema, splitSchema } from '../rows.ts';

/** What shares and sizes of a mix are counted in; trained tokens are those that have a label. */
export const mixUnits = ['rows', 'tokens', 'trained_tokens'] as const;
export const mixUnitSchema = z.enum(mixUnits);
export type MixUnit = z.infer<typeof mixUnitSchema>;

/**
 * How much of a source goes into one pass over the mix. `share`: percent of the mix; `weight`: relative to the other
 * weights, of what the shares leave; `epochs`: times the source; `count`: that many of the mix's unit.
 */
export const mixAmountKinds = ['share', 'weight', 'epochs', 'count'] as const;
export const mixAmountSchema = z.object({
  by: z.enum(mixAmountKinds),
  value: z.number().nonnegative().finite(),
});
export type MixAmount = z.infer<typeof mixAmountSchema>;

/**
 * When one pass over the mix is complete. `first`: when the first source would have to repeat (nothing repeats; much of
 * the others may stay unused); `all`: when every row of every source was seen (small sources repeat); `once`: every row
 * once, shares decide only the order; `size`: after the given number of units.
 */
export const mixStops = ['first', 'all', 'once', 'size'] as const;
export const mixStopSchema = z.enum(mixStops);
export type MixStop = z.infer<typeof mixStopSchema>;

/** Rows that say the same are kept once: in each source, or in the whole mix (the first source keeps them). */
export const mixDeduplications = ['none', 'within', 'across'] as const;
export const mixDeduplicationSchema = z.enum(mixDeduplications);
export type MixDeduplication = z.infer<typeof mixDeduplicationSchema>;

/** `random`: sources meet at random, at their shares; `stratified`: as evenly as whole rows allow. */
export const mixOrders = ['random', 'stratified'] as const;
export const mixOrderSchema = z.enum(mixOrders);
export type MixOrder = z.infer<typeof mixOrderSchema>;

export const mixSourceSchema = z.object({
  kind: z.enum(['dataset', 'mix']),
  /** Id of the dataset or of the mix. */
  id: z.string().min(1),
  /** Null: its share is filled from its size, by the mix's temperature. */
  amount: mixAmountSchema.nullable().default(null),
  /** Part of the dataset that is trained on. */
  split: splitSchema.default('train'),
  /** Passes over the source at most in one pass over the mix; null: the mix's. */
  maxEpochs: z.number().positive().finite().nullable().default(null),
});
export type MixSource = z.infer<typeof mixSourceSchema>;

/** Passes over a source after which it is said that it repeats often. */
export const manyEpochs = 4;

/** What a mix is, without its name: two equal recipes of the same sources are the same rows. */
export const mixRecipeSchema = z.object({
  sources: z.array(mixSourceSchema).min(1).max(100),
  unit: mixUnitSchema.default('trained_tokens'),
  stop: mixStopSchema.default('all'),
  /** `size`: units of one pass; else null. */
  size: z.number().positive().finite().nullable().default(null),
  /** Passes over each source at most in one pass over the mix; null: no cap. */
  maxEpochs: z.number().positive().finite().nullable().default(null),
  /** Fills absent shares: p ~ n^(1/T). 1: by size; large: equal. */
  temperature: z.number().min(1).finite().default(1),
  deduplicate: mixDeduplicationSchema.default('none'),
  order: mixOrderSchema.default('random'),
  seed: z.number().int().min(0).max(0x7fffffff).default(0),
});
export type MixRecipe = z.infer<typeof mixRecipeSchema>;

/** A dataset alone, as a mix of one: each row once. */
export function datasetRecipe(source: Pick<MixSource, 'id' | 'split'>): MixRecipe {
  return {
    sources: [{ kind: 'dataset', id: source.id, split: source.split, amount: null, maxEpochs: null }],
    unit: 'rows',
    stop: 'once',
    size: null,
    maxEpochs: null,
    temperature: 1,
    deduplicate: 'none',
    order: 'random',
    seed: 0,
  };
}

export const mixSchema = mixRecipeSchema.extend({
  id: z.string().min(1),
  project: z.string(),
  name: z.string(),
  /** The model whose tokenizer counted last; null: none did. */
  modelId: z.string().nullable().default(null),
  createdAt: z.string(),
});
export type Mix = z.infer<typeof mixSchema>;

/** What a dataset of a mix was asked for, and what it gives to one pass. */
export const mixedSourceSchema = z.object({
  /** Name of the dataset; the mixes that it came by before it, with slashes. */
  dataset: z.string(),
  datasetId: z.string(),
  split: splitSchema,
  /** In words and numbers, as it stands in the recipe: "30 %". */
  asked: z.string(),
  /** The share that was asked for, 0 to 1; null where an amount was asked for instead. */
  askedShare: z.number().nullable(),
  /** Rows of one pass, repeats counted each time. */
  rows: z.number().int(),
  uniqueRows: z.number().int(),
  repeatedRows: z.number().int(),
  /** Passes over the source. */
  epochs: z.number(),
  /** Null where rows alone were counted. */
  tokens: z.number().int().nullable(),
  trainedTokens: z.number().int().nullable(),
  /** Share of the pass in the mix's unit, 0 to 1, as it is trained: rows cut to the context. */
  share: z.number(),
  /** The same with rows at their full length. */
  shareBeforeTruncation: z.number(),
  /** Rows of the source that can be trained on, after all that follows. */
  availableRows: z.number().int(),
  heldOutRows: z.number().int(),
  truncatedRows: z.number().int(),
  /** Rows that keep no trained token, or that are longer than the context where such rows are left out. */
  droppedRows: z.number().int(),
  /** Rows that the template does not take. */
  refusedRows: z.number().int(),
  /** Rows of the whole dataset that were set aside at import, of all its parts. */
  unusedRows: z.number().int().default(0),
  /** Rows left out because they say the same as others. */
  duplicateRows: z.number().int(),
  /** Rows left out of training because another source holds them out. */
  heldOutElsewhere: z.number().int(),
});
export type MixedSource = z.infer<typeof mixedSourceSchema>;

/** A mix counted with a model's tokenizer: one pass over it. */
export const mixCountSchema = z.object({
  /** By dataset, those of the mixes in it, too. */
  sources: z.array(mixedSourceSchema),
  /** By source of the recipe, in the mix's unit: one pass over it, what this pass takes, and its datasets. */
  parts: z.array(z.object({ units: z.number(), taken: z.number(), leaves: z.number().int() })),
  unit: mixUnitSchema,
  rows: z.number().int(),
  tokens: z.number().int().nullable(),
  trainedTokens: z.number().int().nullable(),
  heldOutRows: z.number().int(),
  /** Over all that decides the rows and their tokens. */
  hash: z.string(),
  /** Which model's tokenizer counted; null: rows alone were counted. */
  model: z.string().nullable(),
  context: z.number().int(),
  /** Share of the slots of a pass's batches that hold a token, 0 to 1; null where rows alone were counted. */
  fillRate: z.number().nullable(),
  /** Tokens of the longest row that any pass takes or that is held out, as it is cut; null likewise. */
  longestRow: z.number().int().nullable(),
  /** How the rows of a pass are laid out; null likewise. */
  layout: rowLayoutSchema.nullable(),
  /** Optimizer steps of the first pass. */
  stepsPerEpoch: z.number().int(),
  /** What a person should know: repeats, caps that bind, sources that give nothing. */
  warnings: z.array(z.string()),
});
export type MixCount = z.infer<typeof mixCountSchema>;

/** A row of a mix, in the order in which it is trained. */
export const mixedRowSchema = z.object({
  /** Place of its source in the count. */
  source: z.number().int(),
  /** Among all rows of its dataset. */
  index: z.number().int(),
  row: rowSchema,
  tokens: z.number().int().nullable(),
  trainedTokens: z.number().int().nullable(),
});
export type MixedRow = z.infer<typeof mixedRowSchema>;

/**
 * A mix as it was when a run began, with the mixes in it by their ids: what the mix becomes later changes no run.
 */
export const mixSnapshotSchema = z.object({
  recipe: mixRecipeSchema,
  inner: z.record(z.string(), z.object({ name: z.string(), recipe: mixRecipeSchema })),
});
export type MixSnapshot = z.infer<typeof mixSnapshotSchema>;

/** Ids of the datasets of a mix, those of the mixes in it too. */
export function snapshotDatasets({ recipe, inner }: MixSnapshot): string[] {
  return [recipe, ...Object.values(inner).map((mix) => mix.recipe)].flatMap(({ sources }) =>
    sources.filter(({ kind }) => kind === 'dataset').map(({ id }) => id),
  );
}
