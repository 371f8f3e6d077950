import { z } from 'zod';
import { plainErrorSchema } from './errors.ts';
import { nothing } from './inputs.ts';

/** What the machine that the studio runs on has, lacks and uses. Sizes are bytes. */

export const doctorReportSchema = z.object({
  ok: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['ok', 'warning', 'missing']),
      detail: z.string(),
      remedy: z.string().nullable(),
      /** Whether `studio.repair` can put it right. */
      repairable: z.boolean(),
    }),
  ),
  /** What TensorFlow computes on; null where it is missing. */
  device: z.string().nullable(),
});
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** A card as it was when a run began on it. */
export const runCardSchema = z.object({
  /** Its number in the order of the bus, as nvidia-smi counts. */
  id: z.string(),
  name: z.string(),
  /** Compute capability: 8.9. */
  capability: z.string(),
  memoryBytes: z.number(),
});
export type RunCard = z.infer<typeof runCardSchema>;

/** How much of the machine is in use now. */
export const machineLoadSchema = z.object({
  cores: z.number().int(),
  memoryBytes: z.number(),
  memoryUsedBytes: z.number(),
  /** Null: no NVIDIA GPU that answers. */
  gpu: z
    .object({
      name: z.string(),
      memoryBytes: z.number(),
      memoryUsedBytes: z.number(),
      /** Compute capability: 8.9; null: an older driver does not tell it. */
      capability: z.string().nullish(),
    })
    .nullable(),
});
export type MachineLoad = z.infer<typeof machineLoadSchema>;

export const storagePartSchema = z.object({
  name: z.enum(['models', 'datasets', 'runs', 'cache', 'database']),
  files: z.number().int(),
  bytes: z.number(),
});
export type StoragePart = z.infer<typeof storagePartSchema>;

/** What takes space in the data folder. */
export const storageReportSchema = z.object({
  home: z.string(),
  /** Free on its disk. */
  freeBytes: z.number(),
  parts: z.array(storagePartSchema),
});
export type StorageReport = z.infer<typeof storageReportSchema>;

/** Newer versions of a packaged application: where they are looked for, and what was found. */
export const releaseSchema = z.object({
  version: z.string(),
  isNewer: z.boolean(),
  /** What this installation would be replaced by; null: there is none of its kind. */
  file: z.object({ name: z.string(), url: z.string(), sizeBytes: z.number().nullable() }).nullable(),
  /** ISO 8601. */
  releasedAt: z.string().nullable(),
});
export type Release = z.infer<typeof releaseSchema>;

export const updatesSchema = z.object({
  /** Address of the releases; null: packaged without one, or a checkout. Then nothing is ever asked. */
  channel: z.string().nullable(),
  /** Whether the user agreed that it is asked once a day. */
  isAllowed: z.boolean(),
  /** What the last answer said. */
  found: releaseSchema.nullable(),
  /** When it was asked last, whatever came of it: ISO 8601. */
  lookedAt: z.string().nullable(),
  /** Why the last time brought no answer. */
  problem: plainErrorSchema.nullable(),
});
export type Updates = z.infer<typeof updatesSchema>;

export const updateProcedures = {
  'updates.get': { input: nothing, output: updatesSchema },
  'updates.allow': { input: z.object({ isAllowed: z.boolean() }), output: updatesSchema },
  /**
   * Asks the channel. `daily`: only where the user agreed and it was not asked within a day. Nothing is fetched but the
   * list of the release, and nothing is installed.
   */
  'updates.look': { input: z.object({ daily: z.boolean().default(false) }), output: updatesSchema },
} as const;
