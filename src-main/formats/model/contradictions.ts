import { StudioError } from '../../contract/errors.ts';
import { readDecoderConfig, readStatements, type Statements } from '../families/huggingFaceConfig.ts';
import { expectedWeights } from './decoderWeights.ts';
import { loadTokenizer } from './tokenizer.ts';
import { hasOwnHead, idleWeights, weightFiles, WeightFolder, type WeightFiles } from './weightFolder.ts';

/**
 * What two statements of a model folder say differently: programs differ in which of them they follow, and so compute
 * different things from the same files. The studio follows transformers 5 in each. May read all weights twice.
 * @returns a sentence for each, with both statements and the one that the studio follows
 * @throws StudioError where the folder cannot be used
 */
export function findContradictions(folder: string): string[] {
  const { tie, ends } = readStatements(folder);
  return [...ofHead(folder, tie), ...ofWeights(folder), ...ofEnds(folder, ends)];
}

function ofHead(folder: string, { isTied, isStated, family }: Statements['tie']): string[] {
  if (!isTied || !hasOwnHead(folder)) return [];
  const statement = isStated ? 'tie_word_embeddings is true' : `${family} ties them where nothing is said`;
  return [
    `config.json says that the output layer is the embedding (${statement}), but the weights have an lm_head.weight of other values. The studio and transformers 5 compute with lm_head.weight; what follows config.json computes something else.`,
  ];
}

function ofWeights(folder: string): string[] {
  const chosen = weightFiles(folder);
  return idleWeights(folder).flatMap((idle) => {
    const tensor = firstDifference(folder, chosen, idle);
    return tensor === null
      ? []
      : [
          `The folder has two sets of weights: ${nameOf(chosen)} and ${nameOf(idle)}, which differ in ${tensor}. The studio and transformers 5 compute with ${nameOf(chosen)}; what reads the other computes something else.`,
        ];
  });
}

function nameOf({ index, shards }: WeightFiles): string {
  return index === null ? shards[0]! : `the files of ${index}`;
}

const partBytes = 16 * 1024 * 1024;

/** The first tensor of the model in which two sets of weights differ; null: they are the same. */
function firstDifference(folder: string, one: WeightFiles, other: WeightFiles): string | null {
  const a = new WeightFolder(folder, one);
  const b = new WeightFolder(folder, other);
  try {
    return [...expectedWeights(readDecoderConfig(folder)).keys()].find((name) => !isSame(name, a, b)) ?? null;
  } finally {
    a.close();
    b.close();
  }
}

function isSame(name: string, a: WeightFolder, b: WeightFolder): boolean {
  const [mine, other] = [a.info(name), b.info(name)];
  if (!mine || !other) return mine === other;
  if (mine.dtype !== other.dtype || mine.shape.join() !== other.shape.join()) return false;
  for (let at = 0; at < mine.byteLength; at += partBytes) {
    const end = Math.min(at + partBytes, mine.byteLength);
    if (Buffer.compare(a.readRange(name, at, end), b.readRange(name, at, end)) !== 0) return false;
  }
  return true;
}

function ofEnds(folder: string, ofModel: Statements['ends']): string[] {
  const tokenizer = readableTokenizer(folder);
  const appended = tokenizer?.eosId;
  if (!tokenizer || appended == null) return [];
  const token = (id: number) => `${JSON.stringify(tokenizer.entryOf(id))} (id ${id})`;
  const { eosIds } = readDecoderConfig(folder);
  const own = tokenizer.endIds.filter((id) => !eosIds.includes(id));
  const stated = [...ofModel, ...(own.length > 0 ? [{ file: 'the tokenizer', ids: own }] : [])];
  const source = stated.find(({ ids }) => ids.includes(appended))!;
  return stated
    .filter(({ ids }) => !ids.includes(appended))
    .map(
      ({ file, ids }) =>
        `${source.file} ends an answer with ${token(appended)}, ${file} with ${ids.map(token).join(' or ')}. The studio puts ${token(appended)} behind answers, as transformers 5 stops there; what stops as ${file} says may never stop.`,
    );
}

/** Null where it cannot be used: its text is then not part of what is compared either. */
function readableTokenizer(folder: string): ReturnType<typeof loadTokenizer> | null {
  try {
    return loadTokenizer(folder);
  } catch (error) {
    if (error instanceof StudioError) return null;
    throw error;
  }
}
