import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { syncFolder, writeFileAtomic } from '../../formats/atomicFile.ts';
import { readJsonObject } from '../../formats/jsonFile.ts';
import { writeAdapterFolder, type AdapterTensor } from '../../formats/peftAdapter.ts';
import { SafetensorsFile, writeSafetensors, type TensorToWrite } from '../../formats/safetensors.ts';

/**
 * A checkpoint is a folder `<step, 8 digits>` with `adapter/` (a PEFT folder), `optimizer.safetensors` (the moments) and `state.json`.
 * It is written under another name and renamed, so that a folder of that name is always complete.
 */
const stateSchema = z.object({
  step: z.number().int().min(0),
  lastLoss: z.number(),
  /** Hash of what must be equal for a resumed run to continue the same computation. */
  fingerprint: z.string(),
});
export type CheckpointState = z.infer<typeof stateSchema>;

/** How many of the latest checkpoints a run keeps. */
const kept = 2;

export function checkpointName(step: number): string {
  return String(step).padStart(8, '0');
}

/** Complete checkpoints of a run, oldest first. */
export function listCheckpoints(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d{8}$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

export function writeCheckpoint(
  folder: string,
  state: CheckpointState,
  adapter: AdapterConfig,
  base: { name: string; sha256: string },
  parameters: readonly AdapterTensor[],
  moments: readonly TensorToWrite[],
): string {
  const final = join(folder, checkpointName(state.step));
  const temporary = join(folder, `.${checkpointName(state.step)}.${process.pid}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    writeAdapterFolder(join(temporary, 'adapter'), adapter, base, parameters);
    writeSafetensors(join(temporary, 'optimizer.safetensors'), moments);
    writeFileAtomic(join(temporary, 'state.json'), `${JSON.stringify(state)}\n`);
    rmSync(final, { recursive: true, force: true });
    renameSync(temporary, final);
    syncFolder(folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  for (const old of listCheckpoints(folder).slice(0, -kept)) rmSync(old, { recursive: true, force: true });
  return final;
}

/** @throws StudioError not_found or adapter_invalid */
export function openCheckpoint(folder: string): { state: CheckpointState; moments: SafetensorsFile } {
  const parsed = stateSchema.safeParse(
    readJsonObject(join(folder, 'state.json'), 1024 * 1024, 'adapter_invalid'),
  );
  if (!parsed.success)
    throw new StudioError(
      'adapter_invalid',
      `${join(folder, 'state.json')} is no checkpoint state.`,
      'Resume from an earlier checkpoint of the run.',
    );
  return {
    state: parsed.data,
    moments: new SafetensorsFile(join(folder, 'optimizer.safetensors'), 'adapter_invalid'),
  };
}
