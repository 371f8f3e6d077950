import { z } from 'zod';
import { judgeInput, reference } from '../inputs.ts';

/** What a judge model says of two answers to one question, asked with either of them first. */

/** `order`: it preferred a side and not an answer; `abstained`: at least once it gave no verdict. */
export const judgedChoiceSchema = z.enum(['a', 'b', 'tie', 'order', 'abstained']);

export const judgmentSchema = z.object({
  /** Id of the item whose answers were judged. */
  item: z.string().min(1),
  choice: judgedChoiceSchema,
  /** What it said with the first subject's answer as A, and with the other's; null: it did not fit into its context. */
  forward: z.string().nullable(),
  backward: z.string().nullable(),
});
export type Judgment = z.infer<typeof judgmentSchema>;

export const judgedPairSchema = z.object({
  judge: z.object({
    name: z.string(),
    /** Hash of everything that decides its verdicts. */
    identity: z.string(),
    /** Of what it is asked. */
    version: z.string(),
  }),
  judgments: z.array(judgmentSchema),
});
export type JudgedPairs = z.infer<typeof judgedPairSchema>;

/** Two evaluations on the same items. */
const pair = { a: reference, b: reference };

export const judgmentInput = z.object({
  ...pair,
  judge: judgeInput,
  /** Pairs at most, the first ones; null: all. */
  limit: z.number().int().min(1).nullable().default(null),
});

export const judgmentProcedures = {
  /** What each judge said so far. */
  'judgments.list': { input: z.object(pair), output: z.array(judgedPairSchema) },
  /** Has a judge compare the answers that it did not compare yet; progress of the task `judgment`. */
  'judgments.start': {
    input: judgmentInput,
    output: judgedPairSchema,
  },
} as const;
