import { quantizationOf, trainConfigSchema, type TrainConfig } from '../../contract/training.ts';
import { layOutRun } from '../../data/mix/laidOutRun.ts';
import { leavesEmbedding } from '../../options/embeddingRows.ts';
import { createRandom } from '../../statistics/random.ts';
import { initialValue } from '../adapters/initialValues.ts';
import { PivotChooser } from '../adapters/pivots/pivots.ts';
import { ModelGraph } from '../model/modelGraph.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { BenchRequest, BenchResult } from '../benchProtocol.ts';
import { batchFromRows } from '../model/batches.ts';
import { optimizerStep } from '../training/optimizerStep.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { openTrainingGraph } from '../training/trainingGraph.ts';
import { benchConfig, fillWeights, randomEmbedding, randomWeights } from './randomModel.ts';

/** Steps before the measured ones: the first compiles, the second still allocates. */
export const warmUpSteps = 2;

/** Examples in a row of the batch where rows are packed. */
const packedExamples = 4;

/**
 * Times whole training steps (forward, backward, AdamW without clipping) of one method on random weights, as a run
 * takes them.
 */
export async function benchTraining(request: BenchRequest, context: JobContext): Promise<BenchResult> {
  const { shape, method, rank, clusters, pivots = 'serial', batch, tokens, steps } = request;
  const { precision, gradientCheckpointing, loadIn4bit = false, packing = false } = request;
  const config = trainConfigSchema.parse({
    adapter: { method, rank, alpha: 2 * rank, pivots, ...(clusters !== undefined && { clusters }) },
    learningRate: 1e-4,
    schedule: 'constant',
    clipNorm: null,
    context: tokens,
    batch,
    precision,
    gradientCheckpointing,
    loadIn4bit,
    packing,
    maxSteps: warmUpSteps + steps,
  });
  const decoder = benchConfig(shape, tokens);
  const weights = randomWeights(decoder);
  const rows = randomRows(packing ? packedExamples : 1, config, shape.vocabularySize);
  const { order, layouts } = layOutRun(config, rows, null);
  const model = new ModelGraph({
    config: decoder,
    source: weights,
    precision,
    adapter: config.adapter,
    fusion: context.fusion,
    products: context.products,
    device: context.device,
    quantization: quantizationOf(config),
    ...(leavesEmbedding(config, decoder) && { embeddingRows: randomEmbedding(decoder) }),
  });
  const openedAt = performance.now();
  const graph = await openTrainingGraph(context.tf, model, config, layouts);
  try {
    fillWeights(model, graph.session, weights);
    graph.session.run('zero', {});
    const preparedAt = performance.now();
    const chooser = new PivotChooser(context.tf);
    for (const parameter of model.adapterParameters) {
      const value = await initialValue(parameter, weights, 1, { chooser, cacheFolder: null });
      graph.session.assign(parameter.variable, value);
    }
    chooser.close();
    const [loadSeconds, prepareSeconds] = [openedAt, preparedAt].map((at) => (performance.now() - at) / 1000);

    const [packs] = order.microBatches(1);
    const data = batchFromRows(packs!, rows, layouts.training);
    const seconds: number[] = [];
    const losses: number[] = [];
    for (let step = 1; step <= warmUpSteps + steps; step++) {
      await throwIfStopped(context);
      const startedAt = performance.now();
      const at = { step, update: step, learningRate: config.learningRate };
      losses.push(optimizerStep(graph, config, [data], at).loss);
      seconds.push((performance.now() - startedAt) / 1000);
      const label = `Timing ${method}`;
      context.emit({ type: 'progress', label, done: step, total: warmUpSteps + steps });
    }
    const timed = seconds.slice(warmUpSteps).sort((a, b) => a - b);
    return {
      trainable: model.trainableCount(),
      base: model.baseCount(),
      loadSeconds: loadSeconds!,
      prepareSeconds: prepareSeconds!,
      firstStepSeconds: seconds[0]!,
      secondsPerStep: { median: timed[Math.floor(timed.length / 2)]!, minimum: timed[0]! },
      tokensPerSecond: (batch * tokens) / timed[Math.floor(timed.length / 2)]!,
      peakMemoryBytes: peakMemoryBytes(),
      losses: { first: losses[0]!, last: losses.at(-1)! },
      products: context.products ?? 'native',
    };
  } finally {
    graph.session.close();
  }
}

/** Rows of random ids, so many in each row of the batch; every token but a row's last predicts the next. */
function randomRows(
  examples: number,
  { batch, context }: Pick<TrainConfig, 'batch' | 'context'>,
  vocabularySize: number,
) {
  const random = createRandom(2);
  const tokens = Math.floor(context / examples);
  const rows = Array.from({ length: batch * examples }, () => ({
    ids: Int32Array.from({ length: tokens }, () => random.integer(vocabularySize)),
    trained: new Uint8Array(tokens).fill(1),
  }));
  return {
    rowCount: rows.length,
    epochRows: null,
    length: () => tokens,
    labels: () => tokens - 1,
    row: (index: number) => rows[index]!,
  };
}
