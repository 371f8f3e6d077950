import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { DecoderConfig } from '../../formats/decoderConfig.ts';
import { openAdapterFolder } from '../../formats/peftAdapter.ts';
import { TokenFileReader } from '../../formats/tokenFile.ts';
import { WeightFolder } from '../../formats/weightFolder.ts';
import { initialValue } from '../adapters/initialValues.ts';
import { PivotChooser } from '../adapters/pivots/pivots.ts';
import { adapterTensors, storedValue } from '../adapters/storedValues.ts';
import type { HostArray, Tensorflow } from '../graph/session.ts';
import { hostBytes, ModelGraph } from '../model/modelGraph.ts';
import type { EngineEvent, TrainRequest, TrainResult } from '../process/protocol.ts';
import { seedFrom } from '../seeds.ts';
import { layOutBatch, paddedLength, type Batch } from './batches.ts';
import { openCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { createDataOrder, type DataOrder } from './dataOrder.ts';
import { stepRates } from './optimiser.ts';
import { learningRate } from './schedule.ts';
import { checkTasks } from './taskNumbers.ts';
import { openTrainingGraph, type TrainingGraph } from './trainingGraph.ts';

/** What a training run needs from the process it runs in. */
export interface TrainContext {
  tf: Tensorflow;
  fusion: boolean;
  emit(event: EngineEvent): void;
  /** Asked between steps; null: go on. Lets waiting messages in first. */
  stopRequested(): Promise<{ save: boolean } | null>;
}

/**
 * Trains an adapter: opens model and data, starts or resumes, steps, evaluates, keeps checkpoints.
 *
 * @throws StudioError loss_not_finite with the step; the last checkpoint stays as it is
 */
export async function train(
  request: TrainRequest,
  decoder: DecoderConfig,
  context: TrainContext,
): Promise<TrainResult> {
  const { config } = request;
  const weights = new WeightFolder(request.modelFolder);
  const rows = new TokenFileReader(request.trainFile);
  const heldOut = request.heldOutFile ? new TokenFileReader(request.heldOutFile) : null;
  let graph: TrainingGraph | null = null;
  try {
    if (config.adapter.method === 'full')
      throw new StudioError(
        'config_invalid',
        'Method "full" cannot be trained by this version.',
        'Choose an adapter method, for example lora.',
      );
    if (rows.rowCount === 0)
      throw new StudioError('dataset_empty', 'There is no row to train on.', 'Choose a dataset with rows.');
    const model = new ModelGraph({
      config: decoder,
      source: weights,
      precision: config.precision,
      adapter: config.adapter,
      fusion: context.fusion,
    });
    const files = heldOut ? [rows, heldOut] : [rows];
    checkTasks(config.adapter, files);
    const layout = { batch: config.batch, tokens: paddedLength(files, config.context) };
    graph = await openTrainingGraph(context.tf, model, config, layout);
    graph.loadWeights((done, total) =>
      context.emit({ type: 'progress', label: 'Loading weights', done, total }),
    );

    const order = createDataOrder({ rows: rows.rowCount, ...config });
    const baseHash = weights.contentHash();
    const fingerprint = fingerprintOf(request, baseHash, rows.rowCount);
    const start = request.resumeFrom
      ? restore(graph, model, request.resumeFrom, fingerprint)
      : await begin(graph, model, weights, request, context);
    context.emit({
      type: 'start',
      trainable: model.trainableCount(),
      frozenExtra: model.frozenExtraCount(),
      base: model.baseCount(),
      totalSteps: order.totalSteps,
      firstStep: start.step + 1,
    });
    const open = graph;
    return await steps(request, context, start, {
      order,
      layout,
      rows,
      run: (batches, step) => optimiserStep(open, config, batches, step, order.totalSteps),
      evaluate: (step) => evaluate(open, heldOut, config, layout, step, context),
      save: (step, lastLoss) =>
        save(open, model, request, { step, lastLoss, fingerprint }, baseHash, context),
    });
  } finally {
    graph?.session.close();
    weights.close();
    rows.close();
    heldOut?.close();
  }
}

interface Progress {
  step: number;
  lastLoss: number;
}

interface StepResult {
  /** Mean negative log-likelihood per label, nats. */
  loss: number;
  gradNorm: number;
  rate: number;
}

/** The loop over optimiser steps, from one after `start` to the end or a stop. */
async function steps(
  request: TrainRequest,
  context: TrainContext,
  start: Progress,
  parts: {
    order: DataOrder;
    layout: { batch: number; tokens: number };
    rows: TokenFileReader;
    run(batches: Batch[], step: number): StepResult;
    evaluate(step: number): void;
    save(step: number, lastLoss: number): string;
  },
): Promise<TrainResult> {
  const { config } = request;
  const { order, layout, rows } = parts;
  let { step, lastLoss } = start;
  let checkpoint = request.resumeFrom;
  let savedStep = request.resumeFrom ? step : -1;
  while (step < order.totalSteps) {
    const stop = await context.stopRequested();
    if (stop) {
      if (stop.save && savedStep !== step) checkpoint = parts.save(step, lastLoss);
      return { outcome: 'stopped', step, lastLoss, checkpoint };
    }
    const startedAt = performance.now();
    const batches = order.microBatches(step + 1).map((numbers) =>
      layOutBatch(
        numbers.map((n) => rows.row(n)),
        layout.batch,
        layout.tokens,
      ),
    );
    const result = parts.run(batches, step + 1);
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradNorm))
      throw new StudioError(
        'loss_not_finite',
        `At step ${step + 1} the loss is ${result.loss} and the gradient norm ${result.gradNorm} (learning rate ${result.rate}).`,
        checkpoint
          ? `The checkpoint of step ${savedStep} is intact. Lower the learning rate (or use f32) and start again.`
          : 'Lower the learning rate (or use f32) and start again; no checkpoint had been written yet.',
      );
    step++;
    lastLoss = result.loss;
    const seconds = (performance.now() - startedAt) / 1000;
    const tokens = batches.reduce((total, batch) => total + batch.tokens, 0);
    context.emit({
      type: 'step',
      step,
      loss: result.loss,
      lr: result.rate,
      gradNorm: result.gradNorm,
      tokensPerSecond: tokens / seconds,
    });
    const isLast = step === order.totalSteps;
    if (isLast || (config.evalEvery > 0 && step % config.evalEvery === 0)) parts.evaluate(step);
    if (isLast || (config.checkpointEvery > 0 && step % config.checkpointEvery === 0)) {
      checkpoint = parts.save(step, lastLoss);
      savedStep = step;
    }
  }
  return { outcome: 'done', step, lastLoss, checkpoint };
}

function optimiserStep(
  graph: TrainingGraph,
  config: TrainConfig,
  batches: Batch[],
  step: number,
  totalSteps: number,
): StepResult {
  const labelled = batches.reduce((total, batch) => total + batch.labelled, 0);
  const rate = learningRate(config, step, totalSteps);
  const corrected = stepRates(config, rate, step);
  const rates = {
    learningRate: Float32Array.of(corrected.learningRate),
    correctedRate: Float32Array.of(corrected.correctedRate),
    correctedEpsilon: Float32Array.of(corrected.correctedEpsilon),
  };
  const fed = (batch: Batch, part: number) => ({
    ids: batch.ids,
    labels: batch.labels,
    tasks: batch.tasks,
    seed: Int32Array.of(seedFrom(config.seed, 'dropout', step, part), step),
    lossScale: Float32Array.of(1 / Math.max(1, labelled)),
  });
  if (config.accumulate === 1) {
    const out = graph.session.run('step', { ...fed(batches[0]!, 0), ...rates });
    return { loss: out['lossSum']![0]! / labelled, gradNorm: out['gradNorm']![0]!, rate };
  }
  let lossSum = 0;
  batches.forEach((batch, part) => {
    lossSum += graph.session.run('accumulate', fed(batch, part))['lossSum']![0]!;
  });
  const gradNorm = graph.session.run('apply', rates)['gradNorm']![0]!;
  return { loss: lossSum / labelled, gradNorm, rate };
}

function evaluate(
  graph: TrainingGraph,
  heldOut: TokenFileReader | null,
  config: TrainConfig,
  layout: { batch: number; tokens: number },
  step: number,
  context: TrainContext,
): void {
  const count = Math.min(heldOut?.rowCount ?? 0, config.heldOutRows);
  if (!heldOut || count === 0) return;
  let [lossSum, labelled] = [0, 0];
  for (let first = 0; first < count; first += layout.batch) {
    const numbers = Array.from({ length: Math.min(layout.batch, count - first) }, (_, i) => first + i);
    const batch = layOutBatch(
      numbers.map((n) => heldOut.row(n)),
      layout.batch,
      layout.tokens,
    );
    const scores = graph.session.run('score', {
      ids: batch.ids,
      labels: batch.labels,
      tasks: batch.tasks,
    });
    for (const loss of scores['loss']!) lossSum += loss;
    labelled += batch.labelled;
  }
  if (labelled > 0)
    context.emit({ type: 'eval', step, loss: lossSum / labelled, rows: count, tokens: labelled });
}

/** Fresh adapter parameters and moments. */
async function begin(
  graph: TrainingGraph,
  model: ModelGraph,
  weights: WeightFolder,
  request: TrainRequest,
  context: TrainContext,
): Promise<Progress> {
  const { seed } = request.config;
  graph.session.run('zero', {});
  const chooser = new PivotChooser(context.tf);
  try {
    const { adapterParameters } = model;
    for (const [i, parameter] of adapterParameters.entries()) {
      const place = { chooser, cacheFolder: request.cacheFolder };
      graph.assign(parameter.variable, await initialValue(parameter, weights, seed, place));
      const label = 'Preparing the adapter';
      context.emit({ type: 'progress', label, done: i + 1, total: adapterParameters.length });
    }
  } finally {
    chooser.close();
  }
  return { step: 0, lastLoss: NaN };
}

/** Parameters and moments of a checkpoint. */
function restore(graph: TrainingGraph, model: ModelGraph, checkpoint: string, fingerprint: string): Progress {
  const { state, moments } = openCheckpoint(checkpoint);
  const adapter = openAdapterFolder(join(checkpoint, 'adapter'));
  try {
    if (state.fingerprint !== fingerprint)
      throw new StudioError(
        'config_invalid',
        `Checkpoint ${basename(checkpoint)} was made with another model, other rows or another configuration.`,
        'Resume with the configuration, model and dataset of the run, or start a new run.',
      );
    graph.session.run('zero', {});
    for (const parameter of model.adapterParameters)
      graph.assign(parameter.variable, storedValue(parameter, adapter));
    for (const { moments: variables } of graph.trainable)
      for (const variable of [variables.first, variables.second])
        graph.assign(variable, moments.read(variable.name));
  } finally {
    moments.close();
    adapter.tensors.close();
  }
  return { step: state.step, lastLoss: state.lastLoss };
}

function save(
  graph: TrainingGraph,
  model: ModelGraph,
  request: TrainRequest,
  state: Progress & { fingerprint: string },
  baseHash: string,
  context: TrainContext,
): string {
  const values = graph.session.run('readParameters', {});
  const moments: Record<string, HostArray> = graph.session.run('readMoments', {});
  const shapes = new Map(
    graph.trainable.flatMap(({ moments: { first, second } }) =>
      [first, second].map((v) => [v.name, v.shape]),
    ),
  );
  const folder = writeCheckpoint(
    request.checkpointFolder,
    state,
    request.config.adapter,
    { name: request.modelFolder, sha256: baseHash },
    adapterTensors(model.adapterParameters, values),
    Object.entries(moments).map(([name, value]) => ({
      name,
      dtype: 'F32' as const,
      shape: shapes.get(name)!,
      data: hostBytes(value),
    })),
  );
  context.emit({ type: 'checkpoint', step: state.step, folder });
  return folder;
}

/** What decides the computation; lengths of a run (steps, evaluation, checkpoints) may change on resume. */
function fingerprintOf(request: TrainRequest, baseHash: string, rows: number): string {
  const { adapter, batch, accumulate, context, seed, precision } = request.config;
  return createHash('sha256')
    .update(JSON.stringify([baseHash, rows, adapter, batch, accumulate, context, seed, precision]))
    .digest('hex');
}
