import { checkTraining } from '../budget/check.ts';
import { modelTargets } from '../budget/targets.ts';
import type { Dataset, Model, Run } from '../contract/entities.ts';
import type { TrainConfig } from '../contract/training.ts';
import { readDecoderConfig } from '../formats/huggingFaceConfig.ts';
import { newId } from './context.ts';

/**
 * A run of a model on a dataset, whose adapter names the modules as the model does.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function plannedRun(given: {
  name: string;
  project: string;
  model: Model;
  dataset: Dataset;
  config: TrainConfig;
}): Run {
  const { name, project, model, dataset, config } = given;
  const decoder = readDecoderConfig(model.folder);
  checkTraining(decoder, config);
  const targets = modelTargets(decoder, config.adapter.targets);
  return newRun({
    ...{ name, project, modelId: model.id, modelName: model.name },
    ...{ datasetId: dataset.id, datasetName: dataset.name },
    config: { ...config, adapter: { ...config.adapter, targets } },
  });
}

/** A run that has not had its turn yet. */
export function newRun(
  given: Pick<Run, 'name' | 'project' | 'modelId' | 'modelName' | 'datasetId' | 'datasetName' | 'config'>,
): Run {
  return {
    id: newId(),
    ...given,
    state: 'queued',
    trainable: null,
    frozenExtra: null,
    step: 0,
    totalSteps: null,
    lastLoss: null,
    lastHeldOutLoss: null,
    best: null,
    skippedSteps: 0,
    endReason: null,
    dataContract: null,
    environment: null,
    forecast: null,
    measured: null,
    error: null,
    resumable: false,
    parent: null,
    createdAt: new Date().toISOString(),
    startedAt: null,
    endedAt: null,
    notes: '',
    tags: [],
  };
}
