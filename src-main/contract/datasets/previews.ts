import { z } from 'zod';
import { reference } from '../inputs.ts';
import { tokenPieceSchema } from '../modelLibrary.ts';
import { splitSchema } from '../rows.ts';
import {
  longestTemplate,
  templateNameSchema,
  templateSchema,
  trainOnSchema,
  truncationSchema,
} from '../templates.ts';

/** What a template is for a model. */
export const templateFactsSchema = z.object({
  /** Which it is; never `auto`. */
  name: templateNameSchema.exclude(['auto']),
  /** Its Jinja source; null for `none`. Text from a stranger: never shown as markup. */
  source: z.string().nullable(),
  /** Another one of the model's for conversations with tools; null: the same. */
  toolSource: z.string().nullable(),
  /** Whether it marks what the assistant says; else that is found by comparing shorter and longer conversations. */
  hasMarks: z.boolean(),
  /** The template takes no system turn: a system text is put before the first user's. */
  mergesSystem: z.boolean(),
  /** Whether tools that a conversation may call are shown to the model. */
  showsTools: z.boolean(),
  /** Generation ends at one of these tokens, or before one of these texts. */
  endIds: z.array(z.number().int()).readonly(),
  /** The same tokens as the vocabulary writes them. */
  endTokens: z.array(z.string()).readonly(),
  stop: z.array(z.string()).readonly(),
});
export type TemplateFacts = z.infer<typeof templateFactsSchema>;

export const previewPieceSchema = tokenPieceSchema.extend({
  isTrained: z.boolean(),
  /** Whether it is left where the row is cut to the context. */
  isKept: z.boolean(),
});
export type PreviewPiece = z.infer<typeof previewPieceSchema>;

/** A row as training sees it. */
export const previewRowSchema = z.object({
  /** 0-based, among the usable rows of the dataset. */
  index: z.number().int(),
  /** What is left of it within the context. */
  ids: z.array(z.number().int()),
  trained: z.array(z.union([z.literal(0), z.literal(1)])),
  /** The text of these tokens, special ones as they are spelled. */
  text: z.string(),
  isCut: z.boolean(),
  /** Why it is not trained on; null: it is. */
  leftOut: z.enum(['refused', 'too_long', 'nothing_trained']).nullable(),
  /** What the template says of a row that it refuses. */
  refusal: z.string().nullable(),
  /** Tokens of the whole row, and how many of them are trained on. */
  tokens: z.number().int(),
  trainedTokens: z.number().int(),
  /** All of its tokens, those too that are cut away. */
  pieces: z.array(previewPieceSchema),
});
export type PreviewRow = z.infer<typeof previewRowSchema>;

export const previewSchema = z.object({
  template: templateFactsSchema,
  /** Tokens of a row at most. */
  context: z.number().int(),
  rows: z.array(previewRowSchema),
});
export type Preview = z.infer<typeof previewSchema>;

const template = templateSchema.default(templateSchema.parse({}));

/** Calls about what a model will see of a dataset. */
export const previewProcedures = {
  /** Rows through a template, token by token. */
  'datasets.preview': {
    input: z.object({
      dataset: reference,
      /** Whose tokenizer and template. */
      model: reference,
      template,
      trainOn: trainOnSchema.default('assistant'),
      truncation: truncationSchema.default('right'),
      /** Tokens of a row; null, or above the model's: the model's. */
      context: z.number().int().min(1).nullable().default(null),
      split: splitSchema.optional(),
      offset: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(200).default(5),
    }),
    output: previewSchema,
  },
  /** Whether a template of one's own can be used, and what it makes of a short conversation. */
  'templates.check': {
    input: z.object({
      /** Whose tokens it may name. */
      model: reference,
      source: z.string().max(longestTemplate),
      system: z.string().max(longestTemplate).nullable().default(null),
    }),
    output: z.object({
      /** `line`: 1-based; null where it is not known. Null: there is none. */
      problem: z.object({ message: z.string(), line: z.number().int().nullable() }).nullable(),
      facts: templateFactsSchema.nullable(),
      /** The conversation through it; null where it has a problem. */
      example: z.string().nullable(),
    }),
  },
  /** What a model's own template can do; `facts` null: it has none, or one that cannot be used (`problem`). */
  'templates.ofModel': {
    input: z.object({ model: reference }),
    output: z.object({ facts: templateFactsSchema.nullable(), problem: z.string().nullable() }),
  },
  /**
   * The template that a run's rows go through (`trained`), and the one that its sample prompts do; `facts` null: none,
   * they are continued as they stand.
   */
  'templates.ofRun': {
    input: z.object({ run: reference }),
    output: z.object({ facts: templateFactsSchema.nullable(), trained: templateFactsSchema }),
  },
} as const;
