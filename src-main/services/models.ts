import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { baseParameters } from '../budget/modelShape.ts';
import type { Model } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { checkWeights } from '../formats/decoderWeights.ts';
import { readDecoderConfig } from '../formats/huggingFaceConfig.ts';
import { checkTokenizer, loadTokenizer } from '../formats/tokenizer.ts';
import { WeightFolder } from '../formats/weightFolder.ts';
import { listRuns } from '../store/runs.ts';
import { models } from '../store/library.ts';
import { freeName, missing, newId, type ServiceContext } from './context.ts';

export interface ModelService {
  list(): Model[];
  get(reference: string): Model;
  /** A name or id of the library, or a folder, which is then added in place. */
  getOrAdd(reference: string): Model;
  add(options: { folder: string; name?: string | undefined; copy: boolean }): Model;
  remove(reference: string): void;
}

export function createModelService(context: ServiceContext): ModelService {
  const { paths, database, emit } = context;

  const get = (reference: string): Model => {
    const found = models.find(database, reference);
    if (!found)
      throw missing(
        'model',
        reference,
        models.list(database).map(({ name }) => name),
      );
    return found;
  };

  const add: ModelService['add'] = ({ folder: given, name, copy }) => {
    const folder = resolve(given);
    const wish = name ?? basename(folder);
    const known = models.list(database);
    if (name !== undefined && known.some((model) => model.name === name))
      throw new StudioError('name_taken', `There is already a model "${name}".`, 'Choose another name.');
    const id = newId();
    const described = describe(folder, (done, total) =>
      emit({ type: 'progress', task: `model ${id}`, label: 'Hashing the weights', done, total }),
    );
    const same = known.find(
      (model) => model.folder === folder && model.contentHash === described.contentHash,
    );
    if (same && !copy && name === undefined) return same;
    const place = copy ? copyInto(folder, join(paths.models, id)) : folder;
    const model: Model = {
      id,
      name: freeName(wish, (candidate) => known.some((other) => other.name === candidate)),
      folder: place,
      copied: copy,
      ...described,
      unusable: null,
      createdAt: new Date().toISOString(),
    };
    models.insert(context.writable(), model);
    emit({ type: 'models.changed' });
    return model;
  };

  return {
    list: () => models.list(database),
    get,
    getOrAdd: (reference) =>
      models.find(database, reference) ??
      (existsSync(join(reference, 'config.json')) ? add({ folder: reference, copy: false }) : get(reference)),
    add,
    remove(reference) {
      const model = get(reference);
      const used = listRuns(database, context.project).filter((run) => run.modelId === model.id);
      if (used.length > 0)
        throw new StudioError(
          'config_invalid',
          `The model "${model.name}" is used by ${used.length} runs, for example "${used[0]!.name}".`,
          'Remove these runs first.',
        );
      models.remove(context.writable(), model.id);
      if (model.copied) rmSync(model.folder, { recursive: true, force: true });
      emit({ type: 'models.changed' });
    },
  };
}

/**
 * Reads and checks a Hugging Face folder: configuration, every tensor's name and shape, tokenizer.
 * @throws StudioError model_invalid, model_unsupported, tokenizer_mismatch, not_found
 */
function describe(folder: string, onProgress: (done: number, total: number) => void) {
  const weights = new WeightFolder(folder);
  try {
    const config = readDecoderConfig(folder);
    checkWeights(config, weights);
    checkTokenizer(loadTokenizer(folder), config);
    return {
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
      contentHash: weights.contentHash(onProgress),
    };
  } finally {
    weights.close();
  }
}

/** Copies the folder's model files; complete or absent. */
function copyInto(source: string, target: string): string {
  const temporary = `${target}.partial`;
  mkdirSync(temporary, { recursive: true });
  try {
    cpSync(source, temporary, {
      recursive: true,
      dereference: true,
      filter: (path) => path === source || /\.(json|safetensors|jinja|model|txt|md)$/i.test(path),
    });
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return target;
}
