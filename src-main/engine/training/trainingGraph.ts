import type { TrainConfig } from '../../contract/training.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import { multiply } from '../graph/ops/elementwise.ts';
import { Session, type Entry, type Tensorflow } from '../graph/session.ts';
import {
  assignAddVariable,
  assignVariable,
  createVariable,
  fill,
  readVariable,
  type Variable,
} from '../graph/variables.ts';
import { positionScores, sumPerRow, trainingLoss } from '../model/loss.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import { applyAdamW, clipFactor, createMoments, globalNorm, type Moments } from './optimiser.ts';

/** The calls of a training session and the variables that a checkpoint holds. */
export interface TrainingGraph {
  session: Session;
  /** Moments of each trainable variable, in the order of `trainable`. */
  trainable: { variable: Variable; moments: Moments }[];
  assign(variable: Variable, bytes: Uint8Array): void;
  loadWeights(onProgress?: (done: number, total: number) => void): void;
  /** Gradients by variable name; exists only where asked for (tests). */
  gradientNames: string[];
}

/**
 * Builds and opens the session of a training run. Its entries:
 *
 * - `zero`: moments and accumulators to zero.
 * - `step`: ids, labels -> loss sum, gradient norm; one optimiser step.
 * - `accumulate` and `apply` instead of `step` where a step has several forward passes.
 * - `score`: ids, labels -> loss sum and missed labels of each row, without dropout.
 * - `readParameters`, `readMoments`: everything a checkpoint holds.
 * - `gradients`: the gradients themselves (only with `exposeGradients`).
 *
 * `lossScale` is 1 / labelled tokens of the whole step, so that a step's gradient is that of the mean over its tokens however
 * they are spread over forward passes.
 */
export async function openTrainingGraph(
  tf: Tensorflow,
  model: ModelGraph,
  config: TrainConfig,
  layout: { batch: number; tokens: number },
  options: { exposeGradients?: boolean } = {},
): Promise<TrainingGraph> {
  const { graph } = model;
  const rows = layout.batch * layout.tokens;
  const ids = graph.placeholder('ids', [rows], 'i32');
  const labels = graph.placeholder('labels', [rows], 'i32');
  const seed = graph.placeholder('seed', [2], 'i32');
  const lossScale = graph.placeholder('loss_scale', [], 'f32');
  const rates = {
    learningRate: graph.placeholder('learning_rate', [], 'f32'),
    correctedRate: graph.placeholder('corrected_rate', [], 'f32'),
    correctedEpsilon: graph.placeholder('corrected_epsilon', [], 'f32'),
  };
  const rowInputs = { ids, labels, ...model.rowInputs(rows) };
  const batchInputs = { ...rowInputs, seed, lossScale };

  const hidden = wholeRowsHidden(model, ids, layout, seed);
  const { lossSum, hiddenGradient, headGradient } = trainingLoss(
    hidden,
    model.headWeight(),
    labels,
    lossScale,
    {
      headGradient: model.trainsBase,
    },
  );
  const parameters = [...model.trainable];
  const found = gradients(
    [hidden, ...(headGradient ? [model.keptHeadWeight()] : [])],
    [hiddenGradient, ...(headGradient ? [headGradient] : [])],
    parameters.map(([, value]) => value),
  );
  const parts = parameters.map(([variable], i) => ({
    variable,
    moments: createMoments(graph, variable),
    gradient: required(found[i], variable.name),
  }));

  const entries: Record<string, Entry> = {};
  const zeroed: Variable[] = parts.flatMap(({ moments }) => [moments.first, moments.second]);
  const update = (final: readonly Tensor[]) => {
    const norm = globalNorm(final);
    const factor = config.clipNorm === null ? null : clipFactor(norm, config.clipNorm);
    const applied = parts.map(({ variable, moments }, i) =>
      applyAdamW(variable, moments, factor ? multiply(final[i]!, factor) : final[i]!, rates, config),
    );
    return { norm, applied };
  };

  if (config.accumulate === 1) {
    const { norm, applied } = update(parts.map(({ gradient }) => gradient));
    // Fetched values wait for the updates: TensorFlow runs only what a fetch needs.
    const outputs = graph.after(applied, () => ({ lossSum: same(lossSum), gradNorm: same(norm) }));
    entries['step'] = { inputs: { ...batchInputs, ...rates }, outputs };
  } else {
    const sums = parts.map(({ variable }) =>
      createVariable(graph, `${variable.name}.gradient_sum`, variable.shape, 'f32'),
    );
    zeroed.push(...sums);
    const added = parts.map(({ gradient }, i) => assignAddVariable(sums[i]!, gradient));
    entries['accumulate'] = {
      inputs: batchInputs,
      outputs: graph.after(added, () => ({ lossSum: same(lossSum) })),
    };
    const { norm, applied } = update(sums.map((variable) => readVariable(variable)));
    const cleared = graph.after(applied, () =>
      sums.map((variable) => assignVariable(variable, fill(graph, variable.shape, 0, 'f32'))),
    );
    entries['apply'] = {
      inputs: rates,
      outputs: graph.after([...applied, ...cleared], () => ({ gradNorm: same(norm) })),
    };
  }

  const scoreHidden = wholeRowsHidden(model, ids, layout, null);
  const scores = positionScores(scoreHidden, model.headWeight(), labels);
  entries['score'] = {
    inputs: rowInputs,
    outputs: { loss: sumPerRow(scores.loss, layout.batch), missed: sumPerRow(scores.missed, layout.batch) },
  };
  if (options.exposeGradients)
    entries['gradients'] = {
      inputs: batchInputs,
      outputs: {
        lossSum: same(lossSum),
        ...Object.fromEntries(parts.map(({ variable, gradient }) => [variable.name, gradient])),
      },
    };
  entries['zero'] = {
    inputs: {},
    outputs: {
      done: graph.after(
        zeroed.map((variable) => assignVariable(variable, fill(graph, variable.shape, 0, 'f32'))),
        () => graph.constant(1, 'i32'),
      ),
    },
  };
  const reads = (variables: readonly Variable[]) =>
    Object.fromEntries(variables.map((variable) => [variable.name, readVariable(variable)]));
  entries['readParameters'] = {
    inputs: {},
    outputs: reads(model.adapterParameters.map(({ variable }) => variable)),
  };
  entries['readMoments'] = {
    inputs: {},
    outputs: reads(parts.flatMap(({ moments }) => [moments.first, moments.second])),
  };
  const assignment = model.assignment(parts.flatMap(({ moments }) => [moments.first, moments.second]));
  entries['assign'] = assignment.entry;

  const session = await Session.open(tf, graph, entries);
  return {
    session,
    trainable: parts,
    assign: (variable, bytes) => assignment.assign(session, variable, bytes),
    loadWeights: (onProgress) => assignment.loadWeights(session, onProgress),
    gradientNames: parts.map(({ variable }) => variable.name),
  };

  function same(value: Tensor): Tensor {
    const [copy] = graph.addOperation({
      op: 'Identity',
      inputs: [value],
      attributes: { T: { kind: 'type', value: value.dtype } },
      outputs: [value],
    });
    return copy!;
  }
}

function required(gradient: Tensor | null | undefined, name: string): Tensor {
  if (!gradient) throw new Error(`the loss does not depend on ${name}`);
  return gradient;
}
