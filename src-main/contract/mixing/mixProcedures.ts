import { z } from 'zod';
import { entryName, nothing, reference } from '../inputs.ts';
import { mixCountSchema, mixedRowSchema, mixRecipeSchema, mixSchema } from './mixes.ts';
import { trainConfigSchema } from '../training.ts';

/** What of a training decides what a mix gives. */
const countOptions = trainConfigSchema.pick({
  context: true,
  truncation: true,
  template: true,
  templateSource: true,
  system: true,
  trainOn: true,
  seed: true,
  heldOutFraction: true,
  batch: true,
  accumulate: true,
  packing: true,
  epochs: true,
  maxSteps: true,
});

/** What is counted, with which model's tokenizer (null: rows alone), for which training. */
export const countInput = z.object({
  recipe: mixRecipeSchema,
  model: reference.nullable().default(null),
  options: countOptions.prefault({}),
});

/** Calls about mixes of the open project. */
export const mixProcedures = {
  'mixes.list': { input: nothing, output: z.array(mixSchema) },
  'mixes.get': { input: z.object({ mix: reference }), output: mixSchema },
  'mixes.create': {
    input: z.object({ name: entryName, recipe: mixRecipeSchema, model: reference.nullable().default(null) }),
    output: mixSchema,
  },
  /** Runs keep the mix as it was when they were made. */
  'mixes.update': {
    input: z.object({
      mix: reference,
      name: entryName.optional(),
      recipe: mixRecipeSchema.optional(),
      model: reference.nullable().optional(),
    }),
    output: mixSchema,
  },
  'mixes.remove': { input: z.object({ mix: reference }), output: nothing },
  /** Brings back what was removed less than a minute ago, by its id. */
  'mixes.restore': { input: z.object({ mix: z.string().min(1) }), output: mixSchema },
  /** The table "asked | got" of one pass; tokenizes what was not tokenized before (progress of `mix count`). */
  'mixes.count': { input: countInput, output: mixCountSchema },
  /** Optimizer steps of a run of so many passes over a mix, or a dataset (`datasetRecipe`): as many as it takes. */
  'mixes.steps': {
    input: countInput,
    output: z.object({ steps: z.number().int() }),
  },
  /** Rows of the pass in the order in which they are trained. */
  'mixes.sample': {
    input: countInput.extend({
      offset: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(200).default(20),
    }),
    output: z.object({ rows: z.array(mixedRowSchema), total: z.number().int() }),
  },
} as const;
