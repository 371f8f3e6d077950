import { z } from 'zod';
import { reference } from '../inputs.ts';

/** What a person says of two answers to one question without knowing whose they are, and what can be learned of it. */

export const preferenceChoiceSchema = z.enum(['a', 'b', 'tie', 'both_bad']);
export type PreferenceChoice = z.infer<typeof preferenceChoiceSchema>;

export const preferenceVoteSchema = z.object({
  /** Id of the item whose answers were judged. */
  item: z.string().min(1),
  choice: preferenceChoiceSchema,
  /** By which the sides were drawn on which the answers stood. */
  seed: z.number().int().min(0),
  createdAt: z.string(),
});
export type PreferenceVote = z.infer<typeof preferenceVoteSchema>;

/** Two evaluations on the same items. */
const pair = { a: reference, b: reference };

/** Which pairs of answers become preference data. */
const pairsInput = z.object({
  /** Two or more on the same items: each with each. */
  evaluations: z.array(reference).min(2).max(8),
  /** Pairs that were judged without names, with a winner. */
  votes: z.boolean().default(true),
  /** Pairs of which one answer is right and the other wrong; a person's grade stands before the stored one. */
  grades: z.boolean().default(true),
});

export const preferencePairsSchema = z.object({
  /** `conversational`: turns, where prompts went through a chat template; `standard`: texts. As TRL reads both. */
  form: z.enum(['standard', 'conversational']),
  rows: z.number().int(),
  /** Of the rows: by a vote; by grades; of those the ones that a person's grade decided. */
  byVote: z.number().int(),
  byGrade: z.number().int(),
  byHand: z.number().int(),
  /** Solved examples before each prompt when it was asked: they are not among the rows. */
  shots: z.number().int(),
  leftOut: z.object({
    /** A person called the two alike or both bad, though one is graded right. */
    undecided: z.number().int(),
    /** The vote is against the grades: it stands in their place. */
    contradicted: z.number().int(),
    /** The chosen answer is empty. */
    empty: z.number().int(),
    /** The same row from another pair of evaluations. */
    repeated: z.number().int(),
  }),
  /** Where the file goes where a person names no other place, or went. */
  path: z.string(),
});
export type PreferencePairs = z.infer<typeof preferencePairsSchema>;

export const preferenceProcedures = {
  /** What an export would write; writes nothing. */
  'preferences.pairs': { input: pairsInput, output: preferencePairsSchema },
  /** Writes JSON lines with prompt, chosen, rejected and origin to a file that is not there yet. */
  'preferences.export': {
    input: pairsInput.extend({
      /** Absent: the suggested place. */
      path: z.string().min(1).optional(),
    }),
    output: preferencePairsSchema,
  },

  /** The first vote first. */
  'preferences.list': { input: z.object(pair), output: z.array(preferenceVoteSchema) },
  /** Keeps a vote in place of an earlier one on the same item; null takes it back. */
  'preferences.keep': {
    input: z.object({
      ...pair,
      item: z.string().min(1).max(1000),
      choice: preferenceChoiceSchema.nullable(),
      seed: z.number().int().min(0),
    }),
    output: z.array(preferenceVoteSchema),
  },
} as const;
