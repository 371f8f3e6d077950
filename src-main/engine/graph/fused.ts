import type { DType } from './dtype.ts';
import { gradients } from './gradients.ts';
import type { Graph, Tensor } from './graph.ts';
import type { Attribute, FunctionDefinition, GraphNode } from './nodes.ts';
import { addAll, cast } from './ops/elementwise.ts';
import { beforeTurning } from './ops/turned.ts';

/**
 * Runs elementwise work as one XLA-compiled function, shared by all calls of the same kind and shapes.
 *
 * Measured reason: TensorFlow runs elementwise chains op by op, each through memory; compiled they are one loop
 * (0.775 -> 0.61 s for a training step of 8 layers on two cores). Matrix products stay outside: XLA's CPU products
 * are slower than oneDNN's.
 *
 * The gradient is derived by reverse mode inside a second function that takes the inputs and the upstream gradients
 * and recomputes what it needs, so nothing but the inputs it really reads is kept between forward and backward.
 *
 * @param kind name of the function; `body` must be a pure function of its inputs for each kind
 */
export function fused(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const graph = inputs[0]!.graph;
  if (!isCompiling(graph)) return [...body(inputs)];
  const values = callCompiled(graph, kind, inputs, body);
  return graph.withGradientOfAddends(inputs, values, (upstream, wanted) => {
    const arriving = upstream.map(({ length }) => length).join('_');
    const results = callCompiled(
      graph,
      `${kind}_gradient_${arriving}_${wanted.map((flag) => (flag ? '1' : '0')).join('')}`,
      [...inputs, ...upstream.flat()],
      (all) => {
        const again = all.slice(0, inputs.length);
        const sums = addendSums(upstream, all.slice(inputs.length));
        const outputs = body(again).filter((_, i) => sums[i]);
        const targets = again.filter((_, i) => wanted[i]);
        return gradients(
          outputs,
          sums.filter((sum) => sum !== null),
          targets,
        ).map((gradient, i) => {
          if (!gradient) throw new Error(`${kind}: its outputs do not depend on wanted input ${i}`);
          return gradient;
        });
      },
    );
    let next = 0;
    return wanted.map((isWanted) => (isWanted ? results[next++]! : null));
  });
}

/**
 * The sums of addends as a compiled function sees them, in f32 and rounded once; null where there are none.
 * @param lists the addends outside
 * @param inside all of them, one list behind the other
 */
export function addendSums(
  lists: readonly (readonly Tensor[])[],
  inside: readonly Tensor[],
): (Tensor | null)[] {
  let begin = 0;
  return lists.map(({ length }) => {
    const addends = inside.slice(begin, begin + length);
    begin += length;
    if (length < 2) return addends[0] ?? null;
    return cast(addAll(addends.map((addend) => cast(addend, 'f32'))), addends[0]!.dtype);
  });
}

/** One output: the common case of `fused`. */
export function fusedOne(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => Tensor,
): Tensor {
  return fused(kind, inputs, (all) => [body(all)])[0]!;
}

/**
 * Like `fused`, for values whose gradient the caller gives (Graph.withGradient), in terms of outputs that are kept
 * anyway: nothing flows back through the result itself.
 */
export function fusedWithoutGradient(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const graph = inputs[0]!.graph;
  const values = isCompiling(graph) ? callCompiled(graph, kind, inputs, body) : body(inputs);
  return graph.withGradient([], values, () => []);
}

/**
 * The same values in another type, by one function for all of them, and their gradients back by another: on a card
 * hundreds of small tensors would cost a launch each, both ways.
 */
export function castTogether(values: readonly Tensor[], dtype: DType): Tensor[] {
  const { graph } = values[0]!;
  const castAll = (given: readonly Tensor[], to: (i: number) => DType) =>
    fusedWithoutGradient(`cast_${given.map((_, i) => to(i)).join('_')}`, given, (all) =>
      all.map((value, i) => cast(value, to(i))),
    );
  const made = castAll(values, () => dtype);
  return graph.withGradient(values, made, (upstream, wanted) => {
    const present = upstream.flatMap((gradient, i) => (gradient && wanted[i] ? [{ gradient, i }] : []));
    const gradients = castAll(
      present.map(({ gradient }) => gradient),
      (at) => values[present[at]!.i]!.dtype,
    );
    const known = castTogetherFrom.get(graph) ?? new Map<string, Tensor>();
    castTogetherFrom.set(graph, known);
    for (const [at, { gradient }] of present.entries()) known.set(gradients[at]!.reference, gradient);
    const found = new Map(present.map(({ i }, at) => [i, gradients[at]!]));
    return values.map((_, i) => found.get(i) ?? null);
  });
}

/** Of a gradient that was cast together with others, what it was before, by its reference in the main graph. */
const castTogetherFrom = new WeakMap<Graph, Map<string, Tensor>>();

/**
 * A gradient in the type in which it was computed, for who casts it inside a function: where all do, the function that
 * casts is never called.
 */
export function beforeCasting(gradient: Tensor): Tensor {
  return castTogetherFrom.get(gradient.graph)?.get(gradient.reference) ?? gradient;
}

/**
 * Like `fusedWithoutGradient`, also inside functions that are not compiled themselves (doIf): what changes variables
 * lives there.
 *
 * @returns null where the graph compiles nothing
 */
export function compiledCall(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] | null {
  const { graph } = inputs[0]!;
  return graph.fusion && !graph.body.isCompiled ? callCompiled(graph, kind, inputs, body) : null;
}

/**
 * Runs a part of the graph as one XLA-compiled function, products included, and whatever the part reads from around it.
 * Parts that are equal but for what they read, as the layers of a model, share one function. No gradient flows through.
 */
export function compiledPart(
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const graph = inputs[0]!.graph;
  if (!isCompiling(graph)) return [...body(inputs)];
  const { given, restored } = beforeTurning(inputs);
  const traced = graph.traceFunction(
    `part_${graph.functions.size}`,
    given,
    (all) => body(restored(all)),
    compiledAttributes,
  );
  const read = [...given, ...traced.captured];
  const { name: own, ...rest } = traced.definition;
  const shapes = read.map((input) => `${input.dtype}${input.shape.join('x')}`);
  const key = JSON.stringify([shapes, rest], (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
  const parts = compiledParts.get(graph) ?? new Map<string, string>();
  compiledParts.set(graph, parts);
  const name = parts.get(key) ?? own;
  if (name === own) {
    graph.addFunction(traced.definition);
    parts.set(key, name);
  }
  return callOf(graph, name, read, traced.outputs);
}

const compiledParts = new WeakMap<Graph, Map<string, string>>();
const compiledAttributes = {
  _XlaMustCompile: { kind: 'bool', value: true },
  _noinline: { kind: 'bool', value: true },
} as const satisfies Record<string, Attribute>;

function callOf(
  graph: Graph,
  name: string,
  inputs: readonly Tensor[],
  outputs: readonly Pick<Tensor, 'shape' | 'dtype'>[],
): Tensor[] {
  return graph.addOperation({
    op: 'StatefulPartitionedCall',
    inputs,
    attributes: {
      Tin: { kind: 'types', value: inputs.map((input) => input.dtype) },
      Tout: { kind: 'types', value: outputs.map((output) => output.dtype) },
      f: { kind: 'function', value: name },
      _XlaMustCompile: { kind: 'bool', value: true },
    },
    outputs,
  });
}

/** Inside a function there is nothing left to compile. */
function isCompiling(graph: Graph): boolean {
  return graph.fusion && graph.body.functionName === null;
}

function callCompiled(
  graph: Graph,
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const { given, restored } = beforeTurning(inputs);
  const shapes = given
    .map(({ dtype, shape }, i) => `${dtype}${shape.join('x')}${given[i] === inputs[i] ? '' : 'turned'}`)
    .join(' ');
  const definition = compiledFunctions(graph).get(`${kind} ${shapes}`) ?? define();
  const read = definition.read.map((i) => given[i]!);
  const results = callOf(graph, definition.name, read, definition.outputs);
  return definition.places.map((place) => results[place]!);

  function define() {
    const name = `${kind}_${graph.functions.size}`;
    let places: number[] = [];
    const build = (all: readonly Tensor[]) => {
      const once = distinct(body(restored(all)));
      places = once.places;
      return once.values;
    };
    const outputs = graph.defineFunction(name, given, build, compiledAttributes);
    const made = { name, outputs, places, read: dropUnread(graph.functions.get(name)!) };
    compiledFunctions(graph).set(`${kind} ${shapes}`, made);
    return made;
  }
}

/**
 * Values without those that are the same as one before: a function writes each of its results to memory of its own.
 * @returns `places`: where each is found among the values that stay
 */
function distinct(all: readonly Tensor[]): { values: Tensor[]; places: number[] } {
  const values: Tensor[] = [];
  const known = new Map<string, number>();
  const places = all.map((value) => {
    const { type, inputs } = value.source;
    const key = type === 'Cast' ? `${inputs[0]!.reference} ${value.dtype}` : value.reference;
    const place = known.get(key) ?? values.push(value) - 1;
    known.set(key, place);
    return place;
  });
  return { values, places };
}

/**
 * Removes what no output needs from a function: nodes and inputs. An input that a gradient takes but never reads would
 * be kept in memory from the forward pass on. @returns indices of the inputs that stay
 */
function dropUnread(definition: FunctionDefinition): number[] {
  const producer = new Map(definition.nodes.map((node) => [node.name, node]));
  const argumentsRead = new Set<string>();
  const needed = new Set<GraphNode>();
  const queue = definition.outputs.map(({ reference }) => reference);
  for (let reference = queue.pop(); reference !== undefined; reference = queue.pop()) {
    const name = reference.replace(/^\^/, '').split(':')[0]!;
    const node = producer.get(name);
    if (!node) argumentsRead.add(name);
    else if (!needed.has(node)) {
      needed.add(node);
      for (const input of node.inputs) queue.push(input);
    }
  }
  const read = definition.inputs.flatMap(({ name }, i) => (argumentsRead.has(name) ? [i] : []));
  definition.nodes = definition.nodes.filter((node) => needed.has(node));
  definition.inputs = read.map((i) => definition.inputs[i]!);
  return read;
}

type Compiled = Map<
  string,
  {
    name: string;
    outputs: Pick<Tensor, 'shape' | 'dtype'>[];
    /** Of each value that was asked for, its place among the outputs. */
    places: readonly number[];
    /** Inputs that it reads. */
    read: readonly number[];
  }
>;
const byGraph = new WeakMap<Graph, Compiled>();

function compiledFunctions(graph: Graph): Compiled {
  const known = byGraph.get(graph) ?? new Map();
  byGraph.set(graph, known);
  return known;
}
