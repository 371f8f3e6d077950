import { z } from 'zod';
import { benchmarkNameSchema } from './evaluation/benchmarks.ts';
import { precisionSchema } from './training.ts';

/** Task of the input, for adapters that tell tasks apart; absent: 0. */
export const task = z.number().int().min(0).max(1000);
/** A model, dataset or run: by id or by name. */
export const reference = z.string().min(1);
/** A name that a person gives; spaces around it would make another of it that looks the same. */
const givenName = z.string().trim().min(1);
/** Of a run, a model or a dataset. */
export const entryName = givenName.max(100);
/** Its runs are named after it. */
export const studyName = givenName.max(60);
export const projectTitle = givenName.max(60);
/** `organisation/name`, or the address of its page. */
export const repository = z.string().min(1).max(300);
/** Starts also what does not fit into memory. */
export const force = z.boolean().default(false);
export const nothing = z.object({});

/** Rows that are scored: those of a dataset, of which the studio keeps a copy, or those of a file. */
export const scoredData = z.union([
  z.strictObject({ dataset: reference }),
  z.strictObject({ path: z.string().min(1) }),
]);
export type ScoredData = z.infer<typeof scoredData>;

/** A model that judges answers: a base, or one with an adapter. */
export const judgeInput = z.strictObject({
  model: reference,
  /** A run or a PEFT adapter folder; null: the base model. */
  adapter: reference.nullable().default(null),
  precision: precisionSchema.default('f32'),
});
export type JudgeInput = z.infer<typeof judgeInput>;

/** By what a subject is scored, and how. */
export const scoringInput = z.object({
  benchmark: benchmarkNameSchema,
  /** Null: the run's held-out rows (perplexity only). */
  data: scoredData.nullable().default(null),
  limit: z.number().int().min(1).nullable().default(null),
  /** Absent: as the benchmark has it (`studio.info`). */
  shots: z.number().int().min(0).max(64).optional(),
  maxTokens: z.number().int().min(1).max(4096).optional(),
  /**
   * Benchmarks that generate: what is asked is a user's turn through the template of the run, else of the model, as
   * lm-evaluation-harness has it with --apply_chat_template. Absent or false: a text that goes on.
   */
  chat: z.boolean().optional(),
  /** Absent: each row's own. */
  task: task.optional(),
  /** What stands before all conversations (`chat`); absent: what the run was trained with. */
  system: z.string().max(20_000).optional(),
  /** Answers drawn for each item, where programs are run: pass@k needs k of them. Absent: 1. */
  samples: z.number().int().min(1).max(200).optional(),
  /** Of what is generated; absent or 0: the likeliest tokens. */
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().gt(0).max(1).optional(),
  /** What a right answer has, where the benchmark asks for it. */
  pattern: z.string().max(1000).optional(),
  /** Who grades the answers, where the benchmark takes a judge (`studio.info`). */
  judge: judgeInput.optional(),
  /** Draws the solved examples, and what is generated; lm-evaluation-harness draws its own by 1234. */
  seed: z.number().int().min(0).default(1234),
});
export type ScoringInput = z.infer<typeof scoringInput>;

/** What is scored, and by what. */
export const evaluationInput = scoringInput.extend({
  model: reference,
  /** A run or a PEFT adapter folder; null: the base model. */
  adapter: reference.nullable().default(null),
  /** Of a run: the kept checkpoint of this step; absent: the one that stands for the run. */
  step: z.number().int().min(0).optional(),
  precision: precisionSchema.default('f32'),
});
