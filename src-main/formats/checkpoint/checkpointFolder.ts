import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { modelIdentitySchema, type ModelIdentity } from '../../contract/entities.ts';
import type { Method } from '../../contract/training.ts';
import { readJsonObject } from '../files/jsonFile.ts';

/** A run's checkpoints are folders named by their step in eight digits; one of that name is complete. */
export function checkpointName(step: number): string {
  return String(step).padStart(8, '0');
}

export function checkpointStep(checkpoint: string): number {
  return Number(basename(checkpoint));
}

/** Complete checkpoints of a run, oldest first. */
export function listCheckpoints(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{8}$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/**
 * Where a checkpoint keeps what was trained: a PEFT folder, or after full fine-tuning a complete Hugging Face model
 * folder.
 */
export function trainedFolder(checkpoint: string, method: Method): string {
  return join(checkpoint, method === 'full' ? 'model' : 'adapter');
}

/** Name under which a process writes a checkpoint until it is complete. */
export function partialName(step: number): string {
  return `.${checkpointName(step)}.${process.pid}.partial`;
}

/** Deletes what processes left behind that died while they wrote a checkpoint. */
export function clearPartialCheckpoints(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder))
    if (name.endsWith('.partial')) rmSync(join(folder, name), { recursive: true, force: true });
}

/**
 * What a checkpoint says of models: the base that it was trained on, and after full fine-tuning the hash of its own
 * weights, which its writer found; null in checkpoints from before they were kept.
 */
export function checkpointModels(checkpoint: string): {
  base: ModelIdentity | null;
  weightsSha256: string | null;
} {
  const { base, weightsSha256 } = readJsonObject(
    join(checkpoint, 'state.json'),
    1024 * 1024,
    'adapter_invalid',
  );
  return {
    base: modelIdentitySchema.safeParse(base).data ?? null,
    weightsSha256: typeof weightsSha256 === 'string' ? weightsSha256 : null,
  };
}
