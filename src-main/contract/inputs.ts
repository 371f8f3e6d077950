import { z } from 'zod';
import { benchmarkNameSchema } from './entities.ts';
import { precisionSchema } from './training.ts';

/** Task of the input, for adapters that tell tasks apart; absent: 0. */
export const task = z.number().int().min(0).max(1000);
/** A model, dataset or run: by id or by name. */
export const reference = z.string().min(1);
export const runName = z.string().min(1).max(100);
/** `organisation/name`, or the address of its page. */
export const repository = z.string().min(1).max(300);
export const nothing = z.object({});

/** What is scored, and how. */
export const evaluationInput = z.object({
  model: reference,
  /** A run or a PEFT adapter folder; null: the base model. */
  adapter: reference.nullable().default(null),
  benchmark: benchmarkNameSchema,
  /** Data file; null: the run's held-out rows (perplexity only). */
  path: z.string().nullable().default(null),
  limit: z.number().int().min(1).nullable().default(null),
  shots: z.number().int().min(0).max(20).default(0),
  maxTokens: z.number().int().min(1).max(4096).default(256),
  /** Absent: each row's own. */
  task: task.optional(),
  seed: z.number().int().min(0).default(0),
  precision: precisionSchema.default('f32'),
});
