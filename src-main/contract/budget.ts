import { z } from 'zod';

/** What a budget of parameters can limit. */
export const budgetUnits = ['parameters', 'percentPaper', 'percentBase', 'bytesF32', 'bytesBf16'] as const;
export const budgetUnitSchema = z.enum(budgetUnits);
export type BudgetUnit = z.infer<typeof budgetUnitSchema>;

export const budgetSchema = z.object({
  unit: budgetUnitSchema,
  /** In that unit: numbers, percent or bytes. */
  most: z.number().positive(),
});
export type Budget = z.infer<typeof budgetSchema>;
