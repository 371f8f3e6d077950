import type { TrainConfig } from '../contract/training.ts';

/**
 * Whether a training leaves the embedding in its file and reads the rows of each pass: on a base in 4 bits it would be
 * a sixth of what is kept (Llama 3 8B). It is needed whole where it is the output head as well, and where samples are
 * decoded.
 */
export function leavesEmbedding(
  { loadIn4bit, samples }: Pick<TrainConfig, 'loadIn4bit' | 'samples'>,
  { tieEmbeddings }: { tieEmbeddings: boolean },
): boolean {
  return loadIn4bit && !tieEmbeddings && samples === null;
}
