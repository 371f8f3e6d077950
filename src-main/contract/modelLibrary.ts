import { z } from 'zod';
import { plainErrorSchema } from './errors.ts';

/**
 * What the Models page knows besides the models themselves: caches, the Hub, downloads, cards, disk. Sizes are bytes.
 */

const bytes = z.number().int();

/** One snapshot in the Hugging Face cache. */
export const cachedModelSchema = z.object({
  repository: z.string(),
  commit: z.string(),
  /** Branches and tags that point to it. */
  refs: z.array(z.string()),
  folder: z.string(),
  sizeBytes: bytes,
  family: z.string().nullable(),
  parameters: z.number().int().nullable(),
  /** Null where it can be used, as far as its files tell without reading weights and tokenizer. */
  unusable: plainErrorSchema.nullable(),
  /** The model of the library that uses it in place. */
  modelId: z.string().nullable(),
  /** Links without a target and the like. */
  problems: z.array(z.string()),
});
export type CachedModel = z.infer<typeof cachedModelSchema>;

export const modelCacheSchema = z.object({
  folder: z.string(),
  /** The environment variable that names the folder; null: the usual place. */
  setBy: z.string().nullable(),
  exists: z.boolean(),
  models: z.array(cachedModelSchema),
  /** What another program has begun to download there. */
  unfinished: z.array(z.object({ repository: z.string(), files: z.number().int(), sizeBytes: bytes })),
  /** What could not be read; the rest of the list is complete all the same. */
  problems: z.array(z.object({ path: z.string(), message: z.string() })),
});
export type ModelCache = z.infer<typeof modelCacheSchema>;

export const licenceSchema = z.object({
  name: z.string(),
  /** The file that says so. */
  source: z.string(),
});
export type Licence = z.infer<typeof licenceSchema>;

export const chatTemplateSchema = z.object({
  source: z.string(),
  /** The template itself, at most 20,000 characters of it. Text from a stranger: never shown as markup. */
  text: z.string(),
  isCut: z.boolean(),
  /** Names of further templates, for example `tool_use`. */
  others: z.array(z.string()),
});
export type ChatTemplate = z.infer<typeof chatTemplateSchema>;

/** What a model's folder says of itself, read anew each time. */
export const modelCardSchema = z.object({
  /** Why it cannot be used now; null where it can. */
  unusable: plainErrorSchema.nullable(),
  licence: licenceSchema.nullable(),
  chatTemplate: chatTemplateSchema.nullable(),
  files: z.array(z.object({ name: z.string(), sizeBytes: bytes })),
  /** Ids of the tokens at begin and end; null where the tokenizer has none. */
  bosId: z.number().int().nullable(),
  eosId: z.number().int().nullable(),
});
export type ModelCard = z.infer<typeof modelCardSchema>;

export const tokenPieceSchema = z.object({
  id: z.number().int(),
  /** What it adds to the text; for special tokens and parts of a character its entry of the vocabulary. */
  text: z.string(),
  /** Its entry of the vocabulary, for example `▁the` or `Ġthe`. */
  entry: z.string(),
  isSpecial: z.boolean(),
});
export type TokenPiece = z.infer<typeof tokenPieceSchema>;

export const tensorSchema = z.object({
  name: z.string(),
  dtype: z.string(),
  shape: z.array(z.number().int()),
});
export type Tensor = z.infer<typeof tensorSchema>;

/** How a tensor's values are spread. Values that are not finite are counted, and in nothing else. */
export const tensorHistogramSchema = z.object({
  tensor: tensorSchema,
  values: z.object({ count: z.number().int(), zeros: z.number().int(), notFinite: z.number().int() }),
  /** Null where no value is finite. `deviation` is the standard deviation. */
  range: z.object({ min: z.number(), max: z.number(), mean: z.number(), deviation: z.number() }).nullable(),
  /** Bins of equal width from `low` to `high`, and what lies beyond them. */
  bins: z.object({
    low: z.number(),
    high: z.number(),
    counts: z.array(z.number().int()),
    below: z.number().int(),
    above: z.number().int(),
  }),
});
export type TensorHistogram = z.infer<typeof tensorHistogramSchema>;

/** What goes when a model is removed, and what stays. */
export const modelRemovalSchema = z.object({
  /** The studio's own copy or download, which is deleted. */
  deletes: z.object({ folder: z.string(), sizeBytes: bytes, files: z.number().int() }).nullable(),
  /** The folder that was used in place, which stays as it is. */
  keeps: z.string().nullable(),
  /** Runs of all projects that need it. */
  runs: z.array(z.object({ id: z.string(), name: z.string(), project: z.string() })),
});
export type ModelRemoval = z.infer<typeof modelRemovalSchema>;

export const modelStorageSchema = z.object({
  folder: z.string(),
  /** Models that the studio copied or downloaded. */
  modelsBytes: bytes,
  /** Downloads that are not complete. */
  unfinishedBytes: bytes,
  freeBytes: bytes,
  /** Memory of the machine that the studio runs on. */
  machineMemoryBytes: bytes,
});
export type ModelStorage = z.infer<typeof modelStorageSchema>;

/** How the Hub is reached. The token itself never leaves the core. */
export const hubStatusSchema = z.object({
  endpoint: z.string(),
  /** HF_HUB_OFFLINE is set. */
  isOffline: z.boolean(),
  /**
   * Where the token comes from: the studio's settings, HF_TOKEN, or the file of `hf auth login`; null: there is none.
   */
  token: z.enum(['settings', 'environment', 'file']).nullable(),
});
export type HubStatus = z.infer<typeof hubStatusSchema>;

/** A model that a search of the Hub found. */
export const hubModelSchema = z.object({
  repository: z.string(),
  downloads: z.number().nullable(),
  likes: z.number().nullable(),
  /** Given only to accounts that have accepted its terms. */
  isGated: z.boolean(),
});
export type HubModel = z.infer<typeof hubModelSchema>;

/** What a download would bring, before it begins. */
export const hubPreviewSchema = z.object({
  repository: z.string(),
  revision: z.string(),
  commit: z.string(),
  files: z.array(z.object({ name: z.string(), sizeBytes: bytes })),
  totalBytes: bytes,
  /** As the repository's card states it. */
  licence: z.string().nullable(),
  facts: z
    .object({ family: z.string(), parameters: z.number().int(), contextLength: z.number().int() })
    .nullable(),
  /** Why it could not be used; then it is not downloaded. */
  unusable: plainErrorSchema.nullable(),
  /** The model of the library that is this commit already. */
  modelId: z.string().nullable(),
  freeBytes: bytes,
});
export type HubPreview = z.infer<typeof hubPreviewSchema>;

/** A download that is under way or was left unfinished; a finished one is a model of the library. */
export const downloadSchema = z.object({
  id: z.string(),
  repository: z.string(),
  revision: z.string(),
  commit: z.string(),
  /** `checking`: all bytes are there, the model is being examined. */
  state: z.enum(['running', 'checking', 'stopped', 'failed']),
  doneBytes: bytes,
  totalBytes: bytes,
  /** Why it failed; null otherwise. */
  error: plainErrorSchema.nullable(),
  createdAt: z.string(),
});
export type Download = z.infer<typeof downloadSchema>;
