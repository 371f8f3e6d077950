import { z } from 'zod';
import { benchmarkNameSchema, evaluationSchema } from './results.ts';

/** What scores say of each other: comparisons, a project's answer, and how far differences scatter. */

/** Two subjects on the same items. `difference` is b - a in the metric's unit. */
export const comparisonSchema = z.object({
  benchmark: benchmarkNameSchema,
  metric: z.enum(['accuracy', 'mean_loss']),
  a: z.string(),
  b: z.string(),
  n: z.number().int(),
  scoreA: z.number(),
  scoreB: z.number(),
  difference: z.number(),
  interval: z.tuple([z.number(), z.number()]),
  test: z.enum(['mcnemar_exact', 'wilcoxon_signed_rank']),
  pValue: z.number(),
  /** p after Holm's correction over all pairs of the same call. */
  pAdjusted: z.number(),
  verdict: z.enum(['a_better', 'b_better', 'cannot_tell']),
  /** Items on which the two differ: with fewer than six, no outcome would be a proof. */
  differing: z.number().int(),
  /** The verdict as a sentence that names data, items and uncertainty. */
  sentence: z.string(),
  /** What else tells the two apart, and may be the reason of a difference: `steps: 260 against 200`. */
  confounders: z.array(z.string()),
  /** What makes the comparison doubtful: scored items that were trained on. */
  warnings: z.array(z.string()),
  /** What must be known to read the figures. */
  notes: z.array(z.string()),
});
export type Comparison = z.infer<typeof comparisonSchema>;

/** What a project's stored scores say about its question. */
export const answerSchema = z.object({
  /** On the same items, best first; empty where nothing that fits the question was scored. */
  evaluations: z.array(evaluationSchema),
  /**
   * The leading run (`b`) against the next best, or against the base model; null where there is nothing to compare
   * with.
   */
  comparison: comparisonSchema.nullable(),
  /** Newer scores that say nothing about the question, as sentences that say why. */
  passedOver: z.array(z.string()),
});
export type Answer = z.infer<typeof answerSchema>;

/** What two subjects scored on the same items: how far a difference between others is likely to scatter. */
export const itemScatterSchema = z.object({
  benchmark: benchmarkNameSchema,
  first: z.string(),
  second: z.string(),
  items: z.number().int(),
  /** Score of the second less that of the first: a share of items, or nats per token. */
  difference: z.number(),
  /** Share of items that exactly one of them gets right; null for losses. */
  discordance: z.number().nullable(),
  /** Standard deviation of the losses' differences item by item, in nats; null for accuracy. */
  deviation: z.number().nullable(),
});
export type ItemScatter = z.infer<typeof itemScatterSchema>;

/** How far the difference between two settings of a study scatters from seed to seed. */
export const seedScatterSchema = z.object({
  study: z.string(),
  first: z.string(),
  second: z.string(),
  seeds: z.number().int(),
  /** In nats of held-out loss. */
  difference: z.number(),
  deviation: z.number(),
});
export type SeedScatter = z.infer<typeof seedScatterSchema>;

export const scatterSchema = z.object({
  items: z.array(itemScatterSchema),
  seeds: z.array(seedScatterSchema),
});
export type Scatter = z.infer<typeof scatterSchema>;
