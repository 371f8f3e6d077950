import { z } from 'zod';
import { runSchema } from '../entities.ts';
import { plainErrorSchema } from '../errors.ts';
import { entryName, nothing, reference, repository } from '../inputs.ts';
import { adapterConfigSchema } from '../training.ts';

/** Calls about adapters that were trained elsewhere. */

/** What an adapter folder holds, and to which models of the library it may belong. */
export const foundAdapterSchema = z.object({
  folder: z.string(),
  /** What PEFT calls its kind. */
  peftType: z.string(),
  adapter: adapterConfigSchema,
  /** The base as its adapter_config.json calls it, which is only a claim; null: it says nothing. */
  baseName: z.string().nullable(),
  /** Modules of which it has tensors. */
  modules: z.number().int(),
  sizeBytes: z.number(),
  models: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      /** The adapter names it: by its repository, its folder, its name, or by the hash of its weights. */
      isNamed: z.boolean(),
      /** Why it cannot be the base; null: the shapes fit. */
      problem: plainErrorSchema.nullable(),
    }),
  ),
});
export type FoundAdapter = z.infer<typeof foundAdapterSchema>;

export const adapterProcedures = {
  /** Of the open project, newest first. */
  'adapters.list': { input: nothing, output: z.array(runSchema) },
  /** Reads a folder; changes nothing. */
  'adapters.inspect': { input: z.object({ folder: z.string() }), output: foundAdapterSchema },
  /**
   * Checks an adapter against its base and makes a run of it. Without `model` the one that fits and that it names.
   * Progress of the task `adapter FOLDER`.
   */
  'adapters.add': {
    input: z.object({
      folder: z.string(),
      model: reference.optional(),
      name: entryName.optional(),
    }),
    output: runSchema,
  },
  /**
   * Downloads an adapter of the Hub, so that `inspect` and `add` find it in a folder. What came before a stop is kept,
   * and gone on with by the same call. Progress of the task `adapter REPOSITORY`.
   */
  'adapters.download': {
    input: z.object({ repository, revision: z.string().optional() }),
    output: z.object({ folder: z.string() }),
  },
};
