import { z } from 'zod';

/**
 * How a conversation becomes text. `model`: the model's own chat template; `auto`: that one where the model has one,
 * else the form that the dataset's format has by custom (question and answer, Alpaca, plain roles); `none`: turns one
 * behind the other as they are written; `custom`: Jinja that the user wrote.
 */
export const templateNames = [
  'auto',
  'model',
  'alpaca',
  'question_answer',
  'chatml',
  'plain',
  'none',
  'custom',
] as const;
export const templateNameSchema = z.enum(templateNames);
export type TemplateName = z.infer<typeof templateNameSchema>;

export const longestTemplate = 100_000;

export const templateSchema = z.object({
  name: templateNameSchema.default('auto'),
  /** `custom`: the Jinja source, with the variables of transformers' chat templates; else null. */
  source: z.string().min(1).max(longestTemplate).nullable().default(null),
  /** System text for rows that have none; null: none is added. */
  system: z.string().max(longestTemplate).nullable().default(null),
});
export type Template = z.infer<typeof templateSchema>;

/** What is asked for of a template; what is absent is as a run was trained, else as usual. */
export const askedTemplateSchema = z.object({
  name: templateNameSchema.optional(),
  source: z.string().min(1).max(longestTemplate).nullish(),
  system: z.string().max(longestTemplate).nullish(),
});
export type AskedTemplate = z.infer<typeof askedTemplateSchema>;

/** Which turns are trained on: every assistant turn, the last one, or everything. */
export const trainOnNames = ['assistant', 'last', 'all'] as const;
export const trainOnSchema = z.enum(trainOnNames);
export type TrainOn = z.infer<typeof trainOnSchema>;

/** What happens to a row that is longer than the context: its end is cut, its begin is cut, or it is left out. */
export const truncations = ['right', 'left', 'drop'] as const;
export const truncationSchema = z.enum(truncations);
export type Truncation = z.infer<typeof truncationSchema>;
