import { z } from 'zod';
import { force, reference } from './inputs.ts';
import { trainConfigSchema } from './training.ts';

/** What a training computes on. */
export const deviceKindSchema = z.enum(['cpu', 'gpu']);
export type DeviceKind = z.infer<typeof deviceKindSchema>;

/**
 * From what a forecast was made: the model of the engine alone, measurements of other runs on this machine, or of this
 * very step.
 */
export const forecastBasisSchema = z.enum(['model', 'machine', 'measured']);
export type ForecastBasis = z.infer<typeof forecastBasisSchema>;

/** Into what parts the work of a pass is cut. */
export const workPartsSchema = z.object({
  /** Queries of attention are handled in blocks of this many. */
  queryBlock: z.number().int().min(1),
  /** Logits are made for so many elements at a time, never for the whole batch. */
  logitElements: z.number().int().min(1),
});
export type WorkParts = z.infer<typeof workPartsSchema>;

/** How the rows of a training are laid out. */
export const rowLayoutSchema = z.object({
  /** Tokens of a row of the batch, padding included; where rows lie side by side, of the longest such line. */
  rowTokens: z.number().int(),
  /**
   * Where the rows of a forward pass lie side by side in one line: its tokens on average, padding included, and those
   * of the longest row. Null: a row of the batch for each, or for each pack.
   */
  line: z.object({ meanTokens: z.number(), longest: z.number().int() }).nullable().default(null),
  /** Places of a pass whose logits are made, on average; absent: all. */
  labels: z.number().optional(),
});
export type RowLayout = z.infer<typeof rowLayoutSchema>;

/** What was foreseen of a run when it started. */
export const runForecastSchema = z.object({
  /** Peak memory: as the arithmetic has it, then with this machine's correction. */
  modelledBytes: z.number(),
  memoryBytes: z.number(),
  /** Seconds of an optimizer step: as the arithmetic has them, then with this machine's correction. */
  modelledSecondsPerStep: z.number(),
  secondsPerStep: z.number(),
  /** Seconds of the whole run. */
  seconds: z.number(),
  ...rowLayoutSchema.shape,
  memoryBasis: forecastBasisSchema,
  timeBasis: forecastBasisSchema,
});
export type RunForecast = z.infer<typeof runForecastSchema>;

/** Greatest memory of its card that a training was seen to take. */
export const cardPeakSchema = z.object({
  /** With CUDA, its libraries, and what TensorFlow keeps without using it. Null: not known, see `note`. */
  bytes: z.number().nullable(),
  /** What the driver tells of its process, or how much more of the card was in use than before it began. */
  by: z.enum(['process', 'card']).nullable(),
  /** Why it is not known; null: it is. */
  note: z.string().nullable(),
});
export type CardPeak = z.infer<typeof cardPeakSchema>;

/** What a run, or a probe of one, took. */
export const runMeasurementSchema = z.object({
  /** Greatest resident memory of the engine's process, on the machine: what it has on a card is not in it. */
  peakMemoryBytes: z.number(),
  /** Null: it had no card to itself, or that was not measured yet. */
  cardPeak: cardPeakSchema.nullable().default(null),
  /** Median; null where no two steps followed each other. */
  secondsPerStep: z.number().nullable(),
  /** From the start of the engine until the first step was done; null where there was none. */
  startSeconds: z.number().nullable(),
  /** From the start of the engine to its end, and the steps that it did. */
  seconds: z.number(),
  steps: z.number().int(),
});
export type RunMeasurement = z.infer<typeof runMeasurementSchema>;

/** A forecast and what came of it. */
export const forecastRecordSchema = z.object({
  /** Null: a probe. */
  runId: z.string().nullable(),
  name: z.string(),
  modelId: z.string(),
  device: deviceKindSchema.default('cpu'),
  /** The name of the card; null: the processor, or from before it was kept. */
  card: z.string().nullable().default(null),
  config: trainConfigSchema,
  forecast: runForecastSchema,
  measured: runMeasurementSchema,
  createdAt: z.string(),
});
export type ForecastRecord = z.infer<typeof forecastRecordSchema>;

/** What the machine is and what was measured on it, newest first. */
export const calibrationSchema = z.object({
  cores: z.number().int(),
  /** Memory that a process may use. */
  memoryBytes: z.number(),
  /** Free on the disk of the data folder. */
  diskFreeBytes: z.number(),
  /** The GPU that trainings compute on; null: they compute on the processor. */
  gpu: z.object({ name: z.string(), memoryBytes: z.number(), capability: z.string().nullish() }).nullable(),
  records: z.array(forecastRecordSchema),
});
export type Calibration = z.infer<typeof calibrationSchema>;

/** Tokens of rows of a dataset, as the model's tokenizer counts them, before anything is cut. */
export const rowLengthsSchema = z.object({
  /** Ascending; of all rows, or of a sample. */
  lengths: z.array(z.number().int()),
  /** The longest row: the longest by characters are always counted. */
  longest: z.number().int(),
  rows: z.number().int(),
  /** Share of tokens that are trained on; absent: not counted. */
  trainedShare: z.number().optional(),
});
export type RowLengths = z.infer<typeof rowLengthsSchema>;

/** What was foreseen of an evaluation when it started. */
export const evaluationForecastSchema = z.object({
  device: deviceKindSchema,
  /** The name of the card; null: the processor, or from before it was kept. */
  card: z.string().nullable().default(null),
  items: z.number().int(),
  /** Tokens of the longest row, and of an answer at most. */
  rowTokens: z.number().int(),
  maxTokens: z.number().int(),
  /**
   * Peak memory and the seconds from start to end: as the arithmetic has them, then with this machine's correction.
   */
  modelledBytes: z.number(),
  memoryBytes: z.number(),
  modelledSeconds: z.number(),
  seconds: z.number(),
  /** On a GPU: what the process beside it needs of the machine's memory. Null: everything is there. */
  hostBytes: z.number().nullable(),
  memoryBasis: forecastBasisSchema,
  timeBasis: forecastBasisSchema,
});
export type EvaluationForecast = z.infer<typeof evaluationForecastSchema>;

/** What an evaluation took. */
export const evaluationMeasurementSchema = z.object({
  /** Greatest resident memory of the engine's process. */
  peakMemoryBytes: z.number(),
  /** From the start of the engine to its end. */
  seconds: z.number(),
});
export type EvaluationMeasurement = z.infer<typeof evaluationMeasurementSchema>;

/**
 * A forecast of an evaluation, and how far such forecasts were off here (shares of what was measured, medians; null
 * without one).
 */
export const evaluationOutlookSchema = z.object({
  forecast: evaluationForecastSchema,
  /** The same has been scored: nothing is run again. */
  isKnown: z.boolean(),
  fit: z.enum(['fits', 'tight', 'too_large']),
  errors: z.object({ n: z.number().int(), memory: z.number().nullable(), time: z.number() }).nullable(),
});
export type EvaluationOutlook = z.infer<typeof evaluationOutlookSchema>;

export const planProcedures = {
  /** Tokens of rows through the template of a run; without `rendering` through the usual one. */
  'plan.lengths': {
    input: z.object({
      model: reference,
      dataset: reference,
      rendering: trainConfigSchema
        .pick({ template: true, templateSource: true, system: true, trainOn: true })
        .optional(),
    }),
    output: rowLengthsSchema,
  },
  /** Measures a few steps of a training without making a run; progress of the task `probe`. */
  'plan.probe': {
    input: z.object({
      model: reference,
      dataset: reference,
      config: trainConfigSchema,
      steps: z.number().int().min(2).max(100).default(4),
      force,
    }),
    output: forecastRecordSchema,
  },
} as const;
