import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { keptOptions } from '../../options/continuedConfig.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterTensors, storedValue } from '../adapters/storedValues.ts';
import type { Tensorflow } from '../graph/session.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import type { EngineEvent, TrainRequest } from '../protocol.ts';
import { openCheckpoint, writeCheckpoint } from './checkpoint.ts';
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
  /** Hash of the base weights. */
  baseSha256: string;
  /** Rows to train on. */
  rows: number;
  emit(event: EngineEvent): void;
}

/**
 * Fresh adapter parameters, and zeros for the optimizer; the weights are loaded already.
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
  const { cacheFolder, config } = request;
  const { assign } = session;
  const context = { tf, seed: config.seed, cacheFolder, assign, emit, isStopped };
  return (await prepareAdapter(model, weights, context)) ? startOfRun : null;
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
  const { graph, model } = state;
  const { fingerprint, progress, optimizer } = openCheckpoint(checkpoint);
  try {
    if (![fingerprintOf(state), formerFingerprint(state)].includes(fingerprint))
      throw new StudioError(
        'config_invalid',
        `Checkpoint ${basename(checkpoint)} was made with another model, other rows or another configuration.`,
        'Resume with the configuration, model and dataset of the run, or start a new run.',
      );
    graph.session.run('zero', {});
    if (!model.trainsBase) restoreAdapter(state, checkpoint);
    for (const variable of graph.state) graph.session.assign(variable, optimizer.read(variable.name));
  } finally {
    optimizer.close();
  }
  return progress;
}

function restoreAdapter({ graph, model, request }: TrainingState, checkpoint: string): void {
  const adapter = openAdapterFolder(trainedFolder(checkpoint, request.config.adapter.method));
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
      fingerprint: fingerprintOf(state),
      kept: keptCheckpoints(config),
      keep: config.keepBest ? progress.best?.step : undefined,
    },
    (place) => (model.trainsBase ? writeModel(state, place) : writeAdapter(state, place)),
    graph.state.map((variable) => ({
      name: variable.name,
      dtype: variable.dtype === 'u8' ? 'U8' : 'F32',
      shape: variable.shape,
      data: () => graph.read(variable),
    })),
  );
  emit({ type: 'checkpoint', step: progress.step, folder });
  return folder;
}

function writeAdapter({ graph, model, request, baseSha256 }: TrainingState, checkpoint: string): undefined {
  const { adapter } = request.config;
  const base = { name: request.modelFolder, sha256: baseSha256, loadIn8bit: request.config.loadIn8bit };
  const tensors = adapterTensors(model.adapterParameters, graph.read);
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
      const bytes = graph.read(variable);
      hash.update(variable.name).update(bytes);
      return bytes;
    },
  }));
  const folder = trainedFolder(checkpoint, request.config.adapter.method);
  writeModelFolder(folder, { base: request.modelFolder, tensors, dtype: 'F32', card: null });
  return hash.digest('hex');
}

/** What decides the computation and may not change on resume. */
function fingerprintOf({ request, baseSha256, rows }: TrainingState): string {
  return hashed({ baseSha256, rows, ...keptOptions(request.config) });
}

/** That of checkpoints from before the fingerprint was derived from the table of what a continued run may change. */
function formerFingerprint({ request, baseSha256, rows }: TrainingState): string {
  const { adapter, batch, accumulate, context, seed, precision, optimizer, momentum, packing, loadIn8bit } =
    request.config;
  const remembers = [optimizer, momentum > 0];
  const parts = [baseSha256, rows, adapter, batch, accumulate, context, seed, precision, remembers];
  return hashed([...parts, ...(packing ? ['packing'] : []), ...(loadIn8bit ? ['8 bits'] : [])]);
}

function hashed(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
