import type { TrainConfig } from '../../contract/training.ts';
import type { DecodingSize } from '../../options/decodingSize.ts';
import type { BatchLayout, PassLayouts } from '../../options/passLayouts.ts';
import { gradients } from '../graph/gradients.ts';
import { elementCount } from '../graph/dtype.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import { effectEntry, type Entry, type Tensorflow, type Tensors } from '../graph/session.ts';
import {
  assignAddVariable,
  assignVariable,
  createVariable,
  fill,
  readVariable,
  type Variable,
} from '../graph/variables.ts';
import { decodingEntries, type Decoder, type DecodingEntries } from '../inference/decodingGraph.ts';
import { positionScores, trainingLoss } from '../model/loss.ts';
import type { ModelGraph, ModelSession } from '../model/modelGraph.ts';
import { createRoutingWatch, type RoutingGraph } from '../model/routing.ts';
import type { Batch } from '../model/batches.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import {
  chooseOptimizer,
  parameterUpdate,
  type ParameterUpdate,
  type TrainedParameter,
} from './parameterUpdate.ts';

type BatchInputs = RowInputs & Tensors<'seed' | 'lossScale'>;

/**
 * The calls of a training session:
 *
 * - `zero`: the optimizer's state and the gradient sums to zero.
 * - `step`: loss sum, gradient norm, and whether the step was `applied`; the loss of each position where the rows come
 *   from several sources.
 * - `accumulate` and `apply` instead of `step` where a step has several forward passes.
 * - `score`: loss and missed label of each position, without dropout; `routing` where the method has experts.
 * - `gradients`: the gradients themselves by variable name, besides `lossSum` (only with `exposeGradients`).
 *
 * Where passes have several lengths, each further one has calls of its own, named by `passName`. With several examples
 * in a row (`layout.longestExample`), entries that take ids also take positions and segments.
 *
 * `lossScale` is 1 / labelled tokens of the whole step, so that a step's gradient is that of the mean over its tokens
 * however they are spread over forward passes.
 */
export type TrainingEntries = {
  zero: Entry<Tensors<never>>;
  step?: StepEntry;
  [name: `step_${number}`]: StepEntry;
  accumulate?: AccumulateEntry;
  [name: `accumulate_${number}`]: AccumulateEntry;
  apply?: Entry<Tensors<'wholeLoss'> & Tensors, Tensors<'gradNorm' | 'applied'>>;
  score: Entry<RowInputs & { counted?: Tensor }, Tensors<'loss' | 'missed'> & { routing?: Tensor }>;
  gradients?: Entry<BatchInputs, Tensors<'lossSum'> & Tensors>;
};

type StepEntry = Entry<
  BatchInputs & Tensors,
  Tensors<'lossSum' | 'gradNorm' | 'applied'> & { losses?: Tensor }
>;
type AccumulateEntry = Entry<BatchInputs, Tensors<'lossSum'> & { losses?: Tensor }>;

/** Nothing for the shortest passes, the slots for others. */
type PassSuffix = '' | `_${number}`;

/** A training session, from which `keptParameters` and `state` can be read, and the variables of a checkpoint. */
export interface TrainingGraph {
  session: ModelSession<TrainingEntries>;
  /** What the calls of a pass over such a batch are called behind their first word. */
  suffixOf(batch: Pick<Batch, 'ids'>): PassSuffix;
  optimizer: Optimizer;
  /** The optimizer's state of all trainable variables, f32 or u8. */
  state: readonly Variable[];
  /** The experts of which `score` tells; null where the method has none. */
  routing: Pick<RoutingGraph, 'sites' | 'experts'> | null;
  /** Decodes with the parameters of the moment; null where it was not asked for. */
  decoder: Decoder | null;
  /** Gradients by variable name; exists only where asked for (tests). */
  gradientNames: string[];
}

/**
 * Builds and opens the session of a training run.
 * @param options.decoding adds a decoder of this size
 * @param options.positionLosses lets a step tell the loss of each position
 * @param options.exposeGradients for passes of the first layout
 */
export async function openTrainingGraph(
  tf: Tensorflow,
  model: ModelGraph,
  config: TrainConfig,
  layouts: Pick<PassLayouts, 'training' | 'scoring'>,
  options: { exposeGradients?: boolean; decoding?: DecodingSize | null; positionLosses?: boolean } = {},
): Promise<TrainingGraph> {
  const { graph } = model;
  const suffixes = new Map<number, PassSuffix>(
    layouts.training.map(({ batch, tokens }, i) => [batch * tokens, i === 0 ? '' : `_${batch * tokens}`]),
  );
  const inputsOf = createRowInputs(model);
  const shared = {
    seed: graph.placeholder('seed', [2], 'i32'),
    lossScale: graph.placeholder('loss_scale', [], 'f32'),
  };
  const passes = layouts.training.map((layout) =>
    lossAndGradients(
      model,
      config,
      layout,
      { ...inputsOf(layout), ...shared },
      options.positionLosses ?? false,
    ),
  );
  const [first] = passes;
  const optimizer = chooseOptimizer(config);
  const update = parameterUpdate(
    graph,
    optimizer,
    config,
    first!.parts.map(({ variable }) => trained(variable, model, config)),
  );
  const { state } = update;
  const named = (pass: Loss) => ({ pass, suffix: suffixes.get(elementCount(pass.inputs.ids.shape))! });
  const step =
    config.accumulate === 1
      ? wholeSteps(graph, passes.map(named), update)
      : accumulatedSteps(graph, passes.map(named), update);
  const { score, routing } = scoring(model, layouts.scoring, inputsOf(layouts.scoring));
  // What follows changes nothing of the graph that trains.
  const exposed = options.exposeGradients && { gradients: exposedGradients(graph, first!) };
  const zero = effectEntry(graph, fillWithZeros(graph, [...state, ...step.sums]));
  const decoding = options.decoding ? decodingEntries(model, options.decoding, ['greedy']) : null;
  const kept = [...keptParameters(model), ...state];

  const training: TrainingEntries = { ...step.entries, ...exposed, score, zero };
  const session = await model.open(tf, { ...training, ...decoding?.entries }, { assigned: state, kept });
  return {
    session,
    suffixOf({ ids }) {
      const suffix = suffixes.get(ids.length);
      if (suffix === undefined) throw new Error(`the session has no pass of ${ids.length} slots`);
      return suffix;
    },
    optimizer,
    state,
    routing,
    decoder: decoding && { ...decoding, session: session as unknown as ModelSession<DecodingEntries> },
    gradientNames: first!.parts.map(({ variable }) => variable.name),
  };
}

/** What a checkpoint keeps of the model: the adapter's parameters, or all that full fine-tuning trains. */
export function keptParameters(model: ModelGraph): readonly Variable[] {
  return model.trainsBase
    ? [...model.trainable.keys()]
    : model.adapterParameters.map(({ variable }) => variable);
}

interface Loss {
  inputs: BatchInputs;
  /** Sum over the labels of a forward pass, f32 scalar. */
  lossSum: Tensor;
  /** Its terms, f32 [positions]; only where asked for. */
  losses?: Tensor;
  /** The trainable variables, each with the gradient of lossScale * lossSum, f32. */
  parts: readonly { variable: Variable; gradient: Tensor }[];
}

/** The forward pass with dropout, and the backward pass. */
function lossAndGradients(
  model: ModelGraph,
  { gradientCheckpointing }: Pick<TrainConfig, 'gradientCheckpointing'>,
  layout: BatchLayout,
  inputs: BatchInputs,
  positionLosses: boolean,
): Loss {
  const { trainsBase } = model;
  const packing = packingOf(inputs);
  const { ids, seed, places = null, embedded } = inputs;
  const hidden = wholeRowsHidden(model, ids, layout, seed, {
    packing,
    places,
    embedded,
    gradientCheckpointing,
  });
  const head = model.headWeight();
  const loss = trainingLoss(hidden, head, inputs.labels, inputs.lossScale, model.config, {
    headGradient: trainsBase,
  });
  const { lossSum, hiddenGradient, headGradient } = loss;
  const parameters = [...model.trainable];
  const found = gradients(
    [hidden, ...(headGradient ? [model.keptHeadWeight()] : [])],
    [hiddenGradient, ...(headGradient ? [headGradient] : [])],
    parameters.map(([, value]) => value),
  );
  const parts = parameters.map(([variable], i) => {
    const gradient = found[i];
    if (!gradient) throw new Error(`the loss does not depend on ${variable.name}`);
    return { variable, gradient };
  });
  const losses = positionLosses && { losses: loss.losses };
  return { inputs, lossSum, ...losses, parts };
}

interface NamedPass {
  pass: Loss;
  suffix: PassSuffix;
}

/** Steps of one forward pass. */
function wholeSteps(graph: Graph, passes: readonly NamedPass[], { scalars, update }: ParameterUpdate) {
  const entries = passes.map(({ pass: { inputs, lossSum, losses, parts }, suffix }) => {
    const gradientsOfParts = parts.map(({ gradient }) => gradient);
    const { gradNorm, applied } = update(gradientsOfParts, lossSum);
    const step = {
      inputs: { ...inputs, ...scalars },
      outputs: {
        lossSum: identity(graph, lossSum),
        gradNorm: identity(graph, gradNorm),
        applied,
        ...(losses && { losses: identity(graph, losses) }),
      },
    };
    return [`step${suffix}` as const, step] as const;
  });
  return { entries: Object.fromEntries(entries) as Pick<TrainingEntries, 'step'>, sums: [] };
}

/** A step of several forward passes, whose gradients are summed in variables of their own. */
function accumulatedSteps(graph: Graph, passes: readonly NamedPass[], { scalars, update }: ParameterUpdate) {
  const sums = passes[0]!.pass.parts.map(({ variable: { name, shape } }) =>
    createVariable(graph, `${name}.gradient_sum`, shape, 'f32'),
  );
  const entries = passes.map(({ pass: { inputs, lossSum, losses, parts }, suffix }) => {
    const added = parts.map(({ gradient }, i) => assignAddVariable(sums[i]!, gradient));
    const accumulate = {
      inputs,
      outputs: graph.after(added, () => ({
        lossSum: identity(graph, lossSum),
        ...(losses && { losses: identity(graph, losses) }),
      })),
    };
    return [`accumulate${suffix}` as const, accumulate] as const;
  });
  const wholeLoss = graph.placeholder('whole_loss', [], 'f32');
  const { gradNorm, applied } = update(sums.map(readVariable), wholeLoss);
  const cleared = graph.after([applied], () => fillWithZeros(graph, sums));
  const apply = {
    inputs: { ...scalars, wholeLoss },
    // Fetched values wait for the clearing: TensorFlow runs only what a fetch needs.
    outputs: graph.after(cleared, () => ({
      gradNorm: identity(graph, gradNorm),
      applied: identity(graph, applied),
    })),
  };
  return {
    entries: { ...(Object.fromEntries(entries) as Pick<TrainingEntries, 'accumulate'>), apply },
    sums,
  };
}

function exposedGradients(graph: Graph, { inputs, lossSum, parts }: Loss) {
  const byName = Object.fromEntries(parts.map(({ variable, gradient }) => [variable.name, gradient]));
  return { inputs, outputs: { ...byName, lossSum: identity(graph, lossSum) } };
}

/** @returns the names of the nodes */
function fillWithZeros(graph: Graph, variables: readonly Variable[]): string[] {
  return variables.map((variable) =>
    assignVariable(variable, fill(graph, variable.shape, 0, variable.dtype)),
  );
}

/** How a variable is trained: some with another learning rate (LoRA+), the adapters of a layer together. */
function trained(variable: Variable, model: ModelGraph, config: TrainConfig): TrainedParameter {
  const parameter = model.adapterParameters.find((known) => known.variable === variable);
  const rateFactor = parameter?.spec.rateGroup === 'B' ? config.loraPlusRatio : 1;
  return { variable, rateFactor, group: parameter && `layer ${parameter.place?.site.layer}` };
}

/** The same value by a node of its own, on which control inputs can be hung. */
function identity(graph: Graph, value: Tensor): Tensor {
  const [copy] = graph.addOperation({
    op: 'Identity',
    inputs: [value],
    attributes: { T: { kind: 'type', value: value.dtype } },
    outputs: [value],
  });
  return copy!;
}

/**
 * What every pass over a batch is fed: positions and segments where its rows hold several examples, the places of
 * labels where those are fewer than the tokens.
 */
type RowInputs = Tensors<'ids' | 'labels'> & {
  tasks?: Tensor;
  positions?: Tensor;
  segments?: Tensor;
  places?: Tensor;
  embedded?: Tensor;
};

/** Declares what passes over batches of a layout are fed, once for all of the same shapes. */
function createRowInputs(model: ModelGraph): (layout: BatchLayout) => RowInputs {
  const { graph } = model;
  const known = new Map<string, RowInputs>();
  return ({ batch, tokens, longestExample, labels }) => {
    const rows = batch * tokens;
    const shapes = `${rows} ${labels}`;
    const found = known.get(shapes);
    if (found) return found;
    const suffix = known.size === 0 ? '' : `_${known.size}`;
    const inputs = {
      ids: graph.placeholder(`ids${suffix}`, [rows], 'i32'),
      labels: graph.placeholder(`labels${suffix}`, [labels ?? rows], 'i32'),
      ...(labels !== undefined && { places: graph.placeholder(`places${suffix}`, [labels], 'i32') }),
      ...model.rowInputs(rows),
      ...model.embeddedInput(`embedded${suffix}`, rows),
      ...(longestExample !== undefined && {
        positions: graph.placeholder(`positions${suffix}`, [rows], 'f32'),
        segments: graph.placeholder(`segments${suffix}`, [rows], 'f32'),
      }),
    };
    known.set(shapes, inputs);
    return inputs;
  };
}

/** Where the examples of a row stand; null: a row is one example. */
const packingOf = ({ positions, segments }: RowInputs) =>
  positions && segments ? { positions, segments } : null;

/** The forward pass without dropout, with what it tells of the experts. */
function scoring(model: ModelGraph, layout: BatchLayout, inputs: RowInputs) {
  const watched = createRoutingWatch();
  const packing = packingOf(inputs);
  const { ids, places = null, embedded } = inputs;
  const hidden = wholeRowsHidden(model, ids, layout, null, {
    packing,
    places,
    embedded,
    ...(model.hasExperts && { watch: watched.watch }),
  });
  const routing = watched.build(model.graph, layout.batch * layout.tokens);
  const { loss, missed } = positionScores(hidden, model.headWeight(), inputs.labels, model.config);
  const score = {
    inputs: { ...inputs, ...(routing && { counted: routing.counted }) },
    outputs: {
      loss: identity(model.graph, loss),
      missed: identity(model.graph, missed),
      ...(routing && { routing: routing.sums }),
    },
  };
  return { score, routing };
}
