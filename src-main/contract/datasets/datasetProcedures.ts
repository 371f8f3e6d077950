import { z } from 'zod';
import { plainErrorSchema } from '../errors.ts';
import { datasetFormatSchema, datasetSchema, sharedRowsSchema } from '../entities.ts';
import { entryName, nothing, reference, repository } from '../inputs.ts';
import { hubModelSchema } from '../modelLibrary.ts';
import { rowSchema, splitSchema } from '../rows.ts';
import { mappingSchema, mappingsSchema } from './mapping.ts';
import { mostNamedRows } from './statistics.ts';
import { unusableSchema, unusedCountsSchema, unusedRowSchema } from './unusable.ts';

/** What is to be imported, and how it is to be read. */
const importShape = {
  /**
   * Files and folders, which become one dataset; `upload:<batch>`: those that a browser sent; `hub:<key>`: what
   * `datasets.hubFetch` downloaded.
   */
  paths: z.array(z.string().min(1)).min(1).max(1000),
  format: z.union([z.literal('auto'), datasetFormatSchema]).default('auto'),
  /** What each field is; absent: it is found out, or taken from a dataset with the same fields. */
  mappings: mappingsSchema.optional(),
  /** The part that all of it is; absent: as the files state. */
  split: splitSchema.optional(),
  /** Of a dataset folder with several configurations. */
  config: z.string().max(200).optional(),
  /** A label of TextDecoder; absent: UTF-8, or what the byte order mark says. */
  encoding: z.string().max(100).optional(),
};

/** A row as its file has it, and what it says. */
const shownRowShape = {
  file: z.string(),
  /** Line of a text file (from 1), or entry of a list. */
  number: z.number().int(),
  /** Null where there is nothing but text that is no row. */
  raw: z.record(z.string(), z.unknown()).nullable(),
  row: rowSchema.nullable(),
  unusable: unusableSchema.nullable(),
};

export const inspectionSchema = z.object({
  files: z.array(
    z.object({
      name: z.string(),
      split: splitSchema,
      /** Why it is of that part. */
      reason: z.string(),
    }),
  ),
  skippedFiles: z.array(z.object({ name: z.string(), reason: z.string() })),
  sizeBytes: z.number(),
  configs: z.array(z.string()),
  format: datasetFormatSchema,
  /** Empty where nothing is known of the fields: `reason` says so, and an import needs them named. */
  mappings: z.array(mappingSchema),
  isMappedByHand: z.boolean(),
  reason: z.string(),
  columns: z.array(z.string()),
  unreadColumns: z.array(z.string()),
  /** Rows that were looked at, at most so many of each file, and those that cannot be used. */
  sampledRows: z.number().int(),
  unused: unusedCountsSchema,
  rows: z.array(z.object(shownRowShape)),
});
export type Inspection = z.infer<typeof inspectionSchema>;

/** A row of a dataset, used or not. */
export const datasetRowSchema = z.object({
  ...shownRowShape,
  /** 0-based, among all rows of the copy: by it a row is edited. */
  index: z.number().int(),
  split: splitSchema,
  isExcluded: z.boolean(),
  /** Fields that were edited, with what the file has. */
  original: z.record(z.string(), z.unknown()).nullable(),
  tags: z.array(z.string()),
});
export type DatasetRow = z.infer<typeof datasetRowSchema>;

const range = {
  dataset: reference,
  offset: z.number().int().min(0).default(0),
  limit: z.number().int().min(1).max(500).default(20),
};

/** A change of one row; what is absent stays. */
export const rowChangeSchema = z.object({
  index: z.number().int().min(0),
  /** Fields that say something else now; null: as the file has them again. */
  values: z.record(z.string().min(1).max(300), z.unknown()).nullable().optional(),
  isExcluded: z.boolean().optional(),
  tags: z.array(z.string().trim().min(1).max(60)).max(20).optional(),
});
export type RowChange = z.infer<typeof rowChangeSchema>;

export const hubDatasetConfigSchema = z.object({
  name: z.string(),
  splits: z.array(
    z.object({
      split: splitSchema,
      files: z.number().int(),
      sizeBytes: z.number(),
      /** Of these what an earlier download brought, which goes on from there. */
      hereBytes: z.number(),
    }),
  ),
});
export type HubDatasetConfig = z.infer<typeof hubDatasetConfigSchema>;

/** A dataset of the Hub, before it is downloaded. */
export const hubDatasetSchema = z.object({
  repository: z.string(),
  revision: z.string(),
  commit: z.string(),
  licence: z.string().nullable(),
  configs: z.array(hubDatasetConfigSchema),
  /** Bytes that may still be written where downloads go. */
  freeBytes: z.number(),
});
export type HubDataset = z.infer<typeof hubDatasetSchema>;

const hubWishShape = {
  repository,
  revision: z.string().max(120).optional(),
  config: z.string().max(200).optional(),
  /** Absent: all parts. */
  splits: z.array(splitSchema).min(1).optional(),
};

/** What a page wants of the Hub, and what it calls it. */
const titledWish = z.object({ ...hubWishShape, label: z.string().max(500).default('') });

/** A download that a page began. */
export const hubFetchSchema = z.object({
  wanted: titledWish,
  /** What `datasets.inspect` and `datasets.add` take in `paths`; null: it is under way, or failed. */
  path: z.string().nullable(),
  error: plainErrorSchema.nullable(),
});
export type HubFetch = z.infer<typeof hubFetchSchema>;

/** Calls about datasets. */
export const datasetProcedures = {
  'datasets.list': { input: nothing, output: z.array(datasetSchema) },
  'datasets.get': { input: z.object({ dataset: reference }), output: datasetSchema },
  /** What files hold, before anything is imported: their rows, what the fields seem to be, and why. */
  'datasets.inspect': {
    input: z.object({ ...importShape, limit: z.number().int().min(1).max(200).default(20) }),
    output: inspectionSchema,
  },
  /** Imports; progress of the task `dataset <path>`. */
  'datasets.add': {
    input: z.object({
      ...importShape,
      paths: importShape.paths.optional(),
      /** One file or folder, in place of `paths`. */
      path: z.string().min(1).optional(),
      name: entryName.optional(),
      /** A row that cannot be used ends the import. */
      strict: z.boolean().default(false),
      /** Makes no copy: one file in JSON Lines is read where it lies, and must not change. */
      inPlace: z.boolean().default(false),
    }),
    output: datasetSchema,
  },
  /** Deletes files that a browser sent (`upload:<batch>`) or that came from the Hub, and that are not imported. */
  'datasets.discardArrived': { input: z.object({ path: z.string().max(100) }), output: nothing },
  'datasets.rename': {
    input: z.object({ dataset: reference, name: entryName }),
    output: datasetSchema,
  },
  /** Says what each field is; the rows are read anew, and not the file that they came from. */
  'datasets.setMapping': {
    input: z.object({
      dataset: reference,
      mappings: mappingsSchema,
      format: datasetFormatSchema.optional(),
    }),
    output: datasetSchema,
  },
  /** Says what part some rows are. @param from the part that they were; absent: all */
  'datasets.setSplit': {
    input: z.object({ dataset: reference, from: splitSchema.optional(), as: splitSchema }),
    output: datasetSchema,
  },
  /** Rows in the order of the copy, those included that are not used. */
  'datasets.rows': {
    input: z.object({
      ...range,
      split: splitSchema.optional(),
      /** `unused`: set aside or excluded; `changed`: edited, excluded or tagged. */
      which: z.enum(['all', 'unused', 'changed']).default('all'),
      /** These rows alone, by their numbers among the usable ones (as statistics and previews name them) ... */
      usable: z.array(z.number().int().min(0)).max(mostNamedRows).optional(),
      /** ... or among all rows (as `datasets.find` names them). */
      indices: z.array(z.number().int().min(0)).max(mostNamedRows).optional(),
      /** What its fields were, if these were its mappings; nothing is changed. */
      mappings: mappingsSchema.optional(),
    }),
    output: z.object({ total: z.number().int(), rows: z.array(datasetRowSchema) }),
  },
  /** Rows with a text in one of their fields, in upper or lower case: as many as are found in about a second. */
  'datasets.find': {
    input: z.object({
      dataset: reference,
      text: z.string().min(1).max(300),
      /** The first row to look at. */
      from: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(mostNamedRows).default(200),
    }),
    /** `next`: the row at which to go on; null: all were looked at. */
    output: z.object({ indices: z.array(z.number().int()), next: z.number().int().nullable() }),
  },
  /** Rows that were set aside, each with why. */
  'datasets.unused': {
    input: z.object(range),
    output: z.object({ total: z.number().int(), rows: z.array(unusedRowSchema) }),
  },
  /** Changes rows in a layer over the file. */
  'datasets.edit': {
    input: z.object({ dataset: reference, changes: z.array(rowChangeSchema).min(1).max(10_000) }),
    output: datasetSchema,
  },
  /** Takes the last edit back. */
  'datasets.undoEdit': { input: z.object({ dataset: reference }), output: datasetSchema },
  /** Datasets of the Hub whose name holds the words. */
  'datasets.hubSearch': {
    input: z.object({ query: z.string().max(200), limit: z.number().int().min(1).max(100).default(20) }),
    output: z.array(hubModelSchema),
  },
  'datasets.hubInspect': {
    input: z.object({ repository, revision: z.string().max(120).optional() }),
    output: hubDatasetSchema,
  },
  /**
   * Downloads what is wanted, to be looked at and imported as files are. It goes on when the caller is gone; the same
   * call waits for it, or goes on with what was broken off. Progress of `dataset <repository>`.
   */
  'datasets.hubFetch': {
    input: titledWish,
    /** What `datasets.inspect` and `datasets.add` take in `paths`. */
    output: z.object({ path: z.string() }),
  },
  /** Downloads under way, those that wait to be imported, and those that failed since this was asked last. */
  'datasets.hubFetches': { input: nothing, output: z.array(hubFetchSchema) },
  /** Ends downloads under way; what came of them is kept. */
  'datasets.hubCancel': { input: z.object({ repository }), output: nothing },
  /** Downloads and imports. */
  'datasets.hubDownload': {
    input: z.object({ ...hubWishShape, name: entryName.optional() }),
    output: datasetSchema,
  },
  'datasets.remove': { input: z.object({ dataset: reference }), output: nothing },
  /** Its rows that stand in benchmarks' test sets or in other datasets. */
  'datasets.shared': { input: z.object({ dataset: reference }), output: z.array(sharedRowsSchema) },
  'datasets.restore': { input: z.object({ dataset: z.string().min(1) }), output: datasetSchema },
} as const;
