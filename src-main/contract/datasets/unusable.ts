import { z } from 'zod';

/** Why a row cannot be used, by stable names. */
export const unusableReasons = [
  'not_json',
  'not_object',
  'too_long',
  'too_deep',
  'cell_count', // a table's row with more or fewer cells than its header
  'encoding', // bytes that are no text
  'half_character', // half of a surrogate pair, which no tokenizer can read
  'missing', // a field that the mapping needs
  'null',
  'not_text',
  'empty', // no answer, or no text
  'no_turns',
  'bad_turn', // a turn without a role or content that can be read
  'unknown_role',
  'no_answer_turn',
  'not_only_text', // images, sounds
  'choices', // fewer than two, or of unequal number
  'unknown_choice', // an answer that is none of the choices
  'no_mapping', // no mapping reads these fields
] as const;
export const unusableReasonSchema = z.enum(unusableReasons);
export type UnusableReason = z.infer<typeof unusableReasonSchema>;

/** What is wrong with a row. */
export const unusableSchema = z.object({
  reason: unusableReasonSchema,
  /** The field that it concerns; null: the row as a whole. */
  column: z.string().nullable(),
  /** What was found, in a few words. */
  detail: z.string().nullable(),
});
export type Unusable = z.infer<typeof unusableSchema>;

/** One row that was set aside. */
export const unusedRowSchema = unusableSchema.extend({
  file: z.string(),
  /** Line of a text file (from 1), or entry of a list. */
  number: z.number().int(),
  /** The begin of what stands there. */
  text: z.string(),
});
export type UnusedRow = z.infer<typeof unusedRowSchema>;

/** Rows set aside, counted by reason and field; the most frequent first. */
export const unusedCountsSchema = z.object({
  rows: z.number().int(),
  reasons: z.array(
    unusableSchema.extend({ rows: z.number().int(), file: z.string(), number: z.number().int() }),
  ),
});
export type UnusedCounts = z.infer<typeof unusedCountsSchema>;

const sentences: Record<UnusableReason, (column: string) => string> = {
  not_json: () => 'is not JSON',
  not_object: () => 'is no object with fields',
  too_long: () => 'is too long',
  too_deep: () => 'is nested too deeply',
  cell_count: () => 'has another number of cells than the header',
  encoding: (column) => `holds bytes that are no text${column && ` in ${column}`}`,
  half_character: (column) => `holds half of a character (a lone surrogate)${column && ` in ${column}`}`,
  missing: (column) => `has no ${column}`,
  null: (column) => `has nothing (null or NaN) as ${column}`,
  not_text: (column) => `has something other than text as ${column}`,
  empty: (column) => `has an empty ${column}: there is nothing to learn`,
  no_turns: (column) => `has no list of turns as ${column}`,
  bad_turn: (column) => `has a turn that cannot be read in ${column}`,
  unknown_role: (column) => `has an unknown role in ${column}`,
  no_answer_turn: (column) => `has no assistant turn in ${column} to learn from`,
  not_only_text: (column) => `has parts that are not text in ${column}`,
  choices: (column) => `has no two choices in ${column}`,
  unknown_choice: (column) => `has an answer in ${column} that is none of the choices`,
  no_mapping: () => 'has none of the fields that are read',
};

/** The end of a sentence that begins with the row: `has an empty "output" ...`. */
export function unusableText({ reason, column, detail }: Unusable): string {
  return `${sentences[reason](column === null ? '' : `"${column}"`)}${detail === null ? '' : ` (${detail})`}`;
}
