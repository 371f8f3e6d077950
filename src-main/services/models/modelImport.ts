import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { baseParameters } from '../../shape/modelShape.ts';
import type { Model } from '../../contract/entities.ts';
import { toPlainError } from '../../contract/errors.ts';
import { syncFolder } from '../../formats/files/atomicFile.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { changedParts } from '../../formats/model/identity.ts';
import { modelFileNames } from '../../formats/model/modelFiles.ts';
import { FiniteCheck } from '../../formats/model/finiteWeights.ts';
import {
  ggufWeightName,
  openWeights,
  WeightFolder,
  type WeightFile,
} from '../../formats/model/weightFolder.ts';
import { checkFreeSpace, partsOfFile, writeAll } from '../machine/disk.ts';
import type { ModelCard } from '../../contract/modelLibrary.ts';
import { readChatTemplate } from '../../formats/model/chatTemplate.ts';
import { readLicence } from '../../formats/model/licence.ts';
import { checkTokenizer } from '../../formats/model/tokenizer.ts';
import type { TokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** What is known of a model without reading its weights. */
export type ModelFacts = Omit<
  Model,
  | 'id'
  | 'name'
  | 'folder'
  | 'copied'
  | 'origin'
  | 'contentHash'
  | 'identity'
  | 'weightStamp'
  | 'unusable'
  | 'createdAt'
>;

/** How work on gigabytes tells how far it is, and is ended. */
export interface LongWork {
  onBytes(done: number, total: number): void;
  signal: AbortSignal;
}

/**
 * Reads and checks a Hugging Face folder but for its tokenizer: configuration, every tensor's name and shape.
 * @throws StudioError model_invalid, model_unsupported, not_found
 */
export function readModel(folder: string): ModelFacts & { weightPaths: string[]; config: DecoderConfig } {
  // First, since it says what weights of a kind that cannot be read are.
  const config = readDecoderConfig(folder);
  const weights = new WeightFolder(folder);
  try {
    checkWeights(config, weights);
    return {
      config,
      weightPaths: weights.paths,
      family: config.family,
      parameters: baseParameters(config),
      dtype: weights.info('model.embed_tokens.weight')!.dtype,
      quantization: weights.quantization,
      sizeBytes: weights.sizeBytes,
      contextLength: config.contextLength,
      vocabularySize: config.vocabularySize,
      hiddenSize: config.hiddenSize,
      intermediateSize: config.intermediateSize,
      layers: config.layers,
      heads: config.heads,
      keyValueHeads: config.keyValueHeads,
      architecture: {
        headDim: config.headDim,
        tieEmbeddings: config.tieEmbeddings,
        queryKeyValueBias: config.queryKeyValueBias,
        outputBias: config.outputBias,
        mlpBias: config.mlpBias,
        queryKeyNorm: config.queryKeyNorm,
        normPlacement: config.normPlacement,
        fusedProjections: config.fusedProjections,
        ...(config.hasPlainNf4Scales && { hasPlainNf4Scales: true }),
      },
    };
  } finally {
    weights.close();
  }
}

/** What tells a model from others. */
type Described = ModelFacts & Pick<Model, 'contentHash' | 'identity'>;

/**
 * Whether two descriptions are of one model: it computes and reads the same. Of models whose identity was not kept:
 * the same weights, and a config.json that says the same of them as far as it was kept.
 */
export function isSameModel(known: Described, described: Described): boolean {
  if (known.identity && described.identity)
    return changedParts(known.identity, described.identity, ['weights', 'config', 'tokenizer']).length === 0;
  const { architecture } = known;
  return (
    known.contentHash === described.contentHash &&
    known.contextLength === described.contextLength &&
    known.family === described.family &&
    (architecture === undefined || isDeepStrictEqual(architecture, described.architecture))
  );
}

/**
 * SHA-256 over the files' bytes, one after another: the same as `WeightFolder.contentHash`, without holding up the
 * core. In the same pass values that are no finite numbers are looked for. In an embedding that is not the output layer
 * as well, they spoil only the texts that have its token: training sets these aside.
 * @throws StudioError model_invalid: names the first tensor with NaN or infinity
 */
export async function hashWeights(paths: readonly string[], { onBytes, signal }: LongWork): Promise<string> {
  const hash = createHash('sha256');
  const total = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  const spared = new Set(paths.some(hasHead) ? ['model.embed_tokens.weight'] : []);
  let done = 0;
  for (const path of paths) {
    const isGguf = basename(path) === ggufWeightName;
    const check = new FiniteCheck(path, isGguf ? [] : tensorsOf(path).values(), spared);
    let at = 0;
    for await (const part of partsOfFile(path, signal, 'Adding the model')) {
      hash.update(part);
      check.read(part, at);
      at += part.length;
      onBytes((done += part.length), total);
    }
    if (isGguf) await checkDequantized(path, spared, signal);
  }
  return hash.digest('hex');
}

function tensorsOf(path: string): WeightFile['tensors'] {
  const file = openWeights(path);
  file.close();
  return file.tensors;
}

function hasHead(path: string): boolean {
  return tensorsOf(path).has('lm_head.weight');
}

/** What is stored in blocks shows its numbers only where it is dequantized. */
async function checkDequantized(
  path: string,
  spared: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const file = openWeights(path);
  try {
    for (const info of file.tensors.values()) {
      const check = new FiniteCheck(path, [{ ...info, byteOffset: 0 }], spared);
      for (let at = 0; at < info.byteLength; at += dequantizedBytes) {
        // The core answers others in between.
        await nextTurn(undefined, { signal });
        check.read(file.readRange(info.name, at, Math.min(info.byteLength, at + dequantizedBytes)), at);
      }
    }
  } finally {
    file.close();
  }
}

const dequantizedBytes = 16 * 1024 * 1024;

/**
 * Copies a folder's model files, links as what they point to; complete or absent.
 * @throws StudioError disk_full before anything is written
 */
export async function copyModel(
  source: string,
  target: string,
  { onBytes, signal }: LongWork,
): Promise<void> {
  const names = modelFileNames(source);
  const total = names.reduce((sum, name) => sum + statSync(join(source, name)).size, 0);
  checkFreeSpace(dirname(target), total, 'The copy');
  const temporary = `${target}.partial`;
  mkdirSync(temporary, { recursive: true });
  let done = 0;
  try {
    for (const name of names) {
      const file = await open(join(temporary, name), 'wx');
      try {
        for await (const part of partsOfFile(join(source, name), signal, 'Adding the model')) {
          await writeAll(file, part);
          onBytes((done += part.length), total);
        }
        await file.sync();
      } finally {
        await file.close();
      }
    }
    syncFolder(temporary);
    await rename(temporary, target);
    syncFolder(dirname(target));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** What a model's folder says of itself now. A folder that is damaged or gone gives a card that says so. */
export async function readModelCard(model: Model, tokenizers: TokenizerThread): Promise<ModelCard> {
  const card: ModelCard = {
    unusable: model.unusable,
    licence: null,
    chatTemplate: null,
    files: [],
    bosId: null,
    eosId: null,
  };
  if (!existsSync(model.folder)) return card;
  const { folder } = model;
  try {
    Object.assign(card, { licence: readLicence(folder), chatTemplate: readChatTemplate(folder) });
    card.files = modelFileNames(folder).map((name) => ({
      name,
      sizeBytes: statSync(join(folder, name)).size,
    }));
    const { config } = readModel(folder);
    const tokenizer = await tokenizers.facts(model);
    checkTokenizer(tokenizer, config);
    return { ...card, bosId: tokenizer.bosId, eosId: tokenizer.eosId };
  } catch (error) {
    return { ...card, unusable: model.unusable ?? toPlainError(error) };
  }
}
