import { statSync } from 'node:fs';
import { StudioError } from '../../contract/errors.ts';
import { WeightFolder } from './weightFolder.ts';

const comparedBytes = 16 * 1024 * 1024;
const [head, embedding] = ['lm_head.weight', 'model.embed_tokens.weight'];

/** Comparing means to read both tensors whole where they are alike: once a process and state of the files. */
const known = new Map<string, boolean>();

/**
 * Whether the weights have an output layer of other values than the embedding. transformers 5 then uses it, although
 * config.json says that the two are one (tie_word_embeddings); where the values are the same it is a copy.
 */
export function hasOwnHead(folder: string): boolean {
  let weights: WeightFolder;
  try {
    weights = new WeightFolder(folder);
  } catch (error) {
    // None, as in a preview, or damaged ones: that is said where they are read.
    if (error instanceof StudioError) return false;
    throw error;
  }
  try {
    if (!weights.info(head) || !weights.info(embedding)) return false;
    const state = weights.paths.map((path) => [path, statSync(path).size, statSync(path).mtimeMs]);
    const key = JSON.stringify(state);
    const differ = known.get(key) ?? isOther(weights);
    known.set(key, differ);
    return differ;
  } finally {
    weights.close();
  }
}

function isOther(weights: WeightFolder): boolean {
  const [a, b] = [weights.info(head)!, weights.info(embedding)!];
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return true;
  for (let at = 0; at < a.byteLength; at += comparedBytes) {
    const end = Math.min(at + comparedBytes, a.byteLength);
    if (Buffer.compare(weights.readRange(head, at, end), weights.readRange(embedding, at, end)) !== 0)
      return true;
  }
  return false;
}
