import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { baseParameters } from '../../shape/modelShape.ts';
import type { Model } from '../../contract/entities.ts';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import { syncFolder } from '../../formats/files/atomicFile.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { changedParts } from '../../formats/model/identity.ts';
import { modelFileNames } from '../../formats/model/modelFiles.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { typedPath } from '../homePaths.ts';
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
  const weights = new WeightFolder(folder);
  try {
    const config = readDecoderConfig(folder);
    checkWeights(config, weights);
    return {
      config,
      weightPaths: weights.paths,
      family: config.family,
      parameters: baseParameters(config),
      dtype: weights.info('model.embed_tokens.weight')!.dtype,
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
 * core.
 */
export async function hashFiles(paths: readonly string[], { onBytes, signal }: LongWork): Promise<string> {
  const hash = createHash('sha256');
  const total = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  let done = 0;
  for (const path of paths)
    for await (const part of partsOfFile(path, signal, 'Adding the model')) {
      hash.update(part);
      onBytes((done += part.length), total);
    }
  return hash.digest('hex');
}

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

/** The repository and commit that a snapshot of the Hugging Face cache belongs to; null elsewhere. */
export function cacheOrigin(folder: string): { repository: string; commit: string } | null {
  const [commit, snapshots, repository] = [
    basename(folder),
    basename(dirname(folder)),
    basename(dirname(dirname(folder))),
  ];
  if (snapshots !== 'snapshots' || !repository.startsWith('models--')) return null;
  return { repository: repository.slice('models--'.length).replaceAll('--', '/'), commit };
}

/**
 * The model folder that a person means: the folder itself, or of a repository of the Hugging Face cache its main
 * snapshot.
 * @throws StudioError not_found, or model_invalid with what lies there instead of a model
 */
export function findModelFolder(given: string): string {
  const folder = typedPath(given);
  const stats = statSync(folder, { throwIfNoEntry: false });
  if (!stats)
    throw new StudioError(
      'not_found',
      `There is no folder ${folder}.`,
      'Check the path; it must lie on the machine that the studio runs on.',
    );
  if (!stats.isDirectory())
    throw new StudioError(
      'model_invalid',
      `${folder} is a file, not a model folder.`,
      folder.endsWith('.gguf')
        ? 'GGUF files cannot be trained: choose the folder of the same model in safetensors format.'
        : 'Choose the folder that holds config.json, the *.safetensors files and tokenizer.json.',
    );
  if (existsSync(join(folder, 'config.json'))) return folder;
  const main = mainSnapshot(folder);
  if (main) return main;
  const names = readdirSync(folder);
  const inner = names.filter((name) => existsSync(join(folder, name, 'config.json')));
  const has =
    names.length === 0
      ? 'is empty'
      : `has no config.json (it holds ${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''})`;
  throw new StudioError(
    'model_invalid',
    `${folder} holds no model: it ${has}. A model folder has config.json, model.safetensors (or shards with their index) and tokenizer.json.`,
    inner.length > 0
      ? `Choose a folder inside it: ${inner.slice(0, 3).join(', ')}${inner.length > 3 ? ' …' : '.'}`
      : names.some((name) => name.endsWith('.gguf'))
        ? 'GGUF files cannot be trained: choose the same model in safetensors format.'
        : 'Choose the folder that the model was downloaded or saved to.',
  );
}

function mainSnapshot(folder: string): string | null {
  if (!basename(folder).startsWith('models--')) return null;
  const ref = join(folder, 'refs', 'main');
  if (!existsSync(ref)) return null;
  const commit = readFileSync(ref, 'utf8').trim();
  const snapshot = join(folder, 'snapshots', commit);
  return /^[0-9a-f]{40}$/.test(commit) && existsSync(join(snapshot, 'config.json')) ? snapshot : null;
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
