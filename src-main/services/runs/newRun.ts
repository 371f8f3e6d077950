import { checkTraining } from '../../options/checkAdapter.ts';
import { fittingContext, heldOutCount, stepCount } from '../../options/lengths.ts';
import { checkSchedule } from '../../options/schedule.ts';
import { modelTargets } from '../../shape/targets.ts';
import type { Model, Run } from '../../contract/entities.ts';
import { countRows, trainingRefusal } from '../../contract/datasets/parts.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import type { StartRequest } from './startFrom.ts';
import { newId } from '../context.ts';
import { mixLeaves } from '../mixes/mixTree.ts';
import type { TrainingSource } from '../mixes/trainingSources.ts';

/** What a person asks for. */
export interface RunRequest {
  name: string;
  model: string;
  dataset: string;
  config: TrainConfig;
  /** The adapter that it trains on; absent: a fresh one. */
  from?: StartRequest | undefined;
  force?: boolean;
}

/**
 * A run of a model on a dataset, whose adapter names the modules as the model does, and whose context is no longer than
 * the model's.
 * @throws StudioError config_invalid with the nearest possible values; dataset_invalid where it has no training data
 */
export function plannedRun(given: {
  name: string;
  project: string;
  model: Model;
  source: TrainingSource;
  config: TrainConfig;
}): Run {
  const { name, project, model, source, config } = given;
  const decoder = readDecoderConfig(model.folder);
  checkTraining(decoder, config);
  // Rows that do not fit are dropped later: a schedule too long for all of them is too long for the rest.
  for (const { dataset, split } of mixLeaves(source.node)) {
    const refusal = split === 'train' ? trainingRefusal(dataset) : null;
    if (refusal) throw refusal;
  }
  const steps = stepCount(config, mostRows(source, config));
  if (steps !== null) checkSchedule(config, steps);
  const targets = modelTargets(decoder, config.adapter.targets);
  return newRun({
    name,
    project,
    modelId: model.id,
    modelName: model.name,
    datasetId: source.id,
    datasetName: source.name,
    mix: source.mix,
    config: {
      ...config,
      context: fittingContext(config.context, decoder.contextLength),
      adapter: { ...config.adapter, targets },
    },
  });
}

/** Rows of one pass at most; null for a mix, whose passes its amounts decide. */
function mostRows({ mix, node }: TrainingSource, { heldOutFraction }: TrainConfig): number | null {
  if (mix) return null;
  const rows = mixLeaves(node).reduce((sum, { dataset, split }) => sum + countRows(dataset, split), 0);
  return rows - heldOutCount(rows, heldOutFraction);
}

/** A run that has not had its turn yet. */
export function newRun(
  given: Pick<
    Run,
    'name' | 'project' | 'modelId' | 'modelName' | 'datasetId' | 'datasetName' | 'mix' | 'config'
  >,
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
    recentLoss: null,
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
    resumesAnew: false,
    parent: null,
    start: null,
    imported: null,
    trainedElsewhere: false,
    createdAt: new Date().toISOString(),
    startedAt: null,
    endedAt: null,
    notes: '',
    tags: [],
  };
}
