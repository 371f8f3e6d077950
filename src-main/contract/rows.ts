import { z } from 'zod';

/** Who speaks, by the names of Hugging Face's chat templates. */
export const roles = ['system', 'user', 'assistant', 'tool'] as const;
export const roleSchema = z.enum(roles);
export type Role = z.infer<typeof roleSchema>;

/** One turn of a conversation. */
export const turnSchema = z.object({
  role: roleSchema,
  content: z.string(),
  /**
   * User turns: what the instruction is about, apart from it (Alpaca's `input`). Templates that know no such field put
   * it below the content, an empty line between.
   */
  input: z.string().optional(),
  /** Assistant turns: calls of tools, as transformers' templates take them (`tool_calls`). */
  toolCalls: z.array(z.unknown()).optional(),
  /** Assistant turns: thoughts that templates with a place for them show (`reasoning_content`). */
  reasoning: z.string().optional(),
  /** Tool turns: which tool answers. */
  name: z.string().optional(),
});
export type Turn = z.infer<typeof turnSchema>;

export const largestTask = 1000;

/** Number of the task that a row belongs to, for methods that tell tasks apart; absent: 0. */
const task = z.number().int().min(0).max(largestTask).optional();

/**
 * A row as what it says, whatever a model's template makes of it. Prompt and answer are a user's and an assistant's
 * turn.
 */
export const chatRowSchema = z.object({
  kind: z.literal('chat'),
  turns: z.array(turnSchema).min(1),
  /** Tools that the conversation may call, as transformers' templates take them. */
  tools: z.array(z.unknown()).optional(),
  /** Preference data: the turns that were not chosen in place of the last one. Not trained on here. */
  rejected: z.array(turnSchema).optional(),
  task,
});
export type ChatRow = z.infer<typeof chatRowSchema>;

/** A text that is trained as it is. */
export const textRowSchema = z.object({ kind: z.literal('text'), text: z.string(), task });
export type TextRow = z.infer<typeof textRowSchema>;

/**
 * Prompt and answer that are trained as they are written: no template is put around them. So are the rows of datasets
 * from before there were templates.
 */
export const verbatimRowSchema = z.object({
  kind: z.literal('verbatim'),
  prompt: z.string(),
  answer: z.string(),
  task,
});
export type VerbatimRow = z.infer<typeof verbatimRowSchema>;

export const rowSchema = z.discriminatedUnion('kind', [chatRowSchema, textRowSchema, verbatimRowSchema]);
export type Row = z.infer<typeof rowSchema>;

/** Parts of a dataset. Only `train` is trained on unless somebody says otherwise. */
export const splits = ['train', 'validation', 'test'] as const;
export const splitSchema = z.enum(splits);
export type Split = z.infer<typeof splitSchema>;
