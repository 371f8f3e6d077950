import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { modelIdentitySchema, type ModelIdentity } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { syncFolder, writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { checkpointName, listCheckpoints, partialName } from '../../formats/checkpoint/checkpointFolder.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { SafetensorsFile, writeSafetensors, type TensorToWrite } from '../../formats/files/safetensors.ts';
import { trainConfigSchema } from '../../contract/training.ts';
import type { PlannedRates } from '../../options/schedule.ts';
import { progressSchema, type Progress } from './progress.ts';

const ratesSchema = trainConfigSchema
  .pick({
    learningRate: true,
    schedule: true,
    warmupSteps: true,
    minLearningRateRatio: true,
    decaySteps: true,
    polynomialPower: true,
  })
  .extend({ totalSteps: z.number().int() });

/**
 * A checkpoint is a folder `<step, 8 digits>` with `adapter/` (a PEFT folder) or, after full fine-tuning, `model/` (a
 * complete Hugging Face folder with f32 masters), `optimizer.safetensors` (the optimizer's state) and `state.json` (the
 * progress). It is written under another name and renamed, so that a folder of that name is always complete.
 */
const stateSchema = progressSchema.extend({
  /** Hash of what must be equal for a resumed run to continue the same computation. */
  fingerprint: z.string(),
  /** The model that it was trained on, and the hash of the rows; absent in checkpoints from before they were kept. */
  base: modelIdentitySchema.optional(),
  rowsSha256: z.string().optional(),
  /** The schedule of the run that wrote it. */
  rates: ratesSchema.optional(),
  /** Hash of the bytes of the weights in `model/`. */
  weightsSha256: z.string().optional(),
});

/** What a checkpoint was made from. */
export interface Origin {
  /** Hash of all of it that must be equal for a run to go on. */
  fingerprint: string;
  base: ModelIdentity;
  /** Hash of the training rows, tokenized. */
  rowsSha256: string;
  rates: PlannedRates;
}

/**
 * @param state.kept so many of the latest stay
 * @param state.keep the step of a checkpoint that stays, however many later ones there are
 * @param writeTrained writes `adapter/` or `model/` into a folder. @returns the hash of the weights of the latter
 */
export function writeCheckpoint(
  folder: string,
  state: { progress: Progress; origin: Origin; kept: number; keep?: number | undefined },
  writeTrained: (folder: string) => string | undefined,
  optimizer: readonly TensorToWrite[],
): string {
  const { progress, origin, kept, keep } = state;
  const final = join(folder, checkpointName(progress.step));
  const temporary = join(folder, partialName(progress.step));
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const weightsSha256 = writeTrained(temporary);
    writeSafetensors(join(temporary, 'optimizer.safetensors'), optimizer);
    writeFileAtomic(
      join(temporary, 'state.json'),
      `${JSON.stringify({ ...progress, ...origin, weightsSha256 })}\n`,
    );
    rmSync(final, { recursive: true, force: true });
    renameSync(temporary, final);
    syncFolder(folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  const best = keep === undefined ? null : join(folder, checkpointName(keep));
  for (const old of listCheckpoints(folder).slice(0, -kept))
    if (old !== best) rmSync(old, { recursive: true, force: true });
  return final;
}

/** @throws StudioError not_found or adapter_invalid */
export function openCheckpoint(folder: string): {
  progress: Progress;
  /** Of checkpoints from before it was kept only the fingerprint. */
  origin: { fingerprint: string } & { [K in keyof Origin]: Origin[K] | undefined };
  optimizer: SafetensorsFile;
} {
  const parsed = stateSchema.safeParse(
    readJsonObject(join(folder, 'state.json'), 1024 * 1024, 'adapter_invalid'),
  );
  if (!parsed.success)
    throw new StudioError(
      'adapter_invalid',
      `${join(folder, 'state.json')} is no checkpoint state.`,
      'Resume from an earlier checkpoint of the run.',
    );
  const { fingerprint, base, rowsSha256, rates, weightsSha256: _, ...progress } = parsed.data;
  return {
    progress,
    origin: { fingerprint, base, rowsSha256, rates },
    optimizer: new SafetensorsFile(join(folder, 'optimizer.safetensors'), 'adapter_invalid'),
  };
}
