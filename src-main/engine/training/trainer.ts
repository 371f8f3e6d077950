import { quantizationOf } from '../../contract/training.ts';
import { leavesEmbedding } from '../../options/embeddingRows.ts';
import { baseRows } from '../adapters/storedRows.ts';
import { checkOptions } from '../../options/checkOptions.ts';
import type { RouterLayout, SourceLoss } from '../../contract/runRecords.ts';
import { StudioError } from '../../contract/errors.ts';
import { openRows, type RowSet } from '../../data/mix/rowPlan.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import { sha256Of } from '../../formats/files/sha256.ts';
import { createIdentityReader } from '../../formats/model/identity.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import type { JobContext } from '../jobContext.ts';
import { ModelGraph } from '../model/modelGraph.ts';
import type { TrainRequest, TrainResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { batchFromRows, type Batch } from '../model/batches.ts';
import type { DataOrder } from '../../data/mix/dataOrder.ts';
import { layOutRun } from '../../data/mix/laidOutRun.ts';
import { lineWords, type BatchLayout } from '../../options/passLayouts.ts';
import { evaluateHeldOut, type Evaluation } from './heldOut.ts';
import { optimizerStep, type StepResult } from './optimizerStep.ts';
import {
  afterEvaluation,
  afterSkip,
  afterUpdate,
  mostSkippedInARow,
  notFinite,
  updatesIn,
  type Progress,
} from './progress.ts';
import { checkSchedule, learningRate } from '../../options/schedule.ts';
import { checkpointEveryMs } from '../../options/lengths.ts';
import { createSampler, readPrompts, sampling, samplingSize } from './samples.ts';
import { checkTasks } from '../model/taskNumbers.ts';
import { openTrainingGraph, type TrainingGraph } from './trainingGraph.ts';
import { beginState, restoreState, saveState, startingWeights, type TrainingState } from './trainingState.ts';

/**
 * Trains an adapter, or with the method `full` the model itself: opens model and data, starts or resumes, steps,
 * evaluates, keeps checkpoints.
 *
 * @throws StudioError config_invalid for options that cannot go together, before anything is opened;
 * loss_not_finite once several steps in a row could not be applied, with the state before them saved
 */
export async function train(
  request: TrainRequest,
  decoder: DecoderConfig,
  context: JobContext,
): Promise<TrainResult> {
  const { config } = request;
  const weights = new WeightFolder(request.modelFolder);
  const rows = openRows(request.trainFile);
  const heldOut = request.heldOutFile ? openRows(request.heldOutFile) : null;
  let source = weights;
  let graph: TrainingGraph | null = null;
  try {
    if (rows.rowCount === 0)
      throw new StudioError('dataset_empty', 'There is no row to train on.', 'Choose a dataset with rows.');
    checkOptions(config, { heldOutRows: heldOut?.rowCount ?? 0 });
    const { order, layouts } = layOutRun(config, rows, heldOut);
    const packs = order.packs(0);
    checkSchedule(config, order.totalSteps);
    source = startingWeights(request, weights);
    checkWeights(decoder, source);
    const model = new ModelGraph({
      config: decoder,
      source,
      precision: config.precision,
      adapter: config.adapter,
      fusion: context.fusion,
      products: context.products,
      device: context.device,
      quantization: quantizationOf(config),
      parts: request.parts,
      ...(leavesEmbedding(config, decoder) && {
        embeddingRows: (ids) => baseRows(weights, 'model.embed_tokens.weight', ids),
      }),
    });
    checkTasks(config.adapter, heldOut ? [rows, heldOut] : [rows]);
    const prompts =
      config.samples && readPrompts(config.samples, request.modelFolder, decoder, request.samplePrompts);
    graph = await openTrainingGraph(context.tf, model, config, layouts, {
      decoding: prompts && samplingSize(prompts, decoder),
      positionLosses: rows.sources.length > 1,
    });
    const sampler = prompts && graph.decoder && createSampler(graph.decoder, decoder, prompts);
    graph.session.loadWeights((done, total) =>
      context.emit({ type: 'progress', label: 'Loading weights', done, total }),
    );

    const state: TrainingState = {
      graph,
      model,
      weights,
      request,
      base: createIdentityReader().read(request.modelFolder, request.weightsSha256 ?? weights.contentHash()),
      rows: rows.rowCount,
      rowsSha256: sha256Of([request.trainFile]),
      totalSteps: order.totalSteps,
      emit: context.emit,
    };
    const start = request.resumeFrom
      ? restoreState(state, request.resumeFrom)
      : await beginState(state, context.tf, async () => (await context.stopRequested()) !== null);
    if (start === null) return { ...stoppedAtStart, peakMemoryBytes: peakMemoryBytes() };
    const words = config.packing ? null : lineWords(layouts);
    if (words) context.emit({ type: 'log', line: words });
    context.emit({
      type: 'start',
      trainable: model.trainableCount(),
      frozenExtra: model.frozenExtraCount(),
      base: model.baseCount(),
      totalSteps: order.totalSteps,
      firstStep: start.step + 1,
      skippedSteps: start.skippedSteps,
      best: start.best,
      products: config.precision === 'bf16' ? (context.products ?? 'native') : null,
      parts: model.graph.parts,
      packing: config.packing ? { packs: packs.length, efficiency: layouts.fill } : null,
    });
    const open = graph;
    return await steps(request, context, start, {
      order,
      layouts: layouts.training,
      rows,
      run: (batches, at) => optimizerStep(open, config, batches, at),
      evaluate: (numbers) => evaluateHeldOut(open, heldOut, config, layouts.scoring, { rows, numbers }),
      experts: open.routing && { experts: open.routing.experts, sites: [...open.routing.sites] },
      sample: sampling(sampler, context),
      save: (progress) => saveState(state, progress),
    });
  } finally {
    graph?.session.close();
    if (source !== weights) source.close();
    weights.close();
    rows.close();
    heldOut?.close();
  }
}

/** A stop before the first step: there is nothing yet that a checkpoint could keep. */
const stoppedAtStart: Omit<TrainResult, 'peakMemoryBytes'> = {
  outcome: 'stopped',
  step: 0,
  lastLoss: null,
  checkpoint: null,
  skippedSteps: 0,
  best: null,
};

/** The loop over optimizer steps, from one after `start` to the last, an early end or a stop. */
async function steps(
  request: TrainRequest,
  context: JobContext,
  start: Progress,
  parts: {
    order: DataOrder;
    layouts: readonly BatchLayout[];
    rows: RowSet;
    run(batches: Batch[], at: { step: number; update: number; learningRate: number }): StepResult;
    /** @param numbers of the rows of the step: the experts are watched on them where no row is held out */
    evaluate(numbers: readonly number[]): Evaluation;
    /** Null: the method has none. */
    experts: RouterLayout | null;
    /** Answers the run's prompts, unless that was done after this very step. */
    sample(step: number): Promise<void>;
    save(progress: Progress): string;
  },
): Promise<TrainResult> {
  const { config } = request;
  const { order, layouts, rows } = parts;
  let progress = start;
  /** As it was after the last step that changed anything: parameters are still the same. */
  let lastUpdated = start;
  let saved = request.resumeFrom ? { step: start.step, folder: request.resumeFrom } : null;
  let savedAt = performance.now();
  const save = (what: Progress) => {
    if (saved?.step !== what.step) saved = { step: what.step, folder: parts.save(what) };
    savedAt = performance.now();
  };
  const end = (outcome: TrainResult['outcome']): TrainResult => ({
    outcome,
    step: progress.step,
    lastLoss: progress.lastLoss,
    checkpoint: saved?.folder ?? null,
    skippedSteps: progress.skippedSteps,
    best: progress.best,
    peakMemoryBytes: peakMemoryBytes(),
  });

  const emitSources = (step: number, heldOut: boolean, sources: readonly SourceLoss[]) => {
    // Numbers that are none are said by the step or the evaluation as a whole.
    const finite = sources.filter(({ loss }) => Number.isFinite(loss));
    if (finite.length > 0) context.emit({ type: 'sources', step, heldOut, sources: finite });
  };

  if (progress.step === 0) await parts.sample(0);
  while (progress.step < order.totalSteps) {
    if (progress.evaluationsSinceBest >= (config.earlyStoppingPatience ?? Infinity)) {
      await parts.sample(progress.step);
      save(progress);
      return end('early_stopped');
    }
    const stop = await context.stopRequested();
    if (stop) {
      if (stop.save) save(progress);
      return end('stopped');
    }
    const startedAt = performance.now();
    const step = progress.step + 1;
    const passes = order.microBatches(step);
    const batches = passes.map((packs) => batchFromRows(packs, rows, layouts));
    const rate = learningRate(config, step, order.totalSteps);
    const result = parts.run(batches, { step, update: updatesIn(progress) + 1, learningRate: rate });
    if (result.applied) {
      lastUpdated = progress = afterUpdate(progress, result.loss);
      const seconds = (performance.now() - startedAt) / 1000;
      const tokens = batches.reduce((total, batch) => total + batch.tokens, 0);
      const { loss, gradNorm } = result;
      context.emit({
        type: 'step',
        step,
        loss,
        lr: rate,
        gradNorm,
        tokensPerSecond: tokens / seconds,
        // TensorFlow's binding tells nothing of a GPU's memory: this is the process alone.
        memoryBytes: process.memoryUsage.rss(),
      });
      emitSources(step, false, result.sources);
    } else {
      progress = afterSkip(progress);
      const reason = Number.isFinite(result.loss)
        ? `gradient norm ${result.gradNorm}`
        : `loss ${result.loss}`;
      context.emit({ type: 'skipped', step, lr: rate, reason });
      if (progress.skippedInARow >= mostSkippedInARow) {
        if (lastUpdated.step > (saved?.step ?? 0)) save(lastUpdated);
        throw notFinite(result, {
          step,
          learningRate: rate,
          kept: saved?.step ?? null,
          precision: config.precision,
        });
      }
    }

    const isLast = step === order.totalSteps;
    const isEvaluated = isLast || isDue(step, config.evalEvery);
    if (isEvaluated) {
      const { metric, sources, routing } = parts.evaluate(passes.flat(2));
      const { experts } = parts;
      if (routing && experts) context.emit({ type: 'router', step, ...routing, layout: experts });
      if (metric) progress = afterEvaluation(progress, metric.loss);
      if (metric && Number.isFinite(metric.loss)) context.emit({ type: 'eval', step, ...metric });
      else if (metric)
        context.emit({ type: 'log', line: `step ${step}: the held-out loss is ${metric.loss}` });
      emitSources(step, true, sources);
    }
    const every = config.samples?.every;
    if (isLast || (every === 0 ? isEvaluated : isDue(step, every ?? 0))) await parts.sample(step);
    const isBest = config.keepBest && progress.best?.step === step;
    const isLate = performance.now() - savedAt >= checkpointEveryMs;
    if (isLast || isBest || isLate || isDue(step, config.checkpointEvery)) save(progress);
  }
  return end('done');
}

function isDue(step: number, every: number): boolean {
  return every > 0 && step % every === 0;
}
