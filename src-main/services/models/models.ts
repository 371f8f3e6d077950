import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type Model, modelSchema } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type {
  ModelCache,
  ModelCard,
  ModelRemoval,
  ModelStorage,
  Tensor,
  TensorHistogram,
  TokenPiece,
} from '../../contract/modelLibrary.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { syncFolder } from '../../formats/files/atomicFile.ts';
import { createIdentityReader, weightStamp } from '../../formats/model/identity.ts';
import { models } from '../../store/library.ts';
import { checkTokenizer } from '../../formats/model/tokenizer.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { byteProgress, endProgress } from '../progress.ts';
import { freeName, missing, newId, type ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { cancelled, filesIn, freeBytes, totalBytes } from '../machine/disk.ts';
import { listRecords, presentBytes } from './downloads/downloadRecord.ts';
import { listModelCache } from './modelCache.ts';
import { cacheOrigin, findModelFolder } from './findModelFolder.ts';
import { ggufFileOf, makeGgufFolder, standsFor } from './ggufModel.ts';
import {
  copyModel,
  hashWeights,
  isSameModel,
  readModel,
  readModelCard,
  type LongWork,
} from './modelImport.ts';
import type { HistogramAnswer, HistogramRequest } from './histogramWorker.ts';
import { createTokenizerThread } from '../tokenizer/tokenizerThread.ts';
import { listAllRuns } from '../../store/runs.ts';

export interface ModelService {
  list(): Model[];
  get(reference: string): Model;
  /**
   * A model as its folder is now, to be used: what was changed there since it was last used is read again, the weights
   * only where a file of theirs was written anew.
   * @throws StudioError as `add` does, where it can no longer be used
   */
  use(reference: string, signal?: AbortSignal): Promise<Model>;
  /** The same of a name or id of the library, or a folder, which is then added in place. */
  getOrAdd(reference: string): Promise<Model>;
  /** @throws StudioError for what is no usable model; nothing half-written stays */
  add(
    options: { folder: string; name?: string | undefined; copy: boolean },
    signal?: AbortSignal,
  ): Promise<Model>;
  /**
   * Takes a complete folder that the studio itself has made on the disk of its models: checks it, moves it to its place
   * there, and enters it.
   * @param options.id of the new model, which names its place
   * @param options.name wished; null: that of the repository
   * @param task under which progress is told
   */
  adopt(
    options: { id: string; folder: string; name: string | null; origin: NonNullable<Model['origin']> },
    task: string,
    signal: AbortSignal,
  ): Promise<Model>;
  /** Snapshots of the Hugging Face cache. */
  cache(): Promise<ModelCache>;
  card(reference: string): Promise<ModelCard>;
  tokenize(reference: string, text: string, specialTokens: boolean): Promise<TokenPiece[]>;
  tensors(reference: string): Tensor[];
  histogram(reference: string, tensor: string, signal: AbortSignal): Promise<TensorHistogram>;
  storage(): Promise<ModelStorage>;
  removal(reference: string): Promise<ModelRemoval>;
  /** @throws StudioError in_use where runs need it */
  remove(reference: string): void;
  /** Brings back a model that was removed less than a minute ago. */
  restore(id: string): Model;
  /** Clears what a process left behind that died while it copied. */
  recover(): void;
  close(): void;
}

export function createModelService(context: ServiceContext): ModelService {
  const { paths, database, emit } = context;
  const tokenizers = createTokenizerThread();
  const identities = createIdentityReader();

  const isThere = ({ folder }: Model) => existsSync(join(folder, 'config.json'));

  /** A folder that was used in place may have been moved or deleted since. */
  const withState = (model: Model): Model =>
    model.unusable || isThere(model)
      ? model
      : {
          ...model,
          unusable: {
            code: 'not_found',
            message: `Its folder ${model.folder} is no longer there.`,
            remedy: 'Put the folder back, or add it from where it lies now: its runs then go on with that.',
          },
        };

  const get = (reference: string): Model => {
    const found = models.find(database, reference);
    if (!found)
      throw missing(
        'model',
        reference,
        models.list(database).map(({ name }) => name),
      );
    return withState(found);
  };

  /** Runs of all projects that were trained on it. */
  const runsOf = (model: Model) =>
    listAllRuns(database)
      .filter(({ modelId }) => modelId === model.id)
      .map(({ id, name, project }) => ({ id, name, project }));

  const isTaken = (name: string) => models.list(database).some((other) => other.name === name);

  /**
   * All of a folder that can be known without hashing its weights. @throws StudioError as `readModel` does;
   * tokenizer_mismatch
   */
  const check = async (folder: string) => {
    const { config, ...facts } = readModel(folder);
    checkTokenizer(await tokenizers.facts({ name: basename(folder), folder }), config);
    return facts;
  };

  /**
   * A new entry. Where a model's folder has gone and this is the same model, its entry moves here instead: its runs go
   * on.
   * @param wish its name, or the next that is free; null: the one that it had, else `usual`
   */
  const enter = (
    described: Omit<Model, 'name' | 'unusable' | 'createdAt'>,
    { wish, usual }: { wish: string | null; usual: string },
  ): Model => {
    const lost = models.list(database).find((known) => !isThere(known) && isSameModel(known, described));
    const name = lost && (wish ?? lost.name) === lost.name ? lost.name : freeName(wish ?? usual, isTaken);
    const model: Model = lost
      ? { ...lost, ...described, id: lost.id, name }
      : { ...described, name, unusable: null, createdAt: new Date().toISOString() };
    models[lost ? 'update' : 'insert'](context.writable(), model);
    emit({ type: 'models.changed' });
    return model;
  };

  /** What is known of a folder besides its facts, once its weights are hashed. */
  const identified = (folder: string, contentHash: string, stamp: string) => ({
    contentHash,
    identity: identities.read(folder, contentHash),
    weightStamp: stamp,
  });

  /** Checks a complete folder of the studio's own, moves it to its place, and enters it. */
  const enterPlaced = async (
    folder: string,
    { id, origin, wish, usual }: Pick<Model, 'id' | 'origin'> & { wish: string | null; usual: string },
    work: LongWork,
  ): Promise<Model> => {
    const { weightPaths, ...facts } = await check(folder);
    const contentHash = await hashWeights(weightPaths, work);
    const place = join(paths.models, id);
    if (folder !== place) {
      renameSync(folder, place);
      syncFolder(paths.models);
    }
    const state = identified(place, contentHash, weightStamp(place));
    return enter({ id, folder: place, copied: true, origin, ...facts, ...state }, { wish, usual });
  };

  const use: ModelService['use'] = async (reference, signal = new AbortController().signal) => {
    const model = get(reference);
    if (model.unusable) throw StudioError.fromPlain(model.unusable);
    const { id, folder } = model;
    const stamp = weightStamp(folder);
    const areWeightsSame = stamp === model.weightStamp;
    if (areWeightsSame && isDeepStrictEqual(identities.read(folder, model.contentHash), model.identity))
      return model;
    const { weightPaths, ...facts } = await check(folder);
    const task = `model ${id}`;
    const work = { signal, onBytes: byteProgress(context, task, 'Hashing the weights') };
    const hashed = async () => {
      try {
        return await hashWeights(weightPaths, work);
      } finally {
        endProgress(context, task);
      }
    };
    const contentHash = areWeightsSame ? model.contentHash : await hashed();
    const changed: Model = { ...model, ...facts, ...identified(folder, contentHash, stamp) };
    models.update(context.writable(), changed);
    emit({ type: 'models.changed' });
    return changed;
  };

  const add: ModelService['add'] = async (
    { folder: given, name, copy },
    signal = new AbortController().signal,
  ) => {
    context.writable();
    const file = ggufFileOf(given);
    const folder = file === null ? findModelFolder(given) : dirname(file);
    const checkName = () => {
      if (name !== undefined && isTaken(name))
        throw new StudioError('name_taken', `There is already a model "${name}".`, 'Choose another name.');
    };
    checkName();
    const known = models
      .list(database)
      .find((model) =>
        file === null ? model.folder === folder && !model.copied : standsFor(model.folder, file),
      );
    if (known && !copy && name === undefined) return use(known.id, signal);
    const id = newId();
    const task = `model ${id}`;
    const work = (label: string) => ({ signal, onBytes: byteProgress(context, task, label) });
    if (file !== null)
      try {
        const place = join(paths.models, id);
        await makeGgufFolder(file, place, { copy, work: work('Copying the model') });
        const usual = basename(file).replace(/\.gguf$/i, '');
        return await enterPlaced(
          place,
          { id, origin: null, wish: name ?? null, usual },
          work('Hashing the weights'),
        );
      } catch (error) {
        rmSync(join(paths.models, id), { recursive: true, force: true });
        throw error;
      } finally {
        endProgress(context, task);
      }
    const { weightPaths, ...facts } = await check(folder);
    const place = copy ? join(paths.models, id) : folder;
    const origin = cacheOrigin(folder);
    try {
      const stamp = weightStamp(folder);
      const contentHash = await hashWeights(weightPaths, work('Hashing the weights'));
      if (copy) await copyModel(folder, place, work('Copying the model'));
      checkName();
      const state = identified(place, contentHash, copy ? weightStamp(place) : stamp);
      return enter(
        { id, folder: place, copied: copy, origin, ...facts, ...state },
        { wish: name ?? null, usual: basename(origin?.repository ?? folder) },
      );
    } catch (error) {
      if (copy) rmSync(place, { recursive: true, force: true });
      throw error;
    } finally {
      endProgress(context, task);
    }
  };

  context.trash.ofKind('models', (entity) => {
    const { copied, folder } = modelSchema.parse(entity);
    if (copied) rmSync(folder, { recursive: true, force: true });
  });

  return {
    list: () => models.list(database).map(withState),
    get,
    use,
    getOrAdd: async (reference) =>
      models.find(database, reference) === null && existsSync(typedPath(reference))
        ? add({ folder: reference, copy: false })
        : use(reference),
    add,
    async adopt({ id, folder, name, origin }, task, signal) {
      const onBytes = byteProgress(context, task, 'Checking the weights');
      const described = { id, origin, wish: name, usual: basename(origin.repository) };
      return enterPlaced(folder, described, { signal, onBytes });
    },
    cache: () => listModelCache(models.list(database)),
    card: async (reference) => readModelCard(get(reference), tokenizers),
    tokenize: async (reference, text, specialTokens) =>
      tokenizers.tokenize(get(reference), text, specialTokens),
    tensors(reference) {
      const weights = new WeightFolder(get(reference).folder);
      try {
        return weights.names.map((name) => {
          const { dtype, shape } = weights.info(name)!;
          return { name, dtype, shape: [...shape] };
        });
      } finally {
        weights.close();
      }
    },
    histogram: async (reference, tensor, signal) =>
      histogramOf({ folder: get(reference).folder, tensor }, signal),
    async storage() {
      const copied = models.list(database).filter(({ copied }) => copied);
      const files = await Promise.all(copied.map(({ folder }) => filesIn(folder)));
      const downloads = listRecords(paths.models).records;
      return {
        folder: paths.models,
        modelsBytes: totalBytes(files.flat()),
        unfinishedBytes: downloads.reduce((sum, record) => sum + presentBytes(paths.models, record), 0),
        freeBytes: freeBytes(paths.models),
        machineMemoryBytes: totalmem(),
      };
    },
    async removal(reference) {
      const model = get(reference);
      const files = model.copied ? await filesIn(model.folder) : [];
      const use = { folder: model.folder, sizeBytes: totalBytes(files), files: files.length };
      return {
        deletes: model.copied ? use : null,
        keeps: model.copied ? null : model.folder,
        runs: runsOf(model),
      };
    },
    remove(reference) {
      const model = get(reference);
      const used = runsOf(model);
      if (used.length > 0)
        throw new StudioError(
          'in_use',
          `The model "${model.name}" is used by ${used.length} runs, for example "${used[0]!.name}" of the project "${used[0]!.project}".`,
          'Remove these runs first.',
        );
      context.trash.put('models', model.id);
      emit({ type: 'models.changed' });
    },
    close: () => tokenizers.close(),
    restore(id) {
      context.trash.restore('models', id, isTaken);
      emit({ type: 'models.changed' });
      return get(id);
    },
    recover() {
      if (!existsSync(paths.models)) return;
      for (const name of readdirSync(paths.models))
        if (name.endsWith('.partial')) rmSync(join(paths.models, name), { recursive: true, force: true });
    },
  };
}

/** What callers ask of them. */
export const modelHandlers = (models: ModelService) =>
  ({
    'models.list': () => models.list(),
    'models.get': ({ model }) => models.get(model),
    'models.add': (input, { signal }) => models.add(input, signal),
    'models.cache': () => models.cache(),
    'models.card': ({ model }) => models.card(model),
    'models.tokenize': ({ model, text, specialTokens }) => models.tokenize(model, text, specialTokens),
    'models.tensors': ({ model }) => models.tensors(model),
    'models.histogram': ({ model, tensor }, { signal }) => models.histogram(model, tensor, signal),
    'models.storage': () => models.storage(),
    'models.removal': ({ model }) => models.removal(model),
    'models.restore': ({ model }) => models.restore(model),
    'models.remove': ({ model }) => {
      models.remove(model);
      return {};
    },
  }) satisfies Partial<ProcedureHandlers>;

/**
 * Counts a tensor's values in a thread of its own: an embedding has gigabytes.
 * @throws StudioError not_found, model_invalid, cancelled
 */
async function histogramOf(request: HistogramRequest, signal: AbortSignal): Promise<TensorHistogram> {
  const worker = new Worker(new URL('./histogramWorker.ts', import.meta.url), { workerData: request });
  worker.unref();
  try {
    const answer = await new Promise<HistogramAnswer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      const stop = () => reject(cancelled('Reading the weights'));
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
    });
    if (answer.error) throw StudioError.fromPlain(answer.error);
    return answer.histogram;
  } finally {
    await worker.terminate();
  }
}
