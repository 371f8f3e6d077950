import { z } from 'zod';

/**
 * An archive is a tar of plain files: `project.json`, which says what follows; the project's rows as a database; the
 * files of its runs; and last the SHA-256 of each, so that one that is cut off or changed is known before anything of
 * it is used.
 */
export const manifestName = 'project.json';
export const databaseName = 'project.db';
export const hashesName = 'sha256.json';
export const archiveFormat = { format: 'id-lora-studio project', version: 1 } as const;

/** The files that a run can have. */
export const archiveFile =
  /^runs\/([\w-]{1,64})\/(?:checkpoints\/\d{8}|start)\/(?:(?:adapter|model)\/\w[\w.-]{0,60}|state\.json|optimizer\.safetensors)$/;

export const manifestSchema = z.object({
  format: z.literal(archiveFormat.format),
  version: z.number().int(),
  title: z.string(),
  files: z
    .array(
      z.object({ name: z.string().max(200), size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER) }),
    )
    .max(1_000_000),
});
export type ArchiveManifest = z.infer<typeof manifestSchema>;

export const hashesSchema = z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/));
