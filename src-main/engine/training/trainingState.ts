import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { ModelIdentity } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { changedParts, computationOf } from '../../formats/model/identity.ts';
import { quantizationOf } from '../../contract/training.ts';
import { keptOptions } from '../../options/continuedConfig.ts';
import { rateOptions, scheduleChange, type PlannedRates } from '../../options/schedule.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterTensors, storedValue } from '../adapters/storedValues.ts';
import type { Tensorflow } from '../graph/session.ts';
import { asKept } from '../model/baseWeights.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import type { EngineEvent } from '../messages.ts';
import type { TrainRequest } from '../protocol.ts';
import { openCheckpoint, writeCheckpoint, type Origin } from './checkpoint.ts';
import { prepareAdapter } from './prepareAdapter.ts';
import { startOfRun, type Progress } from './progress.ts';
import { keptParameters, type TrainingGraph } from './trainingGraph.ts';
import { keptCheckpoints } from '../../options/lengths.ts';

/** A run's state in the session: how it starts, comes back from a checkpoint and goes into one. */
export interface TrainingState {
  graph: TrainingGraph;
  model: ModelGraph;
  weights: WeightFolder;
  request: TrainRequest;
  base: ModelIdentity;
  /** Rows to train on. */
  rows: number;
  /** Hash of them, tokenized. */
  rowsSha256: string;
  /** Optimizer steps of the whole run. */
  totalSteps: number;
  emit(event: EngineEvent): void;
}

/**
 * Fresh adapter parameters, or those of the adapter that is trained on, and zeros for the optimizer; the weights are
 * loaded already.
 * @returns null where a stop was asked for before all was ready
 */
export async function beginState(
  state: TrainingState,
  tf: Tensorflow,
  isStopped: () => Promise<boolean>,
): Promise<Progress | null> {
  const { graph, model, weights, request, emit } = state;
  const { session } = graph;
  session.run('zero', {});
  if (request.startFrom !== undefined) {
    restoreAdapter(state, request.startFrom);
    return startOfRun;
  }
  const { cacheFolder, config } = request;
  const { assign } = session;
  const context = { tf, seed: config.seed, cacheFolder, assign, emit, isStopped };
  const kept = asKept(weights, quantizationOf(config));
  return (await prepareAdapter(model, kept, context)) ? startOfRun : null;
}

/**
 * The weights that a session loads: the base's, or the weights that full fine-tuning had reached in a checkpoint. They
 * are read as f32 masters, whatever type the base is stored in.
 */
export function startingWeights({ config, resumeFrom }: TrainRequest, base: WeightFolder): WeightFolder {
  return config.adapter.method === 'full' && resumeFrom !== null
    ? new WeightFolder(trainedFolder(resumeFrom, 'full'))
    : base;
}

/**
 * Parameters and the optimizer's state of a checkpoint. @throws StudioError config_invalid where it belongs to another
 * run
 */
export function restoreState(state: TrainingState, checkpoint: string): Progress {
  const { graph, model, request } = state;
  const { origin, progress, optimizer } = openCheckpoint(checkpoint);
  try {
    checkOrigin(state, origin, basename(checkpoint));
    const change = origin.rates && scheduleChange(origin.rates, ratesOf(state), progress.step);
    if (change) state.emit({ type: 'log', line: `Warning: ${change}` });
    graph.session.run('zero', {});
    if (!model.trainsBase) restoreAdapter(state, trainedFolder(checkpoint, request.config.adapter.method));
    for (const variable of graph.state) graph.session.assign(variable, optimizer.read(variable.name));
  } finally {
    optimizer.close();
  }
  return progress;
}

/** @throws StudioError model_changed or config_invalid with what is not as it was */
function checkOrigin(
  state: TrainingState,
  { fingerprint, base, rowsSha256 }: ReturnType<typeof openCheckpoint>['origin'],
  name: string,
): void {
  if (fingerprint === (base ? originOf(state).fingerprint : formerFingerprint(state))) return;
  const changed = base ? changedParts(base, state.base, ['weights', 'config']) : [];
  if (changed.length > 0)
    throw new StudioError(
      'model_changed',
      `${changed.join(' and ')} of the model ${state.request.modelFolder} changed since checkpoint ${name} was made.`,
      'Put the files back as they were, or start a new run.',
    );
  if (rowsSha256 !== undefined && rowsSha256 !== state.rowsSha256)
    throw new StudioError(
      'model_changed',
      `The rows of the run are other tokens than when checkpoint ${name} was made: the tokenizer or the dataset changed since.`,
      'Put the files back as they were, or start a new run.',
    );
  throw new StudioError(
    'config_invalid',
    `Checkpoint ${name} was made with another model, other rows or another configuration.`,
    'Resume with the configuration, model and dataset of the run, or start a new run.',
  );
}

function restoreAdapter({ graph, model }: TrainingState, folder: string): void {
  const adapter = openAdapterFolder(folder);
  try {
    for (const parameter of model.adapterParameters)
      graph.session.assign(parameter.variable, storedValue(parameter, adapter));
  } finally {
    adapter.tensors.close();
  }
}

/** Writes a checkpoint. @returns its folder */
export function saveState(state: TrainingState, progress: Progress): string {
  const { graph, model, request, emit } = state;
  const { config } = request;
  const folder = writeCheckpoint(
    request.checkpointFolder,
    {
      progress,
      origin: originOf(state),
      kept: keptCheckpoints(config),
      keep: config.keepBest ? progress.best?.step : undefined,
    },
    (place) => (model.trainsBase ? writeModel(state, place) : writeAdapter(state, place)),
    graph.state.map((variable) => ({
      name: variable.name,
      dtype: variable.dtype === 'u8' ? 'U8' : 'F32',
      shape: variable.shape,
      data: () => graph.session.read(variable),
    })),
  );
  emit({ type: 'checkpoint', step: progress.step, folder });
  return folder;
}

function writeAdapter(
  { graph, model, request, base: { weights } }: TrainingState,
  checkpoint: string,
): undefined {
  const { adapter } = request.config;
  const base = { name: request.modelFolder, sha256: weights, quantization: quantizationOf(request.config) };
  const tensors = adapterTensors(model.adapterParameters, graph.session.read);
  writeAdapterFolder(trainedFolder(checkpoint, adapter.method), adapter, base, tensors);
}

/** @returns SHA-256 over the weights, in the order in which they are written */
function writeModel({ graph, model, request }: TrainingState, checkpoint: string): string {
  const hash = createHash('sha256');
  const tensors = keptParameters(model).map((variable) => ({
    name: variable.name,
    dtype: 'F32' as const,
    shape: variable.shape,
    data: () => {
      const bytes = graph.session.read(variable);
      hash.update(variable.name).update(bytes);
      return bytes;
    },
  }));
  const folder = trainedFolder(checkpoint, request.config.adapter.method);
  writeModelFolder(folder, { base: request.modelFolder, tensors, dtype: 'F32', card: null });
  return hash.digest('hex');
}

/** What decides the computation and may not change on resume: model, rows and the options that are kept. */
function originOf(state: TrainingState): Origin {
  const { request, base, rowsSha256 } = state;
  const fingerprint = hashed([computationOf(base), rowsSha256, keptOptions(request.config)]);
  return { fingerprint, base, rowsSha256, rates: ratesOf(state) };
}

function ratesOf({ request: { config }, totalSteps }: TrainingState): PlannedRates {
  const rates = Object.fromEntries(rateOptions.map((name) => [name, config[name]]));
  return { ...(rates as Omit<PlannedRates, 'totalSteps'>), totalSteps };
}

/** That of checkpoints from before they named the model's configuration and the rows themselves. */
function formerFingerprint({ request, base, rows }: TrainingState): string {
  const { adapter, batch, accumulate, context, seed, precision, optimizer, momentum, packing, loadIn8bit } =
    request.config;
  const remembers = [optimizer, momentum > 0];
  const parts = [base.weights, rows, adapter, batch, accumulate, context, seed, precision, remembers];
  return hashed([...parts, ...(packing ? ['packing'] : []), ...(loadIn8bit ? ['8 bits'] : [])]);
}

function hashed(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
