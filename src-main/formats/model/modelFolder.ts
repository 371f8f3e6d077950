import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic, writeNewFolder } from '../files/atomicFile.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { readFamily } from '../families/decoderConfigOf.ts';
import { families } from '../families/registry.ts';
import { cardName, isCompanion } from './modelFiles.ts';
import {
  tensorBytes,
  writeSafetensors,
  type SafetensorsDType,
  type TensorToWrite,
} from '../files/safetensors.ts';
import { weightIndexName, singleWeightName } from './weightFolder.ts';

/** Hugging Face's usual limit for one file of weights. */
const defaultShardBytes = 5e9;

/** config.json's name of a stored type. */
const dtypeNames: Partial<Record<SafetensorsDType, string>> = {
  F32: 'float32',
  BF16: 'bfloat16',
  F16: 'float16',
};

export interface ModelToWrite {
  /** Folder of the base model: config.json, tokenizer and licence are taken from it. */
  base: string;
  /** Weights under Hugging Face's names; those that are functions are asked for one at a time. */
  tensors: readonly TensorToWrite[];
  /** The type that config.json is to name, for readers that load in it; null: the base's. */
  dtype: SafetensorsDType | null;
  /** README.md; null: none. */
  card: string | null;
  /** Most bytes of weights in one file. */
  shardBytes?: number;
}

/**
 * Writes a complete Hugging Face model folder: complete or absent. Weights larger than one shard get an index.
 * @returns names of the files
 * @throws StudioError name_taken where `folder` exists and is not empty: it may be a model of its own
 */
export function writeModelFolder(folder: string, model: ModelToWrite): string[] {
  return writeNewFolder(folder, (temporary) => [
    ...writeWeights(temporary, model.tensors, model.shardBytes ?? defaultShardBytes),
    ...writeCompanions(temporary, model),
  ]);
}

function writeWeights(folder: string, tensors: readonly TensorToWrite[], shardBytes: number): string[] {
  const shards: TensorToWrite[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    const last = shards.at(-1);
    if (last && bytes <= room) last.push(tensor);
    else {
      shards.push([tensor]);
      room = shardBytes;
    }
    room -= bytes;
  }
  if (shards.length === 1) {
    writeSafetensors(join(folder, singleWeightName), shards[0]!);
    return [singleWeightName];
  }
  const number = (n: number) => String(n).padStart(5, '0');
  const weightMap: Record<string, string> = {};
  const names = shards.map((shard, i) => {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    writeSafetensors(join(folder, name), shard);
    for (const tensor of shard) weightMap[tensor.name] = name;
    return name;
  });
  const totalBytes = tensors.reduce((total, tensor) => total + tensorBytes(tensor), 0);
  const index = { metadata: { total_size: totalBytes }, weight_map: weightMap };
  writeFileAtomic(join(folder, weightIndexName), `${JSON.stringify(index, null, 2)}\n`);
  return [...names, weightIndexName];
}

function writeCompanions(folder: string, { base, tensors, dtype, card }: ModelToWrite): string[] {
  const config = withoutPaths(readJsonObject(join(base, 'config.json'), 10 * 1024 * 1024, 'model_invalid'));
  // Older and newer spelling. Where neither is there, readers take the type from the weights.
  for (const key of ['torch_dtype', 'dtype']) if (dtype && key in config) config[key] = dtypeNames[dtype];
  // The weights are written as what they stand for.
  delete config['quantization_config'];
  // Programs differ in what they follow where the weights have an output layer and config.json says that they share it.
  if (tensors.some(({ name }) => name === 'lm_head.weight') && tiesHead(config))
    config['tie_word_embeddings'] = false;
  writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  const taken = readdirSync(base).filter(
    (name) => isCompanion(name) && statSync(join(base, name), { throwIfNoEntry: false })?.isFile(),
  );
  for (const name of taken) {
    const bytes = readFileSync(join(base, name));
    writeFileAtomic(join(folder, name), namesPaths(name, bytes) ? withoutPathsIn(bytes) : [bytes]);
  }
  if (card !== null) writeFileAtomic(join(folder, cardName), card);
  return ['config.json', ...taken, ...(card === null ? [] : [cardName])];
}

/** Whether config.json says, in words or by its family, that the output layer is the embedding. */
function tiesHead(config: Readonly<Record<string, unknown>>): boolean {
  const { model_type: family, tie_word_embeddings: stated } = config;
  if (typeof stated === 'boolean') return stated;
  return (
    typeof family === 'string' && Object.hasOwn(families, family) && readFamily(config).shape.tieEmbeddings
  );
}

/** Keys under which transformers writes where a model or a tokenizer was loaded from. */
const pathKeys = ['_name_or_path', 'name_or_path', 'tokenizer_file', 'vocab_file', 'special_tokens_map_file'];

/** Without paths of the machine that the base was saved on: what leaves says nothing of folders. */
function withoutPaths(json: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(json).filter(
      ([key, value]) =>
        !(pathKeys.includes(key) && typeof value === 'string' && /^([/~]|[A-Za-z]:[\\/])/.test(value)),
    ),
  );
}

/** Whether a companion is a JSON file that may have a key of paths. Others are copied byte by byte. */
function namesPaths(name: string, bytes: Buffer): boolean {
  return name.endsWith('_config.json') && pathKeys.some((key) => bytes.includes(`"${key}"`));
}

function withoutPathsIn(bytes: Buffer): string {
  const json = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
  return `${JSON.stringify(withoutPaths(json), null, 2)}\n`;
}
