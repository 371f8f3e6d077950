import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { fetchRemedy, foreignFile } from '../files/foreignFile.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { SafetensorsFile, type TensorInfo } from '../files/safetensors.ts';
import { GgufWeights } from '../gguf/ggufWeights.ts';
import { sha256Of } from '../files/sha256.ts';
import { packedWeights, type PackedWeight, type StoredNf4 } from './bitsandbytes.ts';

export const weightIndexName = 'model.safetensors.index.json';
export const singleWeightName = 'model.safetensors';
/** Read where a folder has no safetensors. */
export const ggufWeightName = 'model.gguf';

/** A file of weights, open for reading single tensors: safetensors, or GGUF, which is dequantized. */
export type WeightFile = Pick<SafetensorsFile, 'path' | 'tensors' | 'read' | 'readRange' | 'close'>;

/**
 * The weights of a Hugging Face folder, one file or shards, read tensor by tensor. Tensors have the names
 * of a model with its output layer (`model.embed_tokens.weight`), also where they were stored without `model.` or with
 * it twice, which transformers reads as well. Weights that bitsandbytes stored in 4 bits, and those of GGUF files, are
 * read as what they stand for.
 */
export class WeightFolder {
  readonly folder: string;
  readonly #shards: WeightFile[];
  readonly #byName = new Map<string, { shard: WeightFile; stored: string }>();
  readonly #packed: ReadonlyMap<string, PackedWeight>;

  /**
   * @param files of the folder; by default those that transformers chooses
   * @throws StudioError model_invalid: no weights, a missing, truncated or contradictory shard
   */
  constructor(folder: string, files?: WeightFiles) {
    this.folder = folder;
    this.#shards = [];
    try {
      for (const name of (files ?? weightFiles(folder)).shards) this.#shards.push(openShard(folder, name));
      const rename = renaming(this.#shards.flatMap(({ tensors }) => [...tensors.keys()]));
      for (const shard of this.#shards)
        for (const stored of shard.tensors.keys()) {
          const name = rename(stored);
          if (this.#byName.has(name))
            throw invalid(
              `Tensor ${name} is stored twice, the second time in ${basename(shard.path)}.`,
              `Take the files and their ${weightIndexName} from one model: a file of another lies among them.`,
            );
          this.#byName.set(name, { shard, stored });
        }
      this.#packed = this.#takePacked();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** How weights are stored that are dequantized as they are read, for example `NF4`; null: none is. */
  get quantization(): string | null {
    const [shard] = this.#shards;
    if (shard instanceof GgufWeights) return shard.quantization;
    return this.#packed.values().next().value?.type ?? null;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  /** Bytes of all shards. */
  get sizeBytes(): number {
    return this.#shards.reduce((total, shard) => total + statSync(shard.path).size, 0);
  }

  /** Null where the tensor does not exist. */
  info(name: string): TensorInfo | null {
    return this.#packed.get(name)?.info ?? this.#storedInfo(name);
  }

  read(name: string): Uint8Array {
    const packed = this.#packed.get(name);
    if (packed) return packed.readRange(0, packed.info.byteLength);
    const { shard, stored } = this.#placeOf(name);
    return shard.read(stored);
  }

  /** How the blocks of a weight that bitsandbytes stored in NF4 are scaled; null: it is stored in another way. */
  nf4Scales(name: string): PackedWeight['nf4Scales'] {
    return this.#packed.get(name)?.nf4Scales ?? null;
  }

  /** A weight that bitsandbytes stored in NF4, as it is; null: it is stored in another way. */
  readNf4(name: string): StoredNf4 | null {
    return this.#packed.get(name)?.readNf4() ?? null;
  }

  /** Bytes begin..end of a tensor. */
  readRange(name: string, begin: number, end: number): Uint8Array {
    const packed = this.#packed.get(name);
    if (packed) return packed.readRange(begin, end);
    const { shard, stored } = this.#placeOf(name);
    return shard.readRange(stored, begin, end);
  }

  /** Finds weights in 4 bits; what describes them is no weight and no longer named. */
  #takePacked(): Map<string, PackedWeight> {
    const places = new Map(this.#byName);
    const packed = packedWeights({
      names: [...places.keys()],
      info: (name) => this.#storedInfo(name, places),
      readRange(name, begin, end) {
        const { shard, stored } = places.get(name)!;
        return shard.readRange(stored, begin, end);
      },
    });
    for (const { parts } of packed.values()) for (const part of parts) this.#byName.delete(part);
    return packed;
  }

  #storedInfo(name: string, places = this.#byName): TensorInfo | null {
    const place = places.get(name);
    return place?.shard.tensors.get(place.stored) ?? null;
  }

  #placeOf(name: string): { shard: WeightFile; stored: string } {
    const place = this.#byName.get(name);
    if (!place) throw invalid(`The model has no tensor ${name}.`, sameModel);
    return place;
  }

  /** Paths of the weight files, in the order of their names. */
  get paths(): string[] {
    return this.#shards.map(({ path }) => path);
  }

  /** SHA-256 over the shards' bytes, in the order of their names. */
  contentHash(): string {
    return sha256Of(this.paths);
  }

  close(): void {
    for (const shard of this.#shards) shard.close();
  }
}

function invalid(message: string, remedy: string): StudioError {
  return new StudioError('model_invalid', message, remedy);
}

const sameModel = 'Take config.json and the weights from the same model, and all shards of it.';

/** From the stored names to those of a model with its output layer. */
function renaming(names: readonly string[]): (name: string) => string {
  const all = new Set(names);
  if (all.has('model.embed_tokens.weight')) return (name) => name;
  if (all.has('embed_tokens.weight')) return (name) => (name.startsWith('lm_head.') ? name : `model.${name}`);
  if (all.has('model.model.embed_tokens.weight')) return (name) => name.replace(/^model\./, '');
  return (name) => name;
}

export interface WeightFiles {
  /** The file that names the shards; null: one complete file. */
  index: string | null;
  /** Sorted. */
  shards: string[];
}

/**
 * A folder's weight files, as transformers chooses them: a complete file goes before an index, which may have been left
 * by earlier weights; what `transformers_weights` of config.json names goes before both.
 * @throws StudioError not_found, model_invalid
 */
export function weightFiles(folder: string): WeightFiles {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new StudioError(
      'not_found',
      `There is no folder ${folder}.`,
      'Choose the folder that holds config.json and the weights.',
    );
  const names = namesOfWeights(folder);
  const isLink = (name: string) => lstatSync(join(folder, name), { throwIfNoEntry: false })?.isSymbolicLink();
  // A link that leads nowhere counts where there is nothing else: it is to be said.
  const name = names.find((file) => existsSync(join(folder, file))) ?? names.find(isLink);
  if (name === undefined && readdirSync(folder).includes(ggufWeightName))
    return { index: null, shards: [ggufWeightName] };
  if (name === undefined)
    throw new StudioError(
      'model_invalid',
      `${folder} has neither ${singleWeightName} nor ${weightIndexName}.`,
      'Choose a model in safetensors format; pickled .bin weights are never read.',
    );
  return filesOf(folder, name);
}

/** The names under which a folder may have its weights, the first that is there counts. */
function namesOfWeights(folder: string): string[] {
  return [namedWeights(folder), singleWeightName, weightIndexName].filter((name) => name !== null);
}

/**
 * Complete sets of weight files beside the one that is chosen: what other programs may read in its place. An index of
 * which shards are missing, or which cannot be read, is none: nothing computes with it.
 */
export function idleWeights(folder: string): WeightFiles[] {
  const chosen = weightFiles(folder);
  const others = namesOfWeights(folder).filter((name) => existsSync(join(folder, name)));
  return others.flatMap((name) => {
    try {
      const files = filesOf(folder, name);
      const isThere = files.shards.every((shard) => existsSync(join(folder, shard)));
      return isThere && files.shards.join() !== chosen.shards.join() ? [files] : [];
    } catch (error) {
      if (error instanceof StudioError) return [];
      throw error;
    }
  });
}

/** @throws StudioError model_invalid */
function filesOf(folder: string, name: string): WeightFiles {
  if (!name.endsWith('.index.json')) return { index: null, shards: [checkShardName(name)] };
  const map = readJsonObject(join(folder, name), 64 * 1024 * 1024, 'model_invalid')['weight_map'];
  if (typeof map !== 'object' || map === null)
    throw new StudioError(
      'model_invalid',
      `${name} has no weight_map.`,
      `Take the ${name} of these weights.`,
    );
  return { index: name, shards: indexedShards(map) };
}

function namedWeights(folder: string): string | null {
  if (!existsSync(join(folder, 'config.json'))) return null;
  const config = readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid');
  const named = config['transformers_weights'];
  return typeof named === 'string' && basename(named) === named ? named : null;
}

/**
 * The weight files that an index's `weight_map` names, sorted. @throws StudioError model_invalid where one is no plain
 * file name
 */
export function indexedShards(weightMap: object): string[] {
  return [...new Set<unknown>(Object.values(weightMap))].map(checkShardName).sort();
}

function checkShardName(name: unknown): string {
  if (typeof name !== 'string' || !/^[\w][\w.-]*\.safetensors$/.test(name))
    throw invalid(
      `${weightIndexName} names the shard ${JSON.stringify(name)}, which is not a file of the folder.`,
      `Take the ${weightIndexName} of these weights: it names *.safetensors files beside itself.`,
    );
  return name;
}

function openShard(folder: string, name: string): WeightFile {
  return openWeights(join(folder, name));
}

/** @throws StudioError model_invalid, model_unsupported */
export function openWeights(path: string): WeightFile {
  const [folder, name] = [dirname(path), basename(path)];
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) throw invalid(`The shard ${name} is missing in ${folder}.`, fetchRemedy(path, 'missing'));
  const isGguf = name === ggufWeightName;
  const foreign = foreignFile(path);
  if (foreign && !(isGguf && foreign.isGguf))
    throw new StudioError('model_invalid', `${name} ${foreign.what}.`, foreign.remedy);
  // The Hugging Face cache links each file to a blob: a link is fine as long as it ends at a file.
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw invalid(`${path} is not a file.`, 'Put the file of that name in its place.');
  return isGguf ? new GgufWeights(path) : new SafetensorsFile(path, 'model_invalid');
}

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
