import {
  datasetRecipe,
  mixRecipeSchema,
  type MixRecipe,
  type MixSnapshot,
} from '../../contract/mixing/mixes.ts';
import type { Dataset, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { renderingOf, type RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { datasets as datasetTable } from '../../store/library.ts';
import { findMix, listMixes } from '../../store/mixes.ts';
import { missing, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { RenderedAs } from '../data/rowLengths.ts';
import { mixLeaves, mixTree, snapshotOf, type MixNode } from './mixTree.ts';

/** What a run is trained on: a dataset, or a mix. */
export interface TrainingSource {
  id: string;
  name: string;
  /** Null: a dataset, each row once. */
  mix: MixSnapshot | null;
  node: MixNode;
}

type Place = Pick<ServiceContext, 'database' | 'project'>;

/**
 * Finds what is to be trained on by id or name: a mix of the project, or a dataset of the library.
 * @throws StudioError not_found; usage where both have the name
 */
export function trainingSource(place: Place, reference: string): TrainingSource {
  const source = findSource(place, reference);
  if (source) return source;
  throw missing('dataset or mix', reference, [
    ...datasetTable.list(place.database).map(({ name }) => name),
    ...listMixes(place.database, place.project).map(({ name }) => name),
  ]);
}

/** As `trainingSource`, and a file that is named is imported. */
export async function trainingSourceOrFile(
  place: Place,
  datasets: DatasetService,
  reference: string,
): Promise<TrainingSource> {
  return findSource(place, reference) ?? ofDataset(await datasets.getOrAdd(reference));
}

/**
 * What a run was made for: of a mix, as it was then.
 * @throws StudioError not_found where a dataset of it is gone, or where it was trained elsewhere
 */
export function sourceOfRun(
  place: Pick<Place, 'database'>,
  run: Pick<Run, 'name' | 'datasetId' | 'datasetName' | 'mix'>,
): TrainingSource {
  const { datasetId: id, datasetName: name, mix } = run;
  if (id === null)
    throw new StudioError(
      'not_found',
      `The run "${run.name}" was trained elsewhere: the rows that it was trained on are not known here.`,
      'Choose a dataset, or give a file.',
    );
  const dataset = (wanted: string) =>
    datasetTable.find(place.database, wanted) ?? goneOfRun(run, mix ? wanted : name);
  if (!mix) return ofDataset(dataset(id));
  return ofSnapshot({ id, name, mix }, dataset);
}

/** A dataset alone, each row once. */
export function ofDataset(dataset: Dataset): TrainingSource {
  const { id, name } = dataset;
  const snapshot = { recipe: datasetRecipe({ id, split: 'train' }), inner: {} };
  return { ...ofSnapshot({ id, name, mix: snapshot }, () => dataset), mix: null };
}

/** What a recipe stands for now, with the mixes in it. @throws StudioError not_found, config_invalid */
export function ofRecipe(
  place: Place,
  given: { id: string; name: string; recipe: MixRecipe },
): TrainingSource {
  const { id, name, recipe } = given;
  const gone = (kind: string, wanted: string): never => {
    throw new StudioError(
      'not_found',
      `A ${kind} of the mix "${name}" is gone (${wanted}).`,
      'Open the mix and choose its sources anew.',
    );
  };
  const mix = snapshotOf(recipe, (wanted) => {
    const found = findMix(place.database, place.project, wanted) ?? gone('mix', wanted);
    return { name: found.name, recipe: mixRecipeSchema.parse(found) };
  });
  return ofSnapshot(
    { id, name, mix },
    (wanted) => datasetTable.find(place.database, wanted) ?? gone('dataset', wanted),
  );
}

/**
 * The rows of the datasets of a source, one dataset after the other, each with how it is rendered.
 * @param options of the run; absent: as usual
 */
export async function* rowsOfSource(
  datasets: Pick<DatasetService, 'read'>,
  { node }: Pick<TrainingSource, 'node'>,
  options?: RenderingOptions,
): AsyncGenerator<RenderedAs> {
  for (const { dataset, split } of mixLeaves(node)) {
    const rendering = renderingOf(dataset, options);
    for await (const { row } of datasets.read(dataset, { split })) yield { row, rendering };
  }
}

/** Null where there is none. */
function findSource(place: Place, reference: string): TrainingSource | null {
  const dataset = datasetTable.find(place.database, reference);
  const mix = findMix(place.database, place.project, reference);
  if (dataset && mix && mix.id !== reference && dataset.id !== reference)
    throw new StudioError(
      'usage',
      `Both a dataset and a mix are called "${reference}".`,
      `Rename one of them, or give an id: ${dataset.id} (dataset), ${mix.id} (mix).`,
    );
  if (dataset && mix?.id !== reference) return ofDataset(dataset);
  return mix && ofRecipe(place, { id: mix.id, name: mix.name, recipe: mixRecipeSchema.parse(mix) });
}

function ofSnapshot(
  { id, name, mix }: { id: string; name: string; mix: MixSnapshot },
  dataset: (id: string) => Dataset,
): TrainingSource {
  const node = mixTree(mix.recipe, { dataset, mix: (inner) => mix.inner[inner]! }, [id]);
  return { id, name, mix, node };
}

function goneOfRun(run: Pick<Run, 'name'>, name: string): never {
  throw new StudioError(
    'not_found',
    `The dataset “${name}” of the run “${run.name}” was deleted: without it the run cannot go on.`,
    `Take its deletion back while that is offered; else add the dataset again and start a new run with this one’s configuration.`,
  );
}
