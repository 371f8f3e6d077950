import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { openAdapterFolder } from '../../formats/peftAdapter.ts';
import type { WeightFolder } from '../../formats/weightFolder.ts';
import { initialValue } from '../adapters/initialValues.ts';
import { PivotChooser } from '../adapters/pivots/pivots.ts';
import { adapterTensors, storedValue } from '../adapters/storedValues.ts';
import type { Tensorflow } from '../graph/session.ts';
import { hostBytes, type ModelGraph } from '../model/modelGraph.ts';
import type { EngineEvent, TrainRequest } from '../process/protocol.ts';
import { openCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { startOfRun, type Progress } from './progress.ts';
import type { TrainingGraph } from './trainingGraph.ts';

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

/** Fresh adapter parameters, and zeros for the optimiser. */
export async function beginState(state: TrainingState, tf: Tensorflow): Promise<Progress> {
  const { graph, model, weights, request, emit } = state;
  const { seed } = request.config;
  graph.session.run('zero', {});
  const chooser = new PivotChooser(tf);
  try {
    const { adapterParameters } = model;
    for (const [i, parameter] of adapterParameters.entries()) {
      const place = { chooser, cacheFolder: request.cacheFolder };
      graph.assign(parameter.variable, await initialValue(parameter, weights, seed, place));
      const label = 'Preparing the adapter';
      emit({ type: 'progress', label, done: i + 1, total: adapterParameters.length });
    }
  } finally {
    chooser.close();
  }
  return startOfRun;
}

/** Parameters and the optimiser's state of a checkpoint. @throws StudioError config_invalid where it belongs to another run */
export function restoreState(state: TrainingState, checkpoint: string): Progress {
  const { graph, model } = state;
  const { fingerprint, progress, optimiser } = openCheckpoint(checkpoint);
  const adapter = openAdapterFolder(join(checkpoint, 'adapter'));
  try {
    if (fingerprint !== fingerprintOf(state))
      throw new StudioError(
        'config_invalid',
        `Checkpoint ${basename(checkpoint)} was made with another model, other rows or another configuration.`,
        'Resume with the configuration, model and dataset of the run, or start a new run.',
      );
    graph.session.run('zero', {});
    for (const parameter of model.adapterParameters)
      graph.assign(parameter.variable, storedValue(parameter, adapter));
    for (const variable of graph.state) graph.assign(variable, optimiser.read(variable.name));
  } finally {
    optimiser.close();
    adapter.tensors.close();
  }
  return progress;
}

/** Writes a checkpoint. @returns its folder */
export function saveState(state: TrainingState, progress: Progress): string {
  const { graph, model, request, emit } = state;
  const { config } = request;
  const values = graph.session.run('readParameters', {});
  const remembered = graph.state.length > 0 ? graph.session.run('readState', {}) : {};
  const folder = writeCheckpoint(
    request.checkpointFolder,
    { progress, fingerprint: fingerprintOf(state), keep: config.keepBest ? progress.best?.step : undefined },
    config.adapter,
    { name: request.modelFolder, sha256: state.baseSha256 },
    adapterTensors(model.adapterParameters, values),
    graph.state.map(({ name, dtype, shape }) => ({
      name,
      dtype: dtype === 'u8' ? 'U8' : 'F32',
      shape,
      data: hostBytes(remembered[name]!),
    })),
  );
  emit({ type: 'checkpoint', step: progress.step, folder });
  return folder;
}

/** What decides the computation; rates and lengths of a run (steps, evaluation, checkpoints) may change on resume. */
function fingerprintOf({ request, baseSha256, rows }: TrainingState): string {
  const { adapter, batch, accumulate, context, seed, precision, optimizer, momentum } = request.config;
  const remembers = [optimizer, momentum > 0];
  return createHash('sha256')
    .update(
      JSON.stringify([baseSha256, rows, adapter, batch, accumulate, context, seed, precision, remembers]),
    )
    .digest('hex');
}
