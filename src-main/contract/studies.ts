import { z } from 'zod';
import { force, nothing, reference, studyName } from './inputs.ts';
import { methodSchema, trainConfigSchema } from './training.ts';

/** What a budget of parameters can limit. */
export const budgetUnits = ['parameters', 'percentPaper', 'percentBase', 'bytesF32', 'bytesBf16'] as const;
export const budgetUnitSchema = z.enum(budgetUnits);
export type BudgetUnit = z.infer<typeof budgetUnitSchema>;

export const budgetSchema = z.object({
  unit: budgetUnitSchema,
  /** In that unit: numbers, percent or bytes. */
  most: z.number().positive(),
});
export type Budget = z.infer<typeof budgetSchema>;

/** Most seeds of a study, and most runs that it may put into the queue. */
export const mostSeeds = 20;
export const mostStudyRuns = 200;

/** Studies of the paper that can be repeated: its tables, one for each base model and, in Table 1, each task. */
export const paperStudyIds = [
  'table1-gsm8k-llama',
  'table1-gsm8k-mistral',
  'table1-codealpaca-llama',
  'table1-codealpaca-mistral',
  'table1-saferpaca-llama',
  'table1-saferpaca-mistral',
  'table2-llama',
  'table2-mistral',
  'table3',
  'table7',
  'table8',
] as const;
export const paperStudyIdSchema = z.enum(paperStudyIds);
export type PaperStudyId = z.infer<typeof paperStudyIdSchema>;

const seeds = z
  .array(z.number().int().min(0).max(0x7fffffff))
  .min(1)
  .max(mostSeeds)
  .refine((list) => new Set(list).size === list.length, 'Each seed once.');

/** Methods at their greatest rank within one budget, each with every seed. */
export const equalBudgetSchema = z.object({
  kind: z.literal('equal_budget'),
  methods: z
    .array(methodSchema)
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'Each method once.'),
  seeds,
  budget: budgetSchema,
  /** Options that all runs share; method, rank, alpha and seed are the plan's. */
  config: trainConfigSchema,
});
export type EqualBudget = z.infer<typeof equalBudgetSchema>;

/** A table of the paper, each of its rows with every seed. */
export const paperTableSchema = z.object({
  kind: z.literal('paper'),
  study: paperStudyIdSchema,
  seeds,
});

/** One configuration on several datasets or mixes, each with every seed, for the same number of steps. */
export const dataQuestionSchema = z.object({
  kind: z.literal('data'),
  /** Names or ids; a study that was made has names. */
  data: z
    .array(z.string().min(1))
    .min(2)
    .max(mostStudyRuns)
    .refine((list) => new Set(list).size === list.length, 'Each dataset or mix once.'),
  seeds,
  /** Options that all runs share; the seed is the plan's. Epochs of unlike data are not the same work. */
  config: trainConfigSchema.refine(({ maxSteps }) => maxSteps !== null, {
    path: ['maxSteps'],
    message: 'All runs need the same number of steps.',
  }),
});
export type DataQuestion = z.infer<typeof dataQuestionSchema>;

/** What a study is to compare. */
export const studyQuestionSchema = z.discriminatedUnion('kind', [
  equalBudgetSchema,
  paperTableSchema,
  dataQuestionSchema,
]);
export type StudyQuestion = z.infer<typeof studyQuestionSchema>;

/** A row of a study's plan: a setting that is trained once with each seed. */
export const studyArmSchema = z.object({
  /** What tells it from the others, for example `LoRA r4`. */
  label: z.string(),
  method: methodSchema,
  rank: z.number().int(),
  trainable: z.number().int(),
  /** Budget that stays unused, in the budget's unit; null without a budget. */
  remainder: z.number().nullable(),
  /** The share of parameters that the paper prints for it, in percent; null: it prints none. */
  published: z.string().nullable(),
});
export type StudyArm = z.infer<typeof studyArmSchema>;

/** Runs that answer one question together. */
export const studySchema = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  question: studyQuestionSchema,
  arms: z.array(studyArmSchema),
  /** Settings that the question asks for and the model rules out. */
  impossible: z.array(z.object({ label: z.string(), reason: z.string() })),
  /** Where it differs from what the paper says, and what the paper leaves open. */
  notes: z.array(z.string()),
  modelId: z.string(),
  modelName: z.string(),
  datasetId: z.string(),
  datasetName: z.string(),
  /** In the order of the queue: all arms of a seed, then those of the next. A run that was removed stays named here. */
  runs: z.array(z.object({ runId: z.string(), arm: z.number().int(), seed: z.number().int() })),
  createdAt: z.string(),
});
export type Study = z.infer<typeof studySchema>;

/**
 * What a study's runs say so far, by their held-out loss (nats per answer token; that of the checkpoint which stands
 * for the run).
 */
export const studyOutcomeSchema = z.object({
  /**
   * By setting: runs that have ended with a held-out loss, its mean over seeds and their standard deviation (null with
   * fewer than two).
   */
  arms: z.array(
    z.object({ n: z.number().int(), loss: z.number().nullable(), deviation: z.number().nullable() }),
  ),
  /**
   * Each pair of settings over the seeds that both have: the mean of the first's loss less the second's, and its 95 %
   * interval from Student's t over the seeds (null with fewer than two).
   */
  pairs: z.array(
    z.object({
      first: z.number().int(),
      second: z.number().int(),
      n: z.number().int(),
      difference: z.number(),
      interval: z.tuple([z.number(), z.number()]).nullable(),
      /** Standard deviation of the differences between seeds; null with fewer than two. */
      deviation: z.number().nullable(),
      /** p of Student's test, corrected by Holm over the pairs; null with fewer than two seeds. */
      pAdjusted: z.number().nullable(),
      /** Which has the lower loss, where that p is below 0.05. */
      verdict: z.enum(['first_better', 'second_better', 'cannot_tell']),
    }),
  ),
});
export type StudyOutcome = z.infer<typeof studyOutcomeSchema>;

export const studyProcedures = {
  /** Newest first. */
  'studies.list': { input: nothing, output: z.array(studySchema) },
  'studies.get': { input: z.object({ study: reference }), output: studySchema },
  /** Makes a study with all its runs and puts them at the end of the queue, or makes nothing. */
  'studies.start': {
    input: z.object({
      name: studyName,
      model: reference,
      dataset: reference,
      question: studyQuestionSchema,
      force,
    }),
    output: studySchema,
  },
  'studies.outcome': { input: z.object({ study: reference }), output: studyOutcomeSchema },
  /** Puts what is left of it at the front of the queue, in its order. */
  'studies.resume': { input: z.object({ study: reference, force }), output: studySchema },
  /** Its runs stay. */
  'studies.remove': { input: z.object({ study: reference }), output: nothing },
  'studies.restore': { input: z.object({ study: z.string().min(1) }), output: studySchema },
} as const;
