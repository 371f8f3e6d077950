import type { Dataset, Model, Run } from '../../contract/entities.ts';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import type { DatasetService } from '../data/datasets.ts';
import type { ModelService } from '../models/models.ts';

/** The libraries in which a run's model and dataset are. */
interface Libraries {
  models: ModelService;
  datasets: DatasetService;
}

/**
 * What a run trains.
 * @throws StudioError not_found where its model or dataset is gone; as the model says where that cannot be used (any
 * more)
 */
export function partsOf(run: Run, { models, datasets }: Libraries): { model: Model; dataset: Dataset } {
  const model = models.list().find(({ id }) => id === run.modelId);
  if (!model) throw gone(run, 'model', run.modelName);
  if (model.unusable) throw StudioError.fromPlain(model.unusable);
  const dataset = datasets.list().find(({ id }) => id === run.datasetId);
  if (!dataset) throw gone(run, 'dataset', run.datasetName);
  return { model, dataset };
}

/** Brings back a model and a dataset that were removed after the run: before, it kept them from being removed. */
export function bringBackParts(run: Run, { models, datasets }: Libraries): void {
  const parts = [
    { library: models, id: run.modelId },
    { library: datasets, id: run.datasetId },
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

function gone(run: Run, kind: 'model' | 'dataset', name: string): StudioError {
  return new StudioError(
    'not_found',
    `The ${kind} “${name}” of the run “${run.name}” was deleted: without it the run cannot go on.`,
    `Take its deletion back while that is offered; else add the ${kind} again and start a new run with this one’s configuration.`,
  );
}
