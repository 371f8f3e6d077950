import { z } from 'zod';
import { benchmarkNameSchema } from './benchmarks.ts';
import { evaluationSchema } from '../results.ts';

/** What scores say of each other: comparisons, a project's answer, and how far differences scatter. */

/**
 * How two subjects are tested: right and wrong by McNemar's test, losses and shares by signed ranks; over groups of
 * items that belong together; over several seeds of each by Student's t.
 */
export const pairTests = [
  'mcnemar_exact',
  'wilcoxon_signed_rank',
  'mcnemar_clustered',
  'signed_rank_clustered',
  'student_seeds_items',
] as const;
export type PairTest = (typeof pairTests)[number];

/** So many scores are compared at once: their pairs grow with the square. */
export const mostTogether = 24;

const interval = z.tuple([z.number(), z.number()]);

/** Two subjects on the same items. `difference` is b - a in the metric's unit. */
export const comparisonSchema = z.object({
  benchmark: benchmarkNameSchema,
  /** What they were graded on, in words. */
  data: z.string(),
  /** `mean_score`: items that are right in part. */
  metric: z.enum(['accuracy', 'mean_score', 'mean_loss']),
  a: z.string(),
  b: z.string(),
  /** Items graded for both. */
  n: z.number().int(),
  scoreA: z.number(),
  scoreB: z.number(),
  difference: z.number(),
  /** 95 %, widened by items that were not graded. */
  interval,
  test: z.enum(pairTests),
  pValue: z.number(),
  /** p after correction over all that was tested together. */
  pAdjusted: z.number(),
  /** Tests that were corrected together: by Holm; of a pair chosen by its scores by Bonferroni. */
  family: z.number().int(),
  isChosen: z.boolean(),
  verdict: z.enum(['a_better', 'b_better', 'cannot_tell']),
  /** Items on which the two differ: with fewer than six, no outcome would be a proof. */
  differing: z.number().int(),
  /** Right with both, with one alone, with neither; null where items are not right or wrong. */
  counts: z
    .object({
      both: z.number().int(),
      onlyA: z.number().int(),
      onlyB: z.number().int(),
      neither: z.number().int(),
    })
    .nullable(),
  /** Standard deviation of the differences item by item. */
  deviation: z.number(),
  /** Groups of items that belong together; null: each stands for itself. */
  groups: z.number().int().nullable(),
  /** How many times the variance is that of items drawn one by one, and how many of those would tell as much. */
  designEffect: z.number(),
  effectiveN: z.number(),
  /** Items that failed or were cut off with a, with b, with at least one of them. */
  ungraded: z.object({ a: z.number().int(), b: z.number().int(), items: z.number().int() }),
  /** Seeds of the runs that were scored; empty: not trained here. With one each its luck is not covered. */
  seeds: z.object({ a: z.array(z.number().int()), b: z.array(z.number().int()) }),
  /** Of several seeds: standard errors in all, of seeds alone, of items alone; the scatter between seeds. */
  overSeeds: z
    .object({
      error: z.number(),
      freedom: z.number(),
      seedError: z.number(),
      itemError: z.number(),
      /** Standard deviation of a difference between two runs, in the metric's unit. */
      deviation: z.number(),
    })
    .nullable(),
  /** The smallest difference that as many items and seeds show in 80 of 100 cases; null: none. */
  detectable: z.number().nullable(),
  /** What shows a difference as it was seen in 80 of 100 cases; null: nothing does, or it is not known. */
  needed: z.object({ items: z.number().int().nullable(), seeds: z.number().int().nullable() }),
  /** The verdict as a sentence that names data, items and uncertainty. */
  sentence: z.string(),
  /** Where the verdict is open: what would have been seen, and what would settle it, as sentences. */
  outlook: z.string().nullable(),
  /** What else tells the two apart, and may be the reason of a difference: `steps: 260 against 200`. */
  confounders: z.array(z.string()),
  /** What makes the comparison doubtful: scored items that were trained on. */
  warnings: z.array(z.string()),
  /** What must be known to read the figures. */
  notes: z.array(z.string()),
});
export type Comparison = z.infer<typeof comparisonSchema>;

/** A subject among those that it was compared with. */
export const rankedSchema = z.object({
  name: z.string(),
  /** Places of its scores among those that were compared: several where it is an arm of several seeds. */
  members: z.array(z.number().int()),
  /** Mean over the graded items, with the 95 % interval of all; null: nothing was graded. */
  score: z.number().nullable(),
  interval,
  /** Items, and how many of them failed or were cut off. */
  n: z.number().int(),
  ungraded: z.number().int(),
  groups: z.number().int().nullable(),
  effectiveN: z.number(),
  seeds: z.array(z.number().int()),
  /** Subjects that share a letter are not told apart. */
  letters: z.array(z.string()),
  /** Whether it is the best or not told apart from it. */
  isAmongBest: z.boolean(),
});
export type Ranked = z.infer<typeof rankedSchema>;

/** What all comparisons on one benchmark say together. */
export const rankingSchema = z.object({
  benchmark: benchmarkNameSchema,
  data: z.string(),
  metric: comparisonSchema.shape.metric,
  /** The first thing to read. */
  sentence: z.string(),
  /** False: no two are told apart. */
  isDecisive: z.boolean(),
  /** Best score first; a place is no rank, the letters tell. */
  subjects: z.array(rankedSchema),
});
export type Ranking = z.infer<typeof rankingSchema>;

/** Subjects compared on one benchmark. */
export const comparedSchema = z.object({ comparisons: z.array(comparisonSchema), ranking: rankingSchema });
export type ComparedTogether = z.infer<typeof comparedSchema>;

/** `arms`: runs that differ by their seed alone taken together; null: each has one. */
const comparedWithArms = comparedSchema.extend({ arms: comparedSchema.nullable() });

/** What the stored grades say of subjects, and beside it what they say with the grades that a person gave. */
export const comparisonOutcomeSchema = comparedWithArms.extend({
  evaluations: z.array(evaluationSchema),
  /** The same with a person's grades; null: none changes a score. */
  overridden: comparedWithArms
    .extend({
      /** Grades that are other ones, over all subjects; and those that were given without seeing names. */
      changed: z.number().int(),
      blind: z.number().int(),
    })
    .nullable(),
});
export type ComparisonOutcome = z.infer<typeof comparisonOutcomeSchema>;

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
