import {
  mixSchema,
  type Mix,
  type MixCount,
  type MixedRow,
  type MixRecipe,
  type MixSource,
} from '../../contract/mixing/mixes.ts';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { findMix, insertMix, listAllMixes, listMixes, updateMix } from '../../store/mixes.ts';
import { missing, newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { ModelService } from '../models/models.ts';
import { endProgress } from '../progress.ts';
import { countMix, countSteps, sampleMix, type CountedMix, type CountOptions } from './countMix.ts';
import { keepingRowReader } from './planMix.ts';
import { ofRecipe, trainingSourceOrFile, type TrainingSource } from './trainingSources.ts';

/** What is counted: a recipe, the model whose tokenizer counts (null: rows alone), and the training around it. */
export interface CountRequest {
  recipe: MixRecipe;
  model: string | null;
  options: CountOptions;
}

export interface MixService {
  /** Of the open project, by name. */
  list(): Mix[];
  get(reference: string): Mix;
  /** @throws StudioError name_taken; not_found for a source that is gone; config_invalid for a mix within itself */
  create(given: { name: string; recipe: MixRecipe; model: string | null }): Mix;
  /** Runs keep the mix as it was when they were made. */
  update(
    reference: string,
    change: {
      name?: string | undefined;
      recipe?: MixRecipe | undefined;
      model?: string | null | undefined;
    },
  ): Mix;
  /** Removes it; for a minute it can be restored. @throws StudioError in_use where other mixes contain it */
  remove(reference: string): void;
  restore(id: string): Mix;
  /** The dataset or mix that has a name, or the dataset of a file, which is then imported. */
  sourceOf(reference: string): Promise<Pick<MixSource, 'kind' | 'id'>>;
  /** The table "asked | got" of one pass; progress of the task `mix count`. */
  count(request: CountRequest, signal: AbortSignal): Promise<MixCount>;
  /**
   * Optimizer steps of so many passes, exactly as many as a run takes; progress as with `count`.
   * @throws StudioError usage where packed rows are to be counted without a model
   */
  steps(request: CountRequest, signal: AbortSignal): Promise<number>;
  /** Rows of the pass in their order. */
  sample(
    request: CountRequest & { offset: number; limit: number },
    signal: AbortSignal,
  ): Promise<{ rows: MixedRow[]; total: number }>;
}

export function createMixService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): MixService {
  const { database, emit, trash } = context;
  const read = keepingRowReader();
  const known = new Map<string, string>();
  trash.ofKind('mixes', () => undefined);

  const get = (reference: string): Mix => {
    const found = findMix(database, context.project, reference);
    if (found) return found;
    throw missing(
      'mix',
      reference,
      listMixes(database, context.project).map(({ name }) => name),
    );
  };
  const refuseTaken = (name: string, id?: string): void => {
    const other = findMix(database, context.project, name);
    if ((other && other.id !== id) || datasets.list().some((dataset: Dataset) => dataset.name === name))
      throw new StudioError(
        'name_taken',
        `There is already a ${other ? 'mix' : 'dataset'} "${name}".`,
        'Choose another name: both are what a run trains on.',
      );
  };
  const resolved = (recipe: MixRecipe, mix: { id: string; name: string }): TrainingSource =>
    ofRecipe(context, { ...mix, recipe });
  const modelId = (model: string | null) => (model === null ? null : models.get(model).id);

  async function counted(
    { recipe, model: reference, options }: CountRequest,
    signal: AbortSignal,
  ): Promise<{ source: TrainingSource; counted: CountedMix }> {
    const source = resolved(recipe, { id: 'recipe', name: 'the mix' });
    const model = reference === null ? null : await models.use(reference, signal);
    const task = 'mix count';
    try {
      const result = await countMix(context, source.node, model, options, {
        read,
        known,
        signal,
        onRows: (done, total) =>
          emit({ type: 'progress', task, label: 'Tokenizing the sources', done, total }),
      });
      return { source, counted: result };
    } finally {
      endProgress(context, task);
    }
  }

  return {
    list: () => listMixes(database, context.project),
    get,
    create({ name, recipe, model }) {
      refuseTaken(name);
      const id = newId();
      resolved(recipe, { id, name });
      const mix: Mix = {
        ...recipe,
        id,
        project: context.project,
        name,
        modelId: modelId(model),
        createdAt: new Date().toISOString(),
      };
      insertMix(context.writable(), mix);
      emit({ type: 'mixes.changed' });
      return mix;
    },
    update(reference, { name, recipe, model }) {
      const mix = get(reference);
      if (name !== undefined) refuseTaken(name, mix.id);
      if (recipe) resolved(recipe, mix);
      const changed = mixSchema.parse({
        ...mix,
        ...recipe,
        name: name ?? mix.name,
        modelId: model === undefined ? mix.modelId : modelId(model),
      });
      updateMix(context.writable(), changed);
      emit({ type: 'mixes.changed' });
      return changed;
    },
    remove(reference) {
      const mix = get(reference);
      const others = listAllMixes(database).filter(({ sources }) => sources.some(({ id }) => id === mix.id));
      if (others.length > 0)
        throw new StudioError(
          'in_use',
          `The mix "${mix.name}" is a source of ${others.length === 1 ? 'the mix' : 'other mixes, for example'} "${others[0]!.name}".`,
          'Take it out there first.',
        );
      trash.put('mixes', mix.id);
      emit({ type: 'mixes.changed' });
    },
    restore(id) {
      trash.restore(
        'mixes',
        id,
        (name, entity) => findMix(database, mixSchema.parse(entity).project, name) !== null,
      );
      emit({ type: 'mixes.changed' });
      return get(id);
    },
    async sourceOf(reference) {
      const { id, mix } = await trainingSourceOrFile(context, datasets, reference);
      return { kind: mix ? 'mix' : 'dataset', id };
    },
    count: async (request, signal) => (await counted(request, signal)).counted.count,
    async steps(request, signal) {
      if (request.model === null && request.options.packing)
        throw new StudioError(
          'usage',
          'How many steps packed rows take depends on their tokens, which a model’s tokenizer counts.',
          'Name a model.',
        );
      const { counted: mix } = await counted(request, signal);
      return countSteps(mix, request.options, signal);
    },
    async sample({ offset, limit, ...request }, signal) {
      const { source, counted: mix } = await counted(request, signal);
      return { rows: await sampleMix(context, source.node, mix, { offset, limit }), total: mix.count.rows };
    },
  };
}

/** What callers ask of them. */
export const mixHandlers = (mixes: MixService) =>
  ({
    'mixes.list': () => mixes.list(),
    'mixes.get': ({ mix }) => mixes.get(mix),
    'mixes.create': (input) => mixes.create(input),
    'mixes.update': ({ mix, ...change }) => mixes.update(mix, change),
    'mixes.remove': ({ mix }) => {
      mixes.remove(mix);
      return {};
    },
    'mixes.restore': ({ mix }) => mixes.restore(mix),
    'mixes.count': (input, { signal }) => mixes.count(input, signal),
    'mixes.steps': async (input, { signal }) => ({ steps: await mixes.steps(input, signal) }),
    'mixes.sample': (input, { signal }) => mixes.sample(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
