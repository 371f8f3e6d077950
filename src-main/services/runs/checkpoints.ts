import { checkpointDisk } from '../../budget/forecast/disk.ts';
import type { Checkpoint, Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import {
  checkpointModels,
  checkpointStep,
  listCheckpoints,
} from '../../formats/checkpoint/checkpointFolder.ts';
import { changedParts, identityOf } from '../../formats/model/identity.ts';
import { readEvals } from '../../store/metrics.ts';
import type { ServiceContext } from '../context.ts';
import { bytesOnlyIn, filesIn, freeBytes, inGigabytes, totalBytes } from '../machine/disk.ts';

type Places = Pick<ServiceContext, 'paths' | 'database'>;

/** The checkpoint from which a run goes on; null before the first. */
export function latestCheckpoint({ paths }: Pick<Places, 'paths'>, runId: string): string | null {
  return listCheckpoints(paths.runCheckpoints(runId)).at(-1) ?? null;
}

/**
 * The checkpoint that stands for a run, for evaluation, generation and export: with `keepBest` the one with the lowest
 * held-out loss, else the latest; null where there is none.
 */
export function chosenCheckpoint({ paths, database }: Places, run: Run): string | null {
  if (!run.config.keepBest) return latestCheckpoint({ paths }, run.id);
  // Among those on disk: a checkpoint is written after the evaluation, and the best so far is never removed.
  const evaluations = readEvals(database, run.id);
  const lossOf = (folder: string) =>
    evaluations.find(({ step }) => step === checkpointStep(folder))?.loss ?? Infinity;
  const [best] = listCheckpoints(paths.runCheckpoints(run.id)).sort((a, b) => lossOf(a) - lossOf(b));
  return best !== undefined && lossOf(best) < Infinity ? best : latestCheckpoint({ paths }, run.id);
}

/**
 * Refuses a run whose checkpoints the disk has no room for: it would train for hours and end at a write. What the run
 * has written counts as there.
 * @throws StudioError disk_full with what is needed and what there is
 */
export async function checkCheckpointSpace(
  { paths }: Pick<Places, 'paths'>,
  { id, config }: Pick<Run, 'id' | 'config'>,
  shape: DecoderConfig,
): Promise<void> {
  const { each, atOnce, bytes } = checkpointDisk(shape, config);
  const free = freeBytes(paths.home);
  if (free + (await bytesOnlyIn(paths.runCheckpoints(id))) >= bytes) return;
  throw new StudioError(
    'disk_full',
    `The run's checkpoints need ${inGigabytes(bytes)} (${atOnce} of ${inGigabytes(each)} at a time); ${inGigabytes(free)} are free at ${paths.home}.`,
    'Free some space, choose another data folder with --home DIR, or set --checkpoint-every 0, which keeps one checkpoint less.',
  );
}

/**
 * Refuses to use what a run trained on a base that is another since: it would compute something that was never trained.
 * @param model as it is now
 * @throws StudioError model_changed with the files
 */
export function checkBase(run: Pick<Run, 'name' | 'config'>, model: Model, checkpoint: string): void {
  const { base } = checkpointModels(checkpoint);
  if (!base) return;
  // Full fine-tuning needs of its base no more than the tokenizer.
  const needed = run.config.adapter.method === 'full' ? [] : (['weights', 'config'] as const);
  const changed = changedParts(base, identityOf(model), [...needed, 'tokenizer']);
  if (changed.length === 0) return;
  throw new StudioError(
    'model_changed',
    `The run "${run.name}" was trained on another "${model.name}": ${changed.join(' and ')} in ${model.folder} changed since.`,
    'Put the files back as they were, or train again.',
  );
}

/** What is kept of a run to go on from, oldest first. */
export async function describeCheckpoints({ paths, database }: Places, runId: string): Promise<Checkpoint[]> {
  const losses = new Map(readEvals(database, runId).map(({ step, loss }) => [step, loss]));
  const found = await Promise.all(
    listCheckpoints(paths.runCheckpoints(runId)).map(async (folder) => {
      const step = checkpointStep(folder);
      return { step, bytes: totalBytes(await filesIn(folder)), heldOutLoss: losses.get(step) ?? null };
    }),
  );
  const lowest = found.reduce((least, { heldOutLoss }) => Math.min(least, heldOutLoss ?? Infinity), Infinity);
  return found.map((checkpoint) => ({ ...checkpoint, isBest: checkpoint.heldOutLoss === lowest }));
}
