import { z } from 'zod';
import { benchmarkNameSchema } from './evaluation/benchmarks.ts';
import { plainErrorSchema } from './errors.ts';
import { runForecastSchema, runMeasurementSchema, workPartsSchema } from './forecast.ts';
import { runCardSchema } from './machine.ts';
import { mappingSchema } from './datasets/mapping.ts';
import { unusedCountsSchema } from './datasets/unusable.ts';
import { mixedSourceSchema, mixSnapshotSchema } from './mixing/mixes.ts';
import { splitSchema } from './rows.ts';
import { importedSchema, startSchema } from './runRecords.ts';
import { trainConfigSchema } from './training.ts';

/** Identifiers are short random strings; times are ISO 8601 in UTC; sizes are bytes. */
const id = z.string().min(1);
const time = z.string();

/** Where a layer's norms stand: before attention and MLP, after them, or both. */
export const normPlacementSchema = z.enum(['before', 'after', 'both']);
export type NormPlacement = z.infer<typeof normPlacementSchema>;
/** Norms of q and k: none, over each head, or over the whole projection. */
export const queryKeyNormSchema = z.enum(['none', 'head', 'projection']);
export type QueryKeyNorm = z.infer<typeof queryKeyNormSchema>;

/**
 * What a model is: SHA-256 of each part that changes what it computes or reads (formats/model/identity.ts). Whatever is
 * kept of a model (token files, scores, checkpoints) names the parts that it depends on.
 */
export const modelIdentitySchema = z.object({
  weights: z.string(),
  config: z.string(),
  /** Which tokens a text becomes. */
  tokenizer: z.string(),
  template: z.string(),
  /** How answers are chosen and where they end. */
  generation: z.string(),
});
export type ModelIdentity = z.infer<typeof modelIdentitySchema>;

export const modelSchema = z.object({
  id,
  name: z.string(),
  /** Absolute folder with config.json, safetensors and tokenizer.json. */
  folder: z.string(),
  /** True where the folder is a copy inside the data folder, false where it is used in place. */
  copied: z.boolean(),
  /**
   * The Hub repository that it came from, by way of the Hugging Face cache or a download; null where it is not known.
   */
  origin: z.object({ repository: z.string(), commit: z.string() }).nullable().default(null),
  /** Hugging Face `model_type`, for example `llama`. */
  family: z.string(),
  /** Parameters counted from the tensors' shapes; tied tensors once. */
  parameters: z.number().int(),
  /** Dtype of most tensors as stored, for example `F32`. */
  dtype: z.string(),
  /** How its weights are packed, where they are dequantized as they are read, for example `NF4`; null: they are not. */
  quantization: z.string().nullable().default(null),
  sizeBytes: z.number().int(),
  /** Positions the model was made for. */
  contextLength: z.number().int(),
  vocabularySize: z.number().int(),
  hiddenSize: z.number().int(),
  intermediateSize: z.number().int(),
  layers: z.number().int(),
  heads: z.number().int(),
  keyValueHeads: z.number().int(),
  /** The other sizes that decide parameter counts; absent on models that were added before they were kept. */
  architecture: z
    .object({
      headDim: z.number().int(),
      tieEmbeddings: z.boolean(),
      queryKeyValueBias: z.boolean(),
      outputBias: z.boolean(),
      mlpBias: z.boolean(),
      // Models added before there were two kinds say true or false.
      queryKeyNorm: z.preprocess(
        (value) => (typeof value === 'boolean' ? (value ? 'head' : 'none') : value),
        queryKeyNormSchema,
      ),
      normPlacement: normPlacementSchema.default('before'),
      /** q, k, v lie in one matrix, gate and up in another (Phi-3). */
      fusedProjections: z.boolean().default(false),
      /** Its weights are stored in NF4 with scales in f32; absent: they are not, or it was not kept yet. */
      hasPlainNf4Scales: z.boolean().optional(),
    })
    .optional(),
  /** SHA-256 over the weights' content. */
  contentHash: z.string(),
  /** As the folder was when it was last used; null: not since this is kept. */
  identity: modelIdentitySchema.nullable().default(null),
  /** Names, sizes and times of the weight files that `contentHash` is of; null: they are hashed at the next use. */
  weightStamp: z.string().nullable().default(null),
  /** Null where it can be trained; else why it cannot. */
  unusable: plainErrorSchema.nullable(),
  createdAt: time,
});
export type Model = z.infer<typeof modelSchema>;

export const datasetFormats = [
  'gsm8k',
  'alpaca',
  'prompt_completion',
  'chat',
  'text',
  'question_answer',
  'sharegpt',
  'multiple_choice',
  'preference',
  'humaneval',
  'prompts',
] as const;
export const datasetFormatSchema = z.enum(datasetFormats);
export type DatasetFormat = z.infer<typeof datasetFormatSchema>;

/** Rows of a dataset that stand elsewhere as well, recognized by their text. */
export const sharedRowsSchema = z.object({
  /** A benchmark's test set, or another dataset. */
  with: z.string(),
  rows: z.number().int(),
  /** Rows of the dataset. */
  of: z.number().int(),
});
export type SharedRows = z.infer<typeof sharedRowsSchema>;

/** A stretch of a dataset's rows that belongs to one part. */
export const stretchSchema = z.object({
  split: splitSchema,
  /** Rows that can be used, and all rows of the file. */
  rows: z.number().int(),
  sourceRows: z.number().int(),
});
export type Stretch = z.infer<typeof stretchSchema>;

/** A file that a dataset came from. */
export const datasetFileSchema = z.object({
  /** Its path below what was chosen. */
  name: z.string(),
  split: splitSchema,
  rows: z.number().int(),
  /** Why it is of that part. */
  reason: z.string(),
});

export const datasetSchema = z.object({
  id,
  name: z.string(),
  /** Where it came from. */
  sourcePath: z.string(),
  /** The studio's own copy of its rows, relative to the folder of datasets. */
  file: z.string(),
  /** Set where there is no copy: the file as it was, which must not change. */
  inPlace: z
    .object({ path: z.string(), size: z.number(), mtimeMs: z.number(), hash: z.string() })
    .nullable()
    .default(null),
  format: datasetFormatSchema,
  /** Usable rows, of all parts. */
  rows: z.number().int(),
  sizeBytes: z.number().int(),
  /** Of all that decides what its rows say: the copy, the mappings, the edits. */
  contentHash: z.string(),
  /** SHA-256 of the copy; null in datasets from before there were mappings. */
  sourceHash: z.string().nullable().default(null),
  /** What each field of the copy's rows is; empty: it holds prompts and answers as they are trained. */
  mappings: z.array(mappingSchema).default([]),
  /** Whether a person said so, and why it was taken for its format. */
  isMappedByHand: z.boolean().default(false),
  reason: z.string().default(''),
  /** Fields of its rows, as far as a sample shows; in the order of the file. */
  columns: z.array(z.string()).default([]),
  /** Fields that no mapping reads. */
  unreadColumns: z.array(z.string()).default([]),
  /** Rows in their order, part by part; empty: all are training data. */
  stretches: z.array(stretchSchema).default([]),
  /** Where the rows came from, at most 200 files, and files that were left out, with why. */
  files: z.array(datasetFileSchema).default([]),
  skippedFiles: z.array(z.object({ name: z.string(), reason: z.string() })).default([]),
  /** Rows that were set aside. */
  unused: unusedCountsSchema.default({ rows: 0, reasons: [] }),
  /** Of the usable rows, those without an answer: a model can be asked them, and not trained on them. */
  promptRows: z.number().int().default(0),
  /** Earlier states of the edits, the last one first, for taking them back; null: none were made then. */
  editHistory: z.array(z.string().nullable()).max(100).default([]),
  /** Changes over the file: identity of all of them, and how many rows they concern; null: none. */
  edits: z
    .object({
      hash: z.string(),
      edited: z.number().int(),
      excluded: z.number().int(),
      tagged: z.number().int(),
    })
    .nullable()
    .default(null),
  /** Mean and greatest number of characters of prompt and answer. */
  statistics: z.object({
    promptCharactersMean: z.number(),
    promptCharactersMax: z.number().int(),
    answerCharactersMean: z.number(),
    answerCharactersMax: z.number().int(),
    duplicateRows: z.number().int(),
    /** Rows whose field `task` is no number of a task, with one such value as JSON: it is not read. Absent: none. */
    foreignTasks: z.object({ rows: z.number().int(), example: z.string() }).optional(),
  }),
  /** Rows of benchmarks' test sets that it holds; empty as well in datasets from before it was found. */
  benchmarkRows: z.array(sharedRowsSchema).default([]),
  createdAt: time,
});
export type Dataset = z.infer<typeof datasetSchema>;

/** One row as it will be trained: the prompt is context, the answer is what the model learns to say. */
export const exampleSchema = z.object({
  prompt: z.string(),
  answer: z.string(),
  /** Number of the task that the row belongs to, for methods that tell tasks apart; absent: 0. */
  task: z.number().int().min(0).max(1000).optional(),
});
export type Example = z.infer<typeof exampleSchema>;

/**
 * `queued`: waits for its turn; `running`: has it, from the preparation on; `paused`, `stopped`: ended by a person, to
 * go on or not; `interrupted`: the studio ended while it ran.
 */
export const runStates = ['queued', 'running', 'paused', 'stopped', 'done', 'failed', 'interrupted'] as const;
export const runStateSchema = z.enum(runStates);
export type RunState = z.infer<typeof runStateSchema>;

/** What a run was trained on, fixed when it starts. */
export const dataContractSchema = z.object({
  /** Over all that decides the rows and their tokens; null in runs from before it was found. */
  hash: z.string().nullable().default(null),
  /** What goes into the hash, by name: where two contracts differ is where these do. */
  parts: z.record(z.string(), z.string()).default({}),
  /** What each dataset gives to one pass; empty in runs from before it was kept. */
  sources: z.array(mixedSourceSchema).default([]),
  /** Content of the dataset, or of the datasets of a mix. */
  datasetHash: z.string(),
  /** Rows to train on or to hold out, before any is left out. */
  rows: z.number().int(),
  /** Rows of one pass. */
  trainRows: z.number().int(),
  heldOutRows: z.number().int(),
  /** Rows longer than the context, cut to it. */
  truncatedRows: z.number().int(),
  /** Rows left out of training: their answer was cut away entirely, or rows longer than the context are left out. */
  droppedRows: z.number().int(),
  /** Rows left out since the template does not take them. */
  refusedRows: z.number().int().default(0),
  /** Tokens in one pass, and how many of them are trained on (labels). */
  tokens: z.number().int(),
  trainedTokens: z.number().int(),
  /** Packs of the first pass (each later pass is packed anew), and the share of their slots that hold a token. */
  packing: z.object({ packs: z.number().int(), efficiency: z.number() }).nullable().default(null),
});
export type DataContract = z.infer<typeof dataContractSchema>;

export const environmentSchema = z.object({
  studio: z.string(),
  tensorflow: z.string(),
  node: z.string(),
  device: z.string(),
  /** The card that it had to itself; null: it computes on the processor, or the studio did not choose a card. */
  card: runCardSchema.nullable().default(null),
  cores: z.number().int(),
  memoryBytes: z.number().int(),
  /** How the engine multiplies bf16 matrices: by bf16 kernels, or in f32 with rounding; null: it computes in f32. */
  products: z.enum(['native', 'widened']).nullable().default(null),
  /** Into what parts its work is cut; null: a run of an earlier version, or it has not begun. */
  parts: workPartsSchema.nullable().default(null),
  /** Whether its f32 products round to TF32's 10 bits; null: on the processor nothing does, and bf16 is computed. */
  tf32: z.boolean().nullable().default(null),
});
export type Environment = z.infer<typeof environmentSchema>;

/** The evaluation with the lowest held-out loss. */
export const bestEvaluationSchema = z.object({
  step: z.number().int(),
  /** Nats per trained token. */
  loss: z.number(),
});
export type BestEvaluation = z.infer<typeof bestEvaluationSchema>;

/** Why training ended: all steps, no lower held-out loss for as long as asked, or because somebody stopped it. */
export const endReasonSchema = z.enum(['all_steps', 'early_stopped', 'stop_requested']);
export type EndReason = z.infer<typeof endReasonSchema>;

/** Steps over which a run's recent loss is the mean. */
export const recentSteps = 20;

export const runSchema = z.object({
  id,
  name: z.string(),
  project: z.string(),
  modelId: id,
  modelName: z.string(),
  /** The dataset or the mix that it trains on; null: it was trained elsewhere, on rows that are not known. */
  datasetId: id.nullable(),
  datasetName: z.string(),
  /** The mix as it was when the run was made; null: it trains on a dataset. */
  mix: mixSnapshotSchema.nullable().default(null),
  config: trainConfigSchema,
  state: runStateSchema,
  /** Trainable parameters counted from the graph's variables; null before the start. */
  trainable: z.number().int().nullable(),
  /** Frozen numbers beyond the base, as the paper counts them. */
  frozenExtra: z.number().int().nullable(),
  step: z.number().int(),
  totalSteps: z.number().int().nullable(),
  /** Last training loss and last held-out loss, nats per trained token. */
  lastLoss: z.number().nullable(),
  lastHeldOutLoss: z.number().nullable(),
  /** Mean training loss of the last `recentSteps` steps: that of one batch is mostly noise. */
  recentLoss: z.number().nullable().default(null),
  /** The evaluation with the lowest held-out loss so far; null before the first. */
  best: bestEvaluationSchema.nullable().default(null),
  /** Steps that changed nothing because loss or gradient were not finite. */
  skippedSteps: z.number().int().default(0),
  /** Null until it ends, and where it was paused, failed (see `error`) or was interrupted. */
  endReason: endReasonSchema.nullable().default(null),
  dataContract: dataContractSchema.nullable(),
  environment: environmentSchema.nullable(),
  /** What was foreseen when it started, and what it took; null before, and in runs from before it was kept. */
  forecast: runForecastSchema.nullable().default(null),
  measured: runMeasurementSchema.nullable().default(null),
  error: plainErrorSchema.nullable(),
  /** True where `resume` can go on: from a complete checkpoint, or from the start. */
  resumable: z.boolean(),
  /** Where it can be resumed: it has kept no checkpoint, and begins anew with the same seed. */
  resumesAnew: z.boolean().default(false),
  /** The run and the step from whose checkpoint it was branched; that run may be gone. */
  parent: z.object({ runId: id, step: z.number().int() }).nullable().default(null),
  /** The adapter whose values it began with, in place of fresh ones; null: it began anew, or was branched. */
  start: startSchema.nullable().default(null),
  /**
   * Null: it was trained here. Else no more than the adapter's options of `config` are known: the others are the
   * defaults, with which it could be trained on.
   */
  imported: importedSchema.nullable().default(null),
  /**
   * It was handed over and trained elsewhere: its curve is known, and no optimizer's state from which it could go on.
   */
  trainedElsewhere: z.boolean().default(false),
  createdAt: time,
  startedAt: time.nullable(),
  endedAt: time.nullable(),
  /** What a person wrote about it. */
  notes: z.string().default(''),
  tags: z.array(z.string()).default([]),
});
export type Run = z.infer<typeof runSchema>;

/** A state from which a run can go on, or another be branched. */
export const checkpointSchema = z.object({
  step: z.number().int(),
  bytes: z.number().int(),
  /** Nats per trained token, of the evaluation at that step; null where there was none. */
  heldOutLoss: z.number().nullable(),
  /** The kept checkpoint with the lowest held-out loss. */
  isBest: z.boolean(),
});
export type Checkpoint = z.infer<typeof checkpointSchema>;

/** On how many cards the queue trains: on all that TensorFlow can use, a run on each, or on one. */
export const trainAtOnceSchema = z.enum(['all', 'one']);
export type TrainAtOnce = z.infer<typeof trainAtOnceSchema>;

/** Whose turn it is, of the runs of all projects. */
export const queueSchema = z.object({
  /** A held queue lets runs that train go on, and starts no other. */
  isHeld: z.boolean(),
  /** Cards that runs can train on; 0: they train on the processor, one at a time, or it is not known yet. */
  cards: z.number().int(),
  atOnce: trainAtOnceSchema,
  /** The runs that are prepared or train, in the order in which they had their turn. */
  running: z.array(runSchema),
  /** First to last. */
  waiting: z.array(runSchema),
});
export type Queue = z.infer<typeof queueSchema>;

export const projectSchema = z.object({
  /** Its key, which stays; `--project` takes it or the title. */
  name: id,
  title: z.string(),
  /** The one question that the project is to answer; empty: not asked yet. */
  question: z.string(),
  /** Scores of this benchmark answer it; null: scores of any benchmark do. */
  benchmark: benchmarkNameSchema.nullable(),
  /** Adapters with more trainable parameters do not count; null: no limit. */
  maxTrainable: z.number().int().min(1).nullable(),
  runs: z.number().int(),
  /** Runs that train or wait. */
  activeRuns: z.number().int(),
  createdAt: time,
});
export type Project = z.infer<typeof projectSchema>;
