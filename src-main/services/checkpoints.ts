import type { Checkpoint, Run } from '../contract/entities.ts';
import { checkpointStep, listCheckpoints } from '../formats/checkpointFolder.ts';
import { readEvals } from '../store/metrics.ts';
import type { ServiceContext } from './context.ts';
import { folderBytes } from './folderBytes.ts';

type Places = Pick<ServiceContext, 'paths' | 'database'>;

/** The checkpoint from which a run goes on; null before the first. */
export function latestCheckpoint({ paths }: Pick<Places, 'paths'>, runId: string): string | null {
  return listCheckpoints(paths.runCheckpoints(runId)).at(-1) ?? null;
}

/**
 * The checkpoint that stands for a run, for evaluation, generation and export: with `keepBest` the one with the lowest held-out
 * loss, else the latest; null where there is none.
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

/** What is kept of a run to go on from, oldest first. */
export function describeCheckpoints({ paths, database }: Places, runId: string): Checkpoint[] {
  const losses = new Map(readEvals(database, runId).map(({ step, loss }) => [step, loss]));
  const found = listCheckpoints(paths.runCheckpoints(runId)).map((folder) => {
    const step = checkpointStep(folder);
    return { step, bytes: folderBytes(folder), heldOutLoss: losses.get(step) ?? null };
  });
  const lowest = Math.min(...found.map(({ heldOutLoss }) => heldOutLoss ?? Infinity));
  return found.map((checkpoint) => ({ ...checkpoint, isBest: checkpoint.heldOutLoss === lowest }));
}
