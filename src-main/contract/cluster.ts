import { z } from 'zod';
import { dataContractSchema, endReasonSchema, modelIdentitySchema, runSchema } from './entities.ts';
import { entryName, reference } from './inputs.ts';
import { mixSnapshotSchema } from './mixing/mixes.ts';
import { trainConfigSchema } from './training.ts';

/** Runs that are trained elsewhere, by PyTorch on a cluster, say: handed over as a folder, and taken back. */

/** run.json of such a folder: all that makes a run of what comes back. */
export const handedRunSchema = z.object({
  format: z.literal('id-lora-studio run'),
  version: z.literal(1),
  /** The run's, for whoever has it, and its name. */
  id: z.string().min(1).max(100),
  name: entryName,
  /** The version that wrote it, and when. */
  studio: z.string().max(100),
  createdAt: z.string().max(100),
  base: z.object({
    /** Its repository, or its name: no path of the machine that wrote it. */
    name: z.string().max(500),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    identity: modelIdentitySchema,
  }),
  data: z.object({
    id: z.string().min(1).max(100),
    name: z.string().min(1).max(200),
    mix: mixSnapshotSchema.nullable(),
    contract: dataContractSchema,
  }),
  config: trainConfigSchema,
  totalSteps: z.number().int().min(1),
  trainable: z.number().int().min(0),
  frozenExtra: z.number().int().min(0),
});
export type HandedRun = z.infer<typeof handedRunSchema>;

/** result.json of what comes back. */
export const clusterResultSchema = z.object({
  /** `HandedRun.id`. */
  run: z.string(),
  /** The last step, and the one whose state was kept. */
  step: z.number().int().min(1),
  keptStep: z.number().int().min(1),
  /** `stop_requested`: the last state that was kept before the job ended, or was ended. */
  endReason: endReasonSchema,
  processes: z.number().int().min(1),
  device: z.string().max(200),
  torch: z.string().max(100),
});
export type ClusterResult = z.infer<typeof clusterResultSchema>;

export const handOverSchema = z.object({
  folder: z.string(),
  /** Their paths in it. */
  files: z.array(z.string()),
  totalSteps: z.number().int(),
  rows: z.number().int(),
  heldOutRows: z.number().int(),
  sizeBytes: z.number().int(),
  /** What of the configuration PyTorch does in another way, in sentences. */
  notes: z.array(z.string()),
});
export type HandOver = z.infer<typeof handOverSchema>;

export const clusterProcedures = {
  /** Writes a folder with which PyTorch trains a run, from its first step, on any number of GPUs. */
  'cluster.handOver': {
    input: z.object({
      /** An existing one, or `training`: what is to be one. */
      run: reference.optional(),
      training: z
        .object({ name: entryName, model: reference, dataset: reference, config: trainConfigSchema })
        .optional(),
      /** Absent: one in the data folder. */
      folder: z.string().optional(),
    }),
    output: handOverSchema,
  },
  /** Makes a run, with its curve, of what was trained elsewhere. */
  'cluster.takeBack': {
    input: z.object({
      /** The folder that was handed over, or the one with the result. */
      folder: z.string().min(1),
      /** Absent: the name that it was handed over with, and a number where that is taken. */
      name: entryName.optional(),
      /** Absent: the model of the library with the same weights. */
      model: reference.optional(),
    }),
    output: runSchema,
  },
} as const;
