import { z } from 'zod';
import { reference } from '../inputs.ts';
import { adapterProcedures } from './adapters.ts';

/** Calls about a project as one file. */

const merged = z.object({ added: z.number().int(), here: z.number().int() });

/** What became of an archive. What was here already by its id stayed as it was. */
export const importedProjectSchema = z.object({
  /** The project that it was taken into: its key and its title. */
  project: z.string(),
  title: z.string(),
  runs: merged,
  evaluations: merged,
  mixes: merged,
  studies: merged,
  /** `other`: the project has one already, and the archive's was left out; `none`: the archive has none. */
  chat: z.enum(['added', 'same', 'other', 'none']).default('none'),
  /** Names that were taken here. */
  renamed: z.array(z.object({ kind: z.enum(['run', 'mix', 'study']), from: z.string(), to: z.string() })),
  /** Base models that are not in the library: an archive has none of their weights. */
  absentModels: z.array(
    z.object({
      name: z.string(),
      /** On the Hub; null: not known. */
      repository: z.string().nullable(),
      contentHash: z.string(),
      parameters: z.number().int(),
    }),
  ),
  /** Datasets that are not in the library: an archive names them alone. */
  absentDatasets: z.array(z.object({ name: z.string(), contentHash: z.string(), rows: z.number().int() })),
});
export type ImportedProject = z.infer<typeof importedProjectSchema>;

export const exportedProjectSchema = z.object({
  file: z.string(),
  sizeBytes: z.number(),
  runs: z.number().int(),
  /** Runs and scores that wait in queues here: they are not in it. */
  waiting: z.number().int(),
  /** What it names and does not hold. */
  models: z.array(z.string()),
  datasets: z.array(z.string()),
});
export type ExportedProject = z.infer<typeof exportedProjectSchema>;

/** All of what comes from elsewhere, adapters among it. */
export const importProcedures = {
  ...adapterProcedures,
  /**
   * Writes a project with its runs, checkpoints and scores into one file, complete or absent; absent: the open one.
   * Progress of the task `archive FILE`.
   */
  'projects.export': {
    input: z.object({ project: reference.optional(), file: z.string().min(1) }),
    output: exportedProjectSchema,
  },
  /**
   * Takes such a file in: into the project named, else into the one that has some of its runs already, else into a new
   * one. All of it, or nothing. Progress of the task `archive FILE`.
   */
  'projects.import': {
    input: z.object({ file: z.string().min(1), into: reference.optional() }),
    output: importedProjectSchema,
  },
};
