import { trainConfigSchema } from '../../contract/training.ts';
import { createRandom } from '../../statistics/random.ts';
import { initialValue } from '../adapters/initialValues.ts';
import { PivotChooser } from '../adapters/pivots/pivots.ts';
import { ModelGraph } from '../model/modelGraph.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { BenchRequest, BenchResult } from '../benchProtocol.ts';
import { layOutBatch, type Batch } from '../model/batches.ts';
import { optimizerStep } from '../training/optimizerStep.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { openTrainingGraph } from '../training/trainingGraph.ts';
import { benchConfig, randomWeights } from './randomModel.ts';

/** Steps before the measured ones: the first compiles, the second still allocates. */
const warmUpSteps = 2;

/**
 * Times whole training steps (forward, backward, AdamW without clipping) of one method on random weights, as a run
 * takes them. Pivots of ID-LoRA are the first rows: which rows they are does not change a step.
 */
export async function benchTraining(request: BenchRequest, context: JobContext): Promise<BenchResult> {
  const { shape, method, rank, clusters, batch, tokens, precision, gradientCheckpointing, steps } = request;
  const config = trainConfigSchema.parse({
    adapter: { method, rank, alpha: 2 * rank, pivots: 'serial', ...(clusters !== undefined && { clusters }) },
    learningRate: 1e-4,
    schedule: 'constant',
    clipNorm: null,
    context: tokens,
    batch,
    precision,
    gradientCheckpointing,
  });
  const decoder = benchConfig(shape, tokens);
  const weights = randomWeights(decoder);
  const model = new ModelGraph({
    config: decoder,
    source: weights,
    precision,
    adapter: config.adapter,
    fusion: context.fusion,
    products: context.products,
    device: context.device,
  });
  const openedAt = performance.now();
  // Rows that fill the context are laid out as those of a run are.
  const layout = { batch, tokens };
  const layouts = { training: [layout], scoring: layout };
  const graph = await openTrainingGraph(context.tf, model, config, layouts);
  try {
    graph.session.loadWeights();
    graph.session.run('zero', {});
    const chooser = new PivotChooser(context.tf);
    for (const parameter of model.adapterParameters) {
      const value = await initialValue(parameter, weights, 1, { chooser, cacheFolder: null });
      graph.session.assign(parameter.variable, value);
    }
    chooser.close();
    const loadSeconds = (performance.now() - openedAt) / 1000;

    const data = randomBatch(batch, tokens, shape.vocabularySize);
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
      loadSeconds,
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

/** Random ids; every token but a row's last predicts the next. */
function randomBatch(batch: number, tokens: number, vocabularySize: number): Batch {
  const random = createRandom(2);
  const rows = Array.from({ length: batch }, () => ({
    ids: Int32Array.from({ length: tokens }, () => random.integer(vocabularySize)),
    trained: new Uint8Array(tokens).fill(1),
  }));
  return layOutBatch(rows, batch, tokens);
}
