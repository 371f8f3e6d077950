import { z } from 'zod';

/** Name of a benchmark (evaluation/benchmarks); which there are is told by `studio.info`. */
export const benchmarkNameSchema = z.string().min(1).max(60);
export type BenchmarkName = z.infer<typeof benchmarkNameSchema>;

/** How a benchmark gets at answers: the loss of given ones, the likeliest of several, or one that is generated. */
export const benchmarkKindSchema = z.enum(['loss', 'choice', 'generate']);
export type BenchmarkKind = z.infer<typeof benchmarkKindSchema>;

/** What a benchmark is, for whoever chooses one. */
export const benchmarkInfoSchema = z.object({
  name: benchmarkNameSchema,
  label: z.string(),
  /** What it asks and how it grades, in a sentence or two. */
  about: z.string(),
  /** What it takes its items from. */
  data: z.string(),
  kind: benchmarkKindSchema,
  version: z.string(),
  /** Solved examples before each question: how many where nothing is said, and at most. */
  shots: z.object({ usual: z.number().int(), most: z.number().int() }),
  /** Tokens of an answer at most, where nothing is said; 0: nothing is generated. */
  maxTokens: z.number().int(),
  /** Whether it runs generated programs. */
  runsCode: z.boolean(),
  /** What else must be said of how answers are graded: `pattern`, or a `judge`. */
  needs: z.enum(['pattern', 'judge']).nullable(),
  /** Whether a judge model can grade its answers. */
  takesJudge: z.boolean(),
});
export type BenchmarkInfo = z.infer<typeof benchmarkInfoSchema>;
