import { z } from 'zod';
import { benchmarkNameSchema } from './evaluation/benchmarks.ts';
import { passAtKSchema } from './evaluation/grading.ts';
import { evaluationForecastSchema, evaluationMeasurementSchema } from './forecast.ts';
import { scoringInput } from './inputs.ts';
import { precisionSchema } from './training.ts';

/** What runs came to: scores and exports. Sizes and times are as in entities.ts. */
const id = z.string().min(1);
const time = z.string();

/**
 * Whether an item was graded. One that was not, because it failed or its answer was cut off before anything could be
 * graded, or because its judge gave no verdict (`abstained`), has no `correct`; it widens the interval and does not
 * vanish.
 */
export const itemStateSchema = z.enum(['graded', 'failed', 'cut_off', 'abstained']);
export type ItemState = z.infer<typeof itemStateSchema>;

/** One graded item, in the order of the benchmark's file. */
export const evaluationItemSchema = z.object({
  index: z.number().int(),
  /** By which items of two evaluations are paired; empty in those from before it was kept: there the index serves. */
  id: z.string().default(''),
  /** Items that belong together: the subject of MMLU, the safe and the unsafe half; null: none. */
  group: z.string().nullable().default(null),
  state: itemStateSchema.default('graded'),
  /** Right or wrong; null where it was not graded, for perplexity, and where a share stands in its place. */
  correct: z.boolean().nullable(),
  /** Grade between 0 and 1, of an item that is asked several times: the share of right answers. */
  share: z.number().min(0).max(1).nullable().default(null),
  /** Further grades by their names: `strict`, `normalized`. */
  others: z.record(z.string(), z.boolean()).default({}),
  /** What was asked, without solved examples and template; null in evaluations from before it was kept. */
  question: z.string().nullable().default(null),
  /** Sum of log p (nats) of each choice; null where there are none. */
  choiceLogLikelihoods: z.array(z.number()).nullable().default(null),
  /** Why a generated answer ended. */
  end: z.enum(['stop', 'end_id', 'length', 'context']).nullable().default(null),
  /** All answers of an item that is asked several times, or whose answers are programs; null: `output` is the one. */
  outputs: z.array(z.string()).nullable().default(null),
  /** What became of the programs of an item that runs them: `passed`, `timed_out`, or what went wrong. */
  remark: z.string().nullable().default(null),
  /** Mean negative log-likelihood per answer token; null where nothing was scored. */
  loss: z.number().nullable(),
  tokens: z.number().int(),
  output: z.string().nullable(),
  answer: z.string().nullable(),
  target: z.string().nullable(),
});
export type EvaluationItem = z.infer<typeof evaluationItemSchema>;

/** Sums over an evaluation's items, from which its score and interval follow. */
export const scoreSumsSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('right'),
    right: z.number().int(),
    /** Items that were not graded: each may be right or wrong. */
    ungraded: z.number().int().default(0),
  }),
  /** Items whose grades are shares. */
  z.object({
    kind: z.literal('share'),
    sum: z.number(),
    squares: z.number(),
    ungraded: z.number().int().default(0),
  }),
  z.object({
    kind: z.literal('loss'),
    /** Of the items' summed losses (nats) and numbers of answer tokens, of their squares and their products. */
    loss: z.number(),
    tokens: z.number(),
    lossSquares: z.number(),
    tokenSquares: z.number(),
    products: z.number(),
  }),
]);
export type ScoreSums = z.infer<typeof scoreSumsSchema>;

/** Who judged answers, and by what. */
export const judgeFactsSchema = z.object({
  /** Name of the model, and of the run or adapter on it. */
  name: z.string(),
  /** Hash of everything that decides its verdicts. */
  identity: z.string(),
  /** Version of what it is asked. */
  version: z.string(),
  /** Items on which it gave no verdict. */
  abstained: z.number().int(),
});
export type JudgeFacts = z.infer<typeof judgeFactsSchema>;

/** Scores of the items that belong together. */
export const groupScoreSchema = z.object({
  name: z.string(),
  n: z.number().int(),
  /** Sum of their grades: right answers, or shares. */
  right: z.number(),
});
export type GroupScore = z.infer<typeof groupScoreSchema>;

export const evaluationSchema = z.object({
  id,
  benchmark: benchmarkNameSchema,
  /** Version of prompts and grading: scores of different versions are not compared. */
  version: z.string(),
  project: z.string(),
  modelId: id,
  modelName: z.string(),
  /** Hash of what the base model was when it was scored; null in evaluations from before it was kept. */
  base: z.string().nullable().default(null),
  /** Null: the base model without adapter. */
  runId: id.nullable(),
  /** `base`, the run's name, or the adapter folder. */
  subject: z.string(),
  /** Of a kept checkpoint its step; null: what stands for the subject. */
  step: z.number().int().nullable().default(null),
  dataPath: z.string(),
  dataHash: z.string(),
  shots: z.number().int(),
  seed: z.number().int(),
  precision: precisionSchema,
  n: z.number().int(),
  /** Share of right answers (0 to 1, what was not graded counts as wrong), or perplexity per answer token. */
  score: z.number(),
  metric: z.enum(['accuracy', 'perplexity']),
  /** 95 % interval of the score, found anew from the sums whenever an evaluation is read. */
  interval: z.tuple([z.number(), z.number()]),
  /** Null in evaluations from before they were kept. */
  sums: scoreSumsSchema.nullable().default(null),
  /** Right answers by group, in the order of their first items; empty where items stand alone. */
  groups: z.array(groupScoreSchema).default([]),
  /** Right answers by further grades of the items. */
  otherScores: z.array(z.object({ name: z.string(), right: z.number().int() })).default([]),
  /** Of programs: the estimate that one of k answers passes; null: not asked of programs. */
  passAtK: z.array(passAtKSchema).nullable().default(null),
  /** In which sandbox programs were run. */
  sandbox: z.string().nullable().default(null),
  /** The model that judged the answers; null: none did. */
  judge: judgeFactsSchema.nullable().default(null),
  /** Answers that reached their greatest length; null where nothing was generated, or it was not kept. */
  cutAnswers: z.number().int().nullable().default(null),
  /** How prompts were made: through which template, and the first one as it was sent, cut. */
  prompts: z
    .object({
      chat: z.boolean(),
      template: z.string().nullable(),
      system: z.string().nullable(),
      first: z.string(),
      /** Prompts that lost their begin, so that they and their answers fit into the context. */
      cut: z.number().int().default(0),
    })
    .nullable()
    .default(null),
  /** What was asked for: the same of another subject is comparable; null in evaluations from before it was kept. */
  asked: scoringInput.nullable().default(null),
  /** Scored items that stand in the rows that the adapter was trained on; null: not known. */
  leak: z.object({ items: z.number().int(), dataset: z.string() }).nullable().default(null),
  /** What was foreseen when it started, and what it took; null in evaluations from before it was kept. */
  forecast: evaluationForecastSchema.nullable().default(null),
  measured: evaluationMeasurementSchema.nullable().default(null),
  createdAt: time,
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/**
 * `peft`: the adapter; `lora`: a routed adapter as a LoRA, its route frozen; `merged`: a complete model; `gguf-lora`: a
 * LoRA for llama.cpp, of a routed adapter its frozen route; `gguf`: a complete model for it.
 */
export const exportFormats = ['peft', 'lora', 'merged', 'gguf-lora', 'gguf'] as const;
export const exportFormatSchema = z.enum(exportFormats);
export type ExportFormat = z.infer<typeof exportFormatSchema>;

/** In which type the weights of a merged model may be written, as safetensors names it. */
export const weightTypes = ['F32', 'F16', 'BF16'] as const;
export const weightTypeSchema = z.enum(weightTypes);
export type WeightType = z.infer<typeof weightTypeSchema>;

/** How the weights of a whole model may be stored in GGUF; Q4_K_M is llama.cpp's mixture of types. */
export const ggufTypes = [...weightTypes, 'Q8_0', 'Q4_K_M'] as const;
const ggufTypeSchema = z.enum(ggufTypes);
export type GgufType = z.infer<typeof ggufTypeSchema>;

/** What may be asked of an export; each option belongs to some formats and methods. */
export const exportOptionsSchema = z.object({
  /** Of a frozen route: the dataset over whose rows it is averaged; absent: the run's own. */
  calibration: z.string().min(1).optional(),
  /** Of `peft` with ID-LoRA: stores the rows of the base that the indices name. */
  embedPivots: z.boolean().optional(),
  /** Of `merged`: the type of all weights, as the base stores them where absent; of `gguf`: of matrices, F16 then. */
  dtype: ggufTypeSchema.optional(),
  /** Of a LoRA with its route frozen: updates of a higher rank are cut to this one. */
  rank: z.number().int().min(1).max(65536).optional(),
  /** Has other software of the person's own compute the same: transformers and PEFT, or llama.cpp. */
  checkElsewhere: z.boolean().optional(),
});
export type ExportOptions = z.infer<typeof exportOptionsSchema>;

/** The update of a run's modules, from its own numbers and from exported files by PEFT's rules in plain arithmetic. */
export const peftCheckSchema = z.object({
  isEqual: z.boolean(),
  /** Modules that PEFT adapts when it loads the files, and those that the run adapted. */
  modules: z.number().int(),
  expectedModules: z.number().int(),
  /** Rows of weights whose updates were compared, and their greatest difference as a share of the greatest number. */
  rows: z.number().int(),
  maxDifference: z.number(),
  /** By whose rules the files were read; absent: PEFT's. */
  rules: z.enum(['peft', 'llama.cpp']).optional(),
});
export type PeftCheck = z.infer<typeof peftCheckSchema>;

/** A module whose update was cut to a lower rank. */
const cutModuleSchema = z.object({
  path: z.string(),
  /** Sum of the squares of the update's singular values, and which share of it those are that stayed. */
  variance: z.number(),
  kept: z.number(),
});
export type CutModule = z.infer<typeof cutModuleSchema>;

/** A routed adapter against itself with the mean route of some rows held for every token. */
export const frozenRouteSchema = z.object({
  /** The rows over which the route was averaged, and on which both were scored. */
  dataset: z.string(),
  rows: z.number().int(),
  tokens: z.number().int(),
  /** Mean over the certificate's tokens of KL(routed || frozen) of the next token, nats. */
  kl: z.number(),
  /** Nats per answer token of these rows; null: the rows have none. */
  routedLoss: z.number().nullable(),
  frozenLoss: z.number().nullable(),
  /** Share of the updates' variance that a cut of their rank has kept; absent: nothing was cut. */
  keptVariance: z.number().optional(),
  /** The same of each module that was cut; absent also in older records. */
  cutModules: z.array(cutModuleSchema).optional(),
});
export type FrozenRoute = z.infer<typeof frozenRouteSchema>;

/** What other software computed from the exported files: logits of the certificate's tokens, or answers. */
export const elsewhereSchema = z.object({
  /** With versions. */
  software: z.string(),
  isEqual: z.boolean(),
  /** Of answers: by how much our token is likelier than theirs where they part. */
  maxLogitDifference: z.number(),
  tolerance: z.number(),
  /** At how many tokens the likeliest next one is the same; of answers: before they part. */
  sameChoices: z.number().int(),
  /** Of llama.cpp, which was asked for the likeliest tokens after prompts: how many answers are ours to the end. */
  answers: z
    .object({ prompts: z.number().int(), equal: z.number().int(), tokens: z.number().int() })
    .optional(),
});
export type Elsewhere = z.infer<typeof elsewhereSchema>;

export const exportRecordSchema = z.object({
  id,
  runId: id,
  format: exportFormatSchema,
  folder: z.string(),
  files: z.array(z.object({ name: z.string(), sizeBytes: z.number().int(), sha256: z.string() })),
  /**
   * Greatest absolute logit difference between the trained state (f32) and the exported files read back. The tolerance
   * is that of the same numbers through the same graph, or of the rounding where the files hold fewer bits (dtype).
   */
  certificate: z.object({
    equal: z.boolean(),
    maxLogitDifference: z.number(),
    tolerance: z.number(),
    tokens: z.number().int(),
    /** Type of the exported tensors; absent in older records: F32. */
    dtype: z.string().optional(),
    /** The text that was computed, cut; empty: random tokens only. With the three that follow absent in older ones. */
    prompt: z.string().optional(),
    /** How many of the tokens are of the text; the others are random. */
    textTokens: z.number().int().optional(),
    /** At how many tokens the likeliest next one is the same. */
    sameChoices: z.number().int().optional(),
    /**
     * What the files add to the base by PEFT's rules, found apart from the studio's reader; null: PEFT has no such
     * method.
     */
    peft: peftCheckSchema.nullable().optional(),
    /** Rows of merged weights against W + c B A in plain arithmetic; null: nothing was merged. Absent in older ones. */
    merged: peftCheckSchema.nullable().optional(),
    /**
     * What the folder of the base says twice and differently (of a whole model, the exported one): other programs may
     * compute something else than the run. Absent in older ones.
     */
    contradictions: z.array(z.string()).optional(),
    /** Mean over the tokens of KL(run || files) of the next token, nats. Absent in older ones. */
    kl: z.number().optional(),
    /** Of a whole model: files that other software reads, and that differ from the base's. Absent in older ones. */
    otherFiles: z.array(z.string()).optional(),
    /** What other software computed from the files, against the studio's reader; absent: not asked. */
    elsewhere: elsewhereSchema.optional(),
    /** Where the software that the files are for computes something else than the studio; absent: nowhere. */
    notes: z.array(z.string()).optional(),
    /** Of `lora`: how far the frozen route is from the routed adapter; absent where the files compute the same. */
    frozen: frozenRouteSchema.optional(),
  }),
  createdAt: time,
  /** When a later export wrote over the folder; absent: the files are those of this one. */
  overwrittenAt: time.optional(),
});
export type ExportRecord = z.infer<typeof exportRecordSchema>;

/** What was sent to a repository of the Hub. */
export const pushedExportSchema = z.object({
  repository: z.string(),
  url: z.string(),
  commit: z.string(),
  /** The repository was made for it. */
  isNew: z.boolean(),
  /** Paths of files that were sent, and of those that were there already, the same. */
  sent: z.array(z.string()),
  alreadyThere: z.array(z.string()),
});
export type PushedExport = z.infer<typeof pushedExportSchema>;

/** One way out of a run beside the others: what it is, and how its newest export came out. */
export const comparedExitSchema = z.object({
  format: exportFormatSchema,
  title: z.string(),
  runsIn: z.string(),
  /** Why the method does not have it; null where it does. */
  problem: z.string().nullable(),
  /** The newest export in that form whose files are there; null: none was made. */
  made: z
    .object({
      id,
      folder: z.string(),
      sizeBytes: z.number().int(),
      verdict: z.string(),
      isGood: z.boolean(),
      maxLogitDifference: z.number(),
      /** Nats; null in older ones. */
      kl: z.number().nullable(),
      /** Share of tokens with the same likeliest next one; null in older ones. */
      sameChoices: z.number().nullable(),
      dtype: z.string().nullable(),
    })
    .nullable(),
  /** New tokens a second of greedy decoding in the studio, one row; null: not measured. */
  tokensPerSecond: z.number().nullable(),
});
export type ComparedExit = z.infer<typeof comparedExitSchema>;
