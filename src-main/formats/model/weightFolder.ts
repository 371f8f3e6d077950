import { existsSync, lstatSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { SafetensorsFile, type TensorInfo } from '../files/safetensors.ts';
import { sha256Of } from '../files/sha256.ts';

export const weightIndexName = 'model.safetensors.index.json';
export const singleWeightName = 'model.safetensors';

/** The safetensors weights of a Hugging Face folder, one file or shards, read tensor by tensor. */
export class WeightFolder {
  readonly folder: string;
  readonly #shards: SafetensorsFile[];
  readonly #byName = new Map<string, SafetensorsFile>();

  /** @throws StudioError model_invalid: no weights, a missing, truncated or contradictory shard */
  constructor(folder: string) {
    this.folder = folder;
    this.#shards = [];
    try {
      for (const name of shardNames(folder)) this.#shards.push(openShard(folder, name));
      for (const shard of this.#shards)
        for (const name of shard.tensors.keys()) {
          if (this.#byName.has(name))
            throw invalid(`Tensor ${name} is stored twice, the second time in ${basename(shard.path)}.`);
          this.#byName.set(name, shard);
        }
    } catch (error) {
      this.close();
      throw error;
    }
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
    return this.#byName.get(name)?.tensors.get(name) ?? null;
  }

  read(name: string): Uint8Array {
    const shard = this.#byName.get(name);
    if (!shard) throw invalid(`The model has no tensor ${name}.`);
    return shard.read(name);
  }

  /** Bytes begin..end of a tensor. */
  readRange(name: string, begin: number, end: number): Uint8Array {
    const shard = this.#byName.get(name);
    if (!shard) throw invalid(`The model has no tensor ${name}.`);
    return shard.readRange(name, begin, end);
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

function invalid(message: string): StudioError {
  return new StudioError('model_invalid', message, 'Download or copy the model folder again.');
}

/** Names of a folder's weight files, sorted. @throws StudioError not_found, model_invalid */
export function shardNames(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new StudioError(
      'not_found',
      `There is no folder ${folder}.`,
      'Choose the folder that holds config.json and the weights.',
    );
  if (!existsSync(join(folder, weightIndexName))) {
    if (existsSync(join(folder, singleWeightName))) return [singleWeightName];
    throw new StudioError(
      'model_invalid',
      `${folder} has neither ${singleWeightName} nor ${weightIndexName}.`,
      'Choose a model in safetensors format; pickled .bin weights are never read.',
    );
  }
  const index = readJsonObject(join(folder, weightIndexName), 64 * 1024 * 1024, 'model_invalid');
  const map = index['weight_map'];
  if (typeof map !== 'object' || map === null) throw invalid(`${weightIndexName} has no weight_map.`);
  return indexedShards(map);
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
    );
  return name;
}

function openShard(folder: string, name: string): SafetensorsFile {
  const path = join(folder, name);
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) throw invalid(`The shard ${name} is missing in ${folder}.`);
  // The Hugging Face cache links each file to a blob: a link is fine as long as it ends at a file.
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw invalid(`${path} is not a file.`);
  return new SafetensorsFile(path, 'model_invalid');
}
