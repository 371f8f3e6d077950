import type { Model, Run } from '../../contract/entities.ts';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import { snapshotDatasets } from '../../contract/mixing/mixes.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { sourceOfRun, type TrainingSource } from '../mixes/trainingSources.ts';
import type { ModelService } from '../models/models.ts';

/** The libraries in which a run's model and datasets are. */
interface Libraries {
  context: ServiceContext;
  models: ModelService;
  datasets: DatasetService;
}

/**
 * What a run trains.
 * @throws StudioError not_found where its model or a dataset is gone; as the model says where that cannot be used (any
 * more); config_invalid for a run that was trained elsewhere
 */
export function partsOf(
  run: Run,
  { context, models }: Pick<Libraries, 'context' | 'models'>,
): { model: Model; source: TrainingSource } {
  refuseImported(run);
  const model = models.list().find(({ id }) => id === run.modelId);
  if (!model)
    throw new StudioError(
      'not_found',
      `The model “${run.modelName}” of the run “${run.name}” was deleted: without it the run cannot go on.`,
      'Take its deletion back while that is offered; else add the model again and start a new run with this one’s configuration.',
    );
  if (model.unusable) throw StudioError.fromPlain(model.unusable);
  return { model, source: sourceOfRun(context, run) };
}

/** Brings back a model and datasets that were removed after the run: before, it kept them from being removed. */
export function bringBackParts(run: Run, { models, datasets }: Pick<Libraries, 'models' | 'datasets'>): void {
  const parts = [
    { library: models, id: run.modelId },
    ...(run.mix ? snapshotDatasets(run.mix) : run.datasetId === null ? [] : [run.datasetId]).map((id) => ({
      library: datasets,
      id,
    })),
  ];
  for (const { library, id } of parts) {
    if (library.list().some((entry) => entry.id === id)) continue;
    try {
      library.restore(id);
    } catch (error) {
      // What is gone for good keeps nobody from looking at the run; whoever wants it to go on is told.
      if (toPlainError(error).code !== 'not_found') throw error;
    }
  }
}

/**
 * Refuses to go on with a run that was trained elsewhere: its optimizer's state, its rows and its rates are not here.
 * @throws StudioError config_invalid
 */
export function refuseImported({ name, imported, trainedElsewhere, config }: Run): void {
  if (trainedElsewhere)
    throw new StudioError(
      'config_invalid',
      `The run "${name}" was trained elsewhere: its optimizer's state is not here, and it cannot go on.`,
      config.adapter.method === 'full'
        ? 'Export the model that it reached, add that to the library, and train it on.'
        : `Start a run that trains its adapter on: train --from ${name} --data D.`,
    );
  if (!imported) return;
  throw new StudioError(
    'config_invalid',
    `The adapter "${name}" was trained elsewhere: neither its optimizer's state nor its rows are here.`,
    `Start a run that trains it on, with data of your choice: train --from ${name} --data D.`,
  );
}
