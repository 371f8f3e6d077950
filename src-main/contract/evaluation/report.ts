import { z } from 'zod';
import { reference } from '../inputs.ts';

/** Subjects of one report, at most: their pairs grow with the square. */
export const mostReported = 48;

/** `svg`: the whole report as a picture, of which the page draws PNG. */
export const reportForms = ['html', 'svg', 'csv', 'md'] as const;
export const reportFormSchema = z.enum(reportForms);
export type ReportForm = z.infer<typeof reportFormSchema>;

export const reportInput = z.object({
  /** Runs by id or name, or evaluations by id, whose subjects are meant. */
  subjects: z.array(reference).min(1).max(mostReported),
  /** Name of a run, a setting or a base model that marks compare with; null: LoRA, else the base model. */
  against: reference.nullable().default(null),
});

export const reportProcedures = {
  /** What stored scores come to, as a file; runs nothing. */
  'evaluations.report': {
    input: reportInput.extend({ form: reportFormSchema }),
    output: z.object({
      /** Without a folder: `scores-default.html`. */
      name: z.string(),
      text: z.string(),
    }),
  },
} as const;
