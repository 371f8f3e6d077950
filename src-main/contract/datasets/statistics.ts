import { z } from 'zod';
import { reference } from '../inputs.ts';
import { splitSchema } from '../rows.ts';
import { trainConfigSchema } from '../training.ts';

/**
 * What is looked for in rows. `exact_duplicates`: say the same as a row before; `near_duplicates`: nearly the same;
 * `benchmark_overlap`: share 13 words in a row with a test item; `repeats_prompt`: the answer begins with what was
 * asked; `refusal`: the answer declines; `odd_characters`: control characters, or letters that could not be read;
 * `short_answer`: of one or two characters.
 */
export const findingKinds = [
  'exact_duplicates',
  'near_duplicates',
  'benchmark_overlap',
  'repeats_prompt',
  'refusal',
  'odd_characters',
  'short_answer',
] as const;
export const findingKindSchema = z.enum(findingKinds);
export type FindingKind = z.infer<typeof findingKindSchema>;

/** So many rows are named of each finding. */
export const mostNamedRows = 1000;

export const findingSchema = z.object({
  kind: findingKindSchema,
  /** `benchmark_overlap`: with what. */
  with: z.string().nullable(),
  rows: z.number().int(),
  /** The first of them, among all usable rows of the dataset, ascending. */
  indices: z.array(z.number().int()).max(mostNamedRows),
  /** Of duplicates, for each of `indices` the earlier row that it repeats; empty of other findings. */
  earlier: z.array(z.number().int()).max(mostNamedRows),
});
export type Finding = z.infer<typeof findingSchema>;

export const rowStatisticsSchema = z.object({
  /** Rows that were read. */
  rows: z.number().int(),
  findings: z.array(findingSchema),
  /** By ISO 639-3, most first, judged by their triples of letters; `und`: too short to tell, or not known. */
  languages: z.array(z.object({ code: z.string(), rows: z.number().int() })),
  /** Rows that near duplicates were looked for in: the first ones of a very large dataset. */
  comparedRows: z.number().int(),
});
export type RowStatistics = z.infer<typeof rowStatisticsSchema>;

/** Places of a distribution: `quantiles[i]` is that of i / (length - 1). */
const quantiles = z.array(z.number().int());

/** Lengths of a dataset's rows as tokens, such that the page can move the context without asking again. */
export const lengthStatisticsSchema = z.object({
  rows: z.number().int(),
  /** Rows without a trained token, whatever the context; and of them the first. */
  untrainedRows: z.number().int(),
  untrained: z.array(z.number().int()).max(mostNamedRows),
  /** Rows that the template does not take. */
  refusedRows: z.number().int(),
  /** Of all rows: tokens. */
  lengths: quantiles,
  /** Of rows with a trained token: tokens before the first one. A context up to there loses the whole answer. */
  prompts: quantiles,
  longest: z.number().int(),
  /** The longest rows, longest first. */
  longestRows: z.array(z.object({ index: z.number().int(), tokens: z.number().int() })),
});
export type LengthStatistics = z.infer<typeof lengthStatisticsSchema>;

const rendering = trainConfigSchema.pick({
  template: true,
  templateSource: true,
  system: true,
  trainOn: true,
});

/** Calls that lead to rows of a dataset worth a look. */
export const statisticsProcedures = {
  /** Found once for the same rows, in the background (progress of the task `statistics <dataset id>`). */
  'datasets.statistics': { input: z.object({ dataset: reference }), output: rowStatisticsSchema },
  /** Tokenizes the rows where that was not done before. */
  'datasets.lengths': {
    input: z.object({
      dataset: reference,
      model: reference,
      split: splitSchema.default('train'),
      rendering: rendering.prefault({}),
    }),
    output: lengthStatisticsSchema,
  },
} as const;
