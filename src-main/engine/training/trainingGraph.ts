import type { TrainConfig } from '../../contract/training.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import { isFinite, logicalAnd, multiply } from '../graph/ops/elementwise.ts';
import { doIf } from '../graph/branch.ts';
import { Session, type Entry, type Tensorflow } from '../graph/session.ts';
import {
  assignAddVariable,
  assignVariable,
  createVariable,
  fill,
  readByIndex,
  readVariable,
  type Variable,
} from '../graph/variables.ts';
import { positionScores, sumPerRow, trainingLoss } from '../model/loss.ts';
import { hostBytes, type ModelGraph } from '../model/modelGraph.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';
import { clipFactor, globalNorm } from './gradientNorm.ts';
import { chooseOptimizer } from './optimizers/chooseOptimizer.ts';
import { createRoutingWatch, type RoutingGraph } from './routing.ts';
import type { Optimizer } from './optimizers/optimizer.ts';

/**
 * So many variables are updated at the same time, the others after them: an optimizer may hold several f32 copies of a
 * variable's size while it works on it.
 */
const updatesAtATime = 4;

/** The calls of a training session and the variables that a checkpoint holds. */
export interface TrainingGraph {
  session: Session;
  optimizer: Optimizer;
  /** The optimizer's state of all trainable variables, f32 or u8. */
  state: readonly Variable[];
  assign(variable: Variable, bytes: Uint8Array): void;
  /** The bytes of a parameter of `keptParameters` or of a variable of `state`. */
  read(variable: Variable): Uint8Array;
  loadWeights(onProgress?: (done: number, total: number) => void): void;
  /** What `score` tells of the experts besides, as `routing`; null where the method has none. */
  routing: Pick<RoutingGraph, 'sites' | 'experts'> | null;
  /** Gradients by variable name; exists only where asked for (tests). */
  gradientNames: string[];
}

/**
 * Builds and opens the session of a training run. Its entries:
 *
 * - `zero`: the optimizer's state and accumulators to zero.
 * - `step`: ids, labels -> loss sum, gradient norm, and whether the step was `applied`.
 * - `accumulate` and `apply` instead of `step` where a step has several forward passes.
 * - `score`: ids, labels -> loss sum and missed labels of each row, without dropout.
 * - `read`: the bytes of one of the variables that a checkpoint holds (see readByIndex).
 * - `gradients`: the gradients themselves (only with `exposeGradients`).
 * - what `moreEntries` builds on the same variables.
 *
 * With packing (`layout.longestExample`), entries that take ids also take positions and segments.
 *
 * `lossScale` is 1 / labelled tokens of the whole step, so that a step's gradient is that of the mean over its tokens
 * however they are spread over forward passes.
 *
 * A step whose loss or gradient norm is not finite changes neither parameters nor the optimizer's state.
 */
export async function openTrainingGraph(
  tf: Tensorflow,
  model: ModelGraph,
  config: TrainConfig,
  layout: BatchLayout,
  options: { exposeGradients?: boolean; moreEntries?: () => Record<string, Entry> } = {},
): Promise<TrainingGraph> {
  const { graph } = model;
  const rows = layout.batch * layout.tokens;
  const ids = graph.placeholder('ids', [rows], 'i32');
  const labels = graph.placeholder('labels', [rows], 'i32');
  const seed = graph.placeholder('seed', [2], 'i32');
  const lossScale = graph.placeholder('loss_scale', [], 'f32');
  const optimizer = chooseOptimizer(config);
  const scalarNames = Object.keys(optimizer.scalars(config.learningRate, 1));
  const scalars = Object.fromEntries(scalarNames.map((name) => [name, graph.placeholder(name, [], 'f32')]));
  const packing =
    layout.longestExample === undefined
      ? null
      : {
          positions: graph.placeholder('positions', [rows], 'f32'),
          segments: graph.placeholder('segments', [rows], 'f32'),
        };
  const rowInputs = { ids, labels, ...packing, ...model.rowInputs(rows) };
  const batchInputs = { ...rowInputs, seed, lossScale };

  const { gradientCheckpointing } = config;
  const hidden = wholeRowsHidden(model, ids, layout, seed, { packing, gradientCheckpointing });
  const { lossSum, hiddenGradient, headGradient } = trainingLoss(
    hidden,
    model.headWeight(),
    labels,
    lossScale,
    model.config,
    { headGradient: model.trainsBase },
  );
  const parameters = [...model.trainable];
  const found = gradients(
    [hidden, ...(headGradient ? [model.keptHeadWeight()] : [])],
    [hiddenGradient, ...(headGradient ? [headGradient] : [])],
    parameters.map(([, value]) => value),
  );
  const parts = parameters.map(([variable], i) => ({
    variable,
    update: optimizer.attach(variable, rateFactor(variable)),
    gradient: required(found[i], variable.name),
  }));

  const entries: Record<string, Entry> = {};
  const state = parts.flatMap(({ update }) => update.state);
  const zeroed = [...state];
  const updateAll = (final: readonly Tensor[], loss: Tensor) => {
    const norm = globalNorm(final);
    const finite = logicalAnd(isFinite(norm), isFinite(loss));
    const factor = config.clipNorm === null ? graph.constant(1) : clipFactor(norm, config.clipNorm);
    const fed = scalarNames.map((name) => scalars[name]!);
    const applied = doIf(graph, 'update', finite, [...final, factor, ...fed], (inputs) => {
      const [clip, ...values] = inputs.slice(final.length);
      const named = Object.fromEntries(scalarNames.map((name, i) => [name, values[i]!]));
      const done: (readonly string[])[] = [];
      for (const [i, { update }] of parts.entries())
        done.push(
          graph.after(done[i - updatesAtATime] ?? [], () => {
            const gradient = inputs[i]!;
            return update.apply(config.clipNorm === null ? gradient : multiply(gradient, clip!), named);
          }),
        );
      return done.flat();
    });
    return { norm, applied };
  };

  if (config.accumulate === 1) {
    const { norm, applied } = updateAll(
      parts.map(({ gradient }) => gradient),
      lossSum,
    );
    entries['step'] = {
      inputs: { ...batchInputs, ...scalars },
      outputs: { lossSum: same(lossSum), gradNorm: same(norm), applied },
    };
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
    const wholeLoss = graph.placeholder('whole_loss', [], 'f32');
    const { norm, applied } = updateAll(
      sums.map((variable) => readVariable(variable)),
      wholeLoss,
    );
    const cleared = graph.after([applied], () =>
      sums.map((variable) => assignVariable(variable, fill(graph, variable.shape, 0, 'f32'))),
    );
    entries['apply'] = {
      inputs: { ...scalars, wholeLoss },
      // Fetched values wait for the clearing: TensorFlow runs only what a fetch needs.
      outputs: graph.after(cleared, () => ({ gradNorm: same(norm), applied: same(applied) })),
    };
  }

  const watched = createRoutingWatch();
  const scoreHidden = wholeRowsHidden(model, ids, layout, null, { packing, watch: watched.watch });
  const routing = watched.build(graph, rows);
  const scores = positionScores(scoreHidden, model.headWeight(), labels, model.config);
  entries['score'] = {
    inputs: { ...rowInputs, ...(routing && { counted: routing.counted }) },
    outputs: {
      loss: sumPerRow(scores.loss, layout.batch),
      missed: sumPerRow(scores.missed, layout.batch),
      ...(routing && { routing: routing.sums }),
    },
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
        zeroed.map((variable) => assignVariable(variable, fill(graph, variable.shape, 0, variable.dtype))),
        () => graph.constant(1, 'i32'),
      ),
    },
  };
  // Built after all that trains, so that they change nothing of its graph.
  Object.assign(entries, options.moreEntries?.());
  const kept = [...keptParameters(model), ...state];
  const index = graph.placeholder('read_index', [], 'i32');
  entries['read'] = { inputs: { index }, outputs: { bytes: readByIndex(graph, kept, index) } };
  const assignment = model.assignment(state);
  entries['assign'] = assignment.entry;

  const session = await Session.open(tf, graph, entries);
  return {
    session,
    optimizer,
    state,
    assign: (variable, bytes) => assignment.assign(session, variable, bytes),
    read: (variable) =>
      hostBytes(session.run('read', { index: Int32Array.of(kept.indexOf(variable)) })['bytes']!),
    loadWeights: (onProgress) => assignment.loadWeights(session, onProgress),
    routing,
    gradientNames: parts.map(({ variable }) => variable.name),
  };

  function rateFactor(variable: Variable): number {
    const parameter = model.adapterParameters.find((known) => known.variable === variable);
    return parameter?.spec.rateGroup === 'B' ? config.loraPlusRatio : 1;
  }

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

/** What a checkpoint keeps of the model: the adapter's parameters, or all that full fine-tuning trains. */
export function keptParameters(model: ModelGraph): readonly Variable[] {
  return model.trainsBase
    ? [...model.trainable.keys()]
    : model.adapterParameters.map(({ variable }) => variable);
}

function required(gradient: Tensor | null | undefined, name: string): Tensor {
  if (!gradient) throw new Error(`the loss does not depend on ${name}`);
  return gradient;
}
