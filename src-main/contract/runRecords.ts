import { z } from 'zod';
import { targetModuleSchema } from './training.ts';

// What a run records while it trains: metrics, answers, router loads, log.

/** ISO 8601 in UTC. */
const time = z.string();

/** One optimizer step. */
export const stepMetricSchema = z.object({
  step: z.number().int(),
  /** Mean negative log-likelihood per trained token of the step, nats. */
  loss: z.number(),
  lr: z.number(),
  /** Global L2 norm of the gradients before clipping. */
  gradNorm: z.number(),
  /** Non-padding tokens per second. */
  tokensPerSecond: z.number(),
  /** Resident memory of the engine's process after the step; null in runs from before it was kept. */
  memoryBytes: z.number().int().nullable().default(null),
});
export type StepMetric = z.infer<typeof stepMetricSchema>;

export const evalMetricSchema = z.object({
  step: z.number().int(),
  /** Mean held-out negative log-likelihood per trained token, nats. */
  loss: z.number(),
  rows: z.number().int(),
  tokens: z.number().int(),
});
export type EvalMetric = z.infer<typeof evalMetricSchema>;

/** Loss of one source of a mix, over the labels that it had in a step or among the held-out rows. */
export const sourceLossSchema = z.object({
  /** Place among the sources of the run's data contract. */
  source: z.number().int().min(0),
  /** Mean negative log-likelihood per trained token, nats. */
  loss: z.number(),
  tokens: z.number().int(),
});
export type SourceLoss = z.infer<typeof sourceLossSchema>;

/** What a step, or the evaluation after it, says of the sources of a mix. */
export const sourceMetricSchema = z.object({
  step: z.number().int(),
  heldOut: z.boolean(),
  sources: z.array(sourceLossSchema),
});
export type SourceMetric = z.infer<typeof sourceMetricSchema>;

/** The loss of one source over a run, each point the mean over a stretch of steps, weighed by labels. */
export const sourceCurveSchema = z.object({
  /** Place among the sources of the run's data contract. */
  source: z.number().int(),
  heldOut: z.boolean(),
  points: z.array(z.object({ step: z.number().int(), loss: z.number(), tokens: z.number().int() })),
});
export type SourceCurve = z.infer<typeof sourceCurveSchema>;

/**
 * A run's curves, whole or a range of them, in full or with fewer points (then the points with extreme values are
 * kept).
 */
export const curvesSchema = z.object({
  steps: z.array(stepMetricSchema),
  /** At each of `steps` the moving average of the loss over all steps up to it; empty where none was asked for. */
  smoothed: z.array(z.number()),
  evals: z.array(evalMetricSchema),
  /** Steps that the run has recorded. */
  total: z.number().int(),
});
export type Curves = z.infer<typeof curvesSchema>;

/** What a model in training says to one of the run's prompts, greedily. */
export const sampleSchema = z.object({
  /** Steps done before it; 0: the base model. */
  step: z.number().int(),
  /** Place among the prompts of the run's configuration. */
  prompt: z.number().int(),
  text: z.string(),
  tokens: z.number().int(),
  /** Why it ended: a stop string, the end token, the greatest length asked for, or a full context. */
  end: z.enum(['stop', 'end_id', 'length', 'context']),
});
export type Sample = z.infer<typeof sampleSchema>;

/** How much the experts (clusters, heads) of all adapted modules were used at one evaluation. */
export const routerRecordSchema = z.object({
  step: z.number().int(),
  /** Over which the means are: those of the held-out rows, or of the step's batch where no row is held out. */
  tokens: z.number().int(),
  /** Mean weight of each expert, [sites * experts]; some routers give negative ones. */
  mean: z.array(z.number()),
  /** Mean of the absolute weight, [sites * experts]. */
  magnitude: z.array(z.number()),
});
export type RouterRecord = z.infer<typeof routerRecordSchema>;

/** The adapted modules whose experts are recorded, in the order of the forward pass. */
export const routerLayoutSchema = z.object({
  experts: z.number().int(),
  sites: z.array(z.object({ layer: z.number().int(), module: targetModuleSchema })),
});
export type RouterLayout = z.infer<typeof routerLayoutSchema>;

/** What the latest checkpoint says of the experts of one module. */
export const routerModuleSchema = z.object({
  /** The checkpoint's step. */
  step: z.number().int(),
  /** ID-LoRA: rows of W chosen by each cluster, of `outputs` rows; null for other methods. */
  pivots: z.object({ outputs: z.number().int(), clusters: z.array(z.array(z.number().int())) }).nullable(),
  /** Cosine similarity of every two experts, [experts][experts]; null where the method has nothing to compare. */
  overlap: z.array(z.array(z.number())).nullable(),
});
export type RouterModule = z.infer<typeof routerModuleSchema>;

/** From harmless to grave. */
export const logLevels = ['info', 'warning', 'error'] as const;
export const logLevelSchema = z.enum(logLevels);
export type LogLevel = z.infer<typeof logLevelSchema>;

/** A line of a run's log. */
export const logLineSchema = z.object({
  /** Ascends within a run. */
  id: z.number().int(),
  /** Null in logs from before it was kept. */
  time: time.nullable(),
  level: logLevelSchema,
  line: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** Where an adapter came from that was trained elsewhere. */
export const importedSchema = z.object({
  /** A folder of this machine, or `hub/organisation/name@commit`. */
  source: z.string(),
  /** What PEFT calls its kind. */
  peftType: z.string(),
  /** The base as its adapter_config.json calls it, which is only a claim; null: it says nothing. */
  baseName: z.string().nullable(),
  /** Of its adapter_model.safetensors as it came. */
  sha256: z.string(),
  /** Weights of the base that were saved beside it: they equal those of the model, and are not kept a second time. */
  sameWeights: z.array(z.string()),
});
export type Imported = z.infer<typeof importedSchema>;

/** The adapter from which a run goes on, with rows and options of its own. */
export const startSchema = z.object({
  runId: z.string(),
  runName: z.string(),
  step: z.number().int(),
});
export type RunStart = z.infer<typeof startSchema>;
