import { repeated } from '../graph/functions.ts';
import { fusedWithoutGradient } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  cast,
  divide,
  equal,
  exp,
  floor,
  greaterEqual,
  less,
  log,
  logicalAnd,
  maximum,
  minimum,
  multiply,
  negate,
  scalarLike,
  scale,
  select,
  subtract,
} from '../graph/ops/elementwise.ts';
import { gather, padAxis, reshape } from '../graph/ops/layout.ts';
import { max, sum } from '../graph/ops/reduce.ts';

/** What tokens are drawn by: scalars in f32, the same for all rows. */
interface Sampling {
  /** Above 0. */
  temperature: Tensor;
  /** In (0, 1], or above; null, as from 1 on: every token may be drawn. */
  topP: Tensor | null;
}

/**
 * Draws a token of each row from softmax(logits / temperature), where there is a `topP` from its nucleus: the smallest
 * set of most likely tokens whose probability reaches it (Holtzman et al. 2020). Of equally likely tokens at its edge
 * those of the lowest ids belong to it.
 *
 * Each token of the nucleus takes its probability of [0, mass of the nucleus): first those above the edge by their ids,
 * then those at it. The one at uniform * mass is drawn. Sums are sums of sums, in f32: only where the number lies
 * within 1e-5 of the border between two tokens, or topP within 1e-6 of a mass, may another be drawn than by exact
 * numbers. Temperatures that are almost 0 draw the most likely token.
 *
 * @param logits f32 [rows, vocabulary]
 * @param uniform f32 [rows], each in [0, 1]
 * @returns i32 [rows]; some token of the vocabulary even where logits are no numbers
 */
export function drawnTokens(logits: Tensor, uniform: Tensor, { temperature, topP }: Sampling): Tensor {
  const [rows, words] = logits.shape as [number, number];
  // The weights are written down: made anew for each comparison they might come out different.
  const [weights] = onCard('draw_weights', [logits, temperature], ([z, t]) => {
    const shifted = subtract(z!, max(z!, [1], true));
    const each = exp(divide(shifted, maximum(t!, scalarLike(t!, lowestDivisor))));
    return [padAxis(each, 1, 0, leaf * Math.ceil(words / leaf) - words)];
  });
  const given = [weights!, reshape(uniform, [rows, 1])];
  const [drawn] = topP
    ? onCard('draw_nucleus', [...given, topP], ([w, u, p]) => [drawnOfNucleus(w!, u!, p!)])
    : onCard('draw', given, ([w, u]) => [firstBeyond(w!, multiply(u!, massOf(w!))).index]);
  return cast(reshape(drawn!, [rows]), 'i32');
}

/** What is divided by it is still finite, whatever logits there are. */
const lowestDivisor = 1e-30;

/** Weights that are added up at a time where one of them is looked for: a vocabulary takes three levels. */
const leaf = 64;

/**
 * On a card this is one compiled function. On a processor TensorFlow's own kernels take as long, without the second
 * that compiling takes; only a nucleus is compiled there.
 */
function onCard(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): readonly Tensor[] {
  return inputs[0]!.graph.device === 'gpu' ? fusedWithoutGradient(kind, inputs, body) : body(inputs);
}

/** @param weights [rows, n] @param uniform [rows, 1] @returns [rows, 1] */
function drawnOfNucleus(weights: Tensor, uniform: Tensor, topP: Tensor): Tensor {
  const zero = scalarLike(weights, 0);
  const { target, bound, edge, above, ties } = nucleusOf(weights, topP);
  const mass = sum(above, [1], true);
  const divisor = maximum(edge, scalarLike(edge, lowestDivisor));
  const atEdge = ceiling(divide(subtract(target, mass), divisor));
  const place = multiply(uniform, add(mass, multiply(atEdge, edge)));
  // Those at the edge are counted: a sum of many would not tell the last of them from the next.
  const isAtEdge = logicalAnd(greaterEqual(place, mass), less(zero, edge));
  const last = subtract(atEdge, scalarLike(atEdge, 0.5));
  const count = minimum(divide(subtract(place, mass), divisor), last);
  const candidates = (block: Tensor) =>
    select(isAtEdge, cast(equal(block, edge), 'f32'), select(greaterEqual(block, bound), block, zero));
  return firstInBlocks(weights, select(isAtEdge, ties, above), select(isAtEdge, count, place), candidates)
    .index;
}

/**
 * Where the nucleus of each row ends: all weights above its edge are part of it, and as many of those at it as reach
 * the target.
 * @returns [rows, 1], `bound` between the edge and what is above it; and of each block of weights [rows, n / leaf] the
 * sum of those above the edge, and how many are at it
 */
function nucleusOf(weights: Tensor, topP: Tensor) {
  const [rows, n] = weights.shape as [number, number];
  const [target, bound, edge, above, ties] = fusedWithoutGradient('nucleus', [weights, topP], ([w, p]) => {
    const [zero, one] = [scalarLike(w!, 0), scalarLike(p!, 1)];
    const total = massOf(w!);
    // What reaches topP but for the rounding of f32, reaches it.
    const reached = multiply(scale(p!, 1 - 2 ** -20), total);
    const found = boundOfNucleus(w!, reached, total, multiply(subtract(one, p!), total));
    const lowest = select(less(p!, one), found, zero);
    const greatest = max(select(less(w!, lowest), w!, zero), [1], true);
    const blocks = reshape(w!, [rows, n / leaf, leaf]);
    const ofRows = (values: Tensor) => reshape(values, [rows, 1, 1]);
    return [
      reached,
      lowest,
      greatest,
      sum(select(greaterEqual(blocks, ofRows(lowest)), blocks, zero), [2]),
      sum(cast(equal(blocks, ofRows(greatest)), 'f32'), [2]),
    ];
  });
  return { target: target!, bound: bound!, edge: edge!, above: above!, ties: ties! };
}

/**
 * A bound for the weights: those from it on do not reach the target, with the largest below it they do. Found by
 * comparing the mass above ever closer bounds; sorting a vocabulary takes several times as long.
 * @param total mass of all @param leftOut what may stay outside: a weight below an equal share of it is not needed
 * @returns [rows, 1]
 */
function boundOfNucleus(weights: Tensor, target: Tensor, total: Tensor, leftOut: Tensor): Tensor {
  const { graph } = weights;
  const [rows, n] = weights.shape as [number, number];
  const lowest = maximum(scale(leftOut, 1 / n), scalarLike(leftOut, 2 ** -43));
  const { ways, steps } = search[graph.device];
  /** @param massLow of the weights from the lower bound on @param massHigh of those from the higher one on */
  const step = ([all, mass, low, high, massLow, massHigh]: readonly Tensor[]): readonly Tensor[] => {
    const fractions = Array.from({ length: ways }, (_, i) => (i + 1) / (ways + 1));
    const ratio = log(divide(high!, low!));
    const bounds = multiply(low!, exp(multiply(ratio, graph.constant(fractions, 'f32', [1, ways]))));
    const kept = select(greaterEqual(all!, reshape(bounds, [rows, ways, 1, 1])), all!, scalarLike(all!, 0));
    const masses = sum(sum(kept, [2]), [2]);
    const reaches = greaterEqual(masses, mass!);
    const most = (values: Tensor) => max(values, [1], true);
    const least = (values: Tensor) => negate(most(negate(values)));
    return [
      all!,
      mass!,
      maximum(low!, most(select(reaches, bounds, low!))),
      minimum(high!, least(select(reaches, high!, bounds))),
      least(select(reaches, masses, massLow!)),
      most(select(reaches, massHigh!, masses)),
    ];
  };
  /** There is but one weight between the bounds: two would have twice the lower one. */
  const isFound = ([, , low, , massLow, massHigh]: readonly Tensor[]) =>
    less(max(subtract(subtract(massLow!, massHigh!), scale(low!, 2)), [0, 1]), scalarLike(low!, 0));
  const width = widthOf(n);
  const all = reshape(weights, [rows, 1, n / width, width]);
  const [high, massHigh] = [2, 0].map((value) =>
    graph.constant(new Float32Array(rows).fill(value), 'f32', [rows, 1]),
  );
  const begin = [all, target, lowest, high!, total, massHigh!];
  return repeated('closer', begin, { step, times: steps, isDone: isFound })[3]!;
}

/**
 * Into how many parts a step cuts the ratio of the bounds, less one, and how many steps there are at most: 2^28 parts,
 * of which one is as narrow as two neighbouring numbers of f32. On a card a comparison more costs less than a launch.
 */
const search = { cpu: { ways: 1, steps: 28 }, gpu: { ways: 15, steps: 7 } };

/**
 * The first weight whose sum with those before it is beyond a place; where rounding leaves none, the last one that is
 * not 0.
 * @param weights [rows, n], none negative
 * @param place [rows, 1]
 * @returns `index` [rows, 1], and `before`, the sum of the weights before it
 */
function firstBeyond(weights: Tensor, place: Tensor): { index: Tensor; before: Tensor } {
  const { graph } = weights;
  const [rows, n] = weights.shape as [number, number];
  const constant = (values: number | number[], shape?: number[]) => graph.constant(values, 'f32', shape);
  if (n > leaf) {
    const whole = padAxis(weights, 1, 0, leaf * Math.ceil(n / leaf) - n);
    const sums = sum(reshape(whole, [rows, whole.shape[1]! / leaf, leaf]), [2]);
    return firstInBlocks(whole, sums, place, (block) => block);
  }
  const zero = constant(0);
  const numbers = Array.from({ length: n }, (_, i) => i);
  const [across, down] = [constant(numbers, [1, n]), constant(numbers, [n, 1])];
  const before = sum(select(less(down, across), reshape(weights, [rows, n, 1]), zero), [1]);
  // The earliest beyond has the highest rank, then the latest of the others.
  const rank = select(
    less(place, add(before, weights)),
    subtract(constant(2 * n), across),
    add(across, constant(1)),
  );
  const best = max(select(less(zero, weights), rank, zero), [1], true);
  const otherwise = maximum(subtract(best, constant(1)), zero);
  const index = select(less(constant(n), best), subtract(constant(2 * n), best), otherwise);
  return { index, before: sum(select(equal(across, index), before, zero), [1], true) };
}

/**
 * The same by blocks of weights.
 * @param weights [rows, blocks * leaf]
 * @param sums [rows, blocks], of what counts of each block
 * @param counted what counts of a block [rows, leaf] of each row
 */
function firstInBlocks(
  weights: Tensor,
  sums: Tensor,
  place: Tensor,
  counted: (block: Tensor) => Tensor,
): { index: Tensor; before: Tensor } {
  const { graph } = weights;
  const [rows, blocks] = sums.shape as [number, number];
  const outer = firstBeyond(sums, place);
  const firsts = Array.from({ length: rows }, (_, row) => row * blocks);
  const taken = add(outer.index, graph.constant(firsts, 'f32', [rows, 1]));
  const block = gather(reshape(weights, [rows * blocks, leaf]), cast(reshape(taken, [rows]), 'i32'), 0);
  const inner = firstBeyond(counted(block), subtract(place, outer.before));
  return {
    index: add(scale(outer.index, leaf), inner.index),
    before: add(outer.before, inner.before),
  };
}

/** The sum of each row, as sums of sums. @param weights [rows, n] @returns [rows, 1] */
function massOf(weights: Tensor): Tensor {
  const [rows, n] = weights.shape as [number, number];
  const width = widthOf(n);
  return sum(sum(reshape(weights, [rows, n / width, width]), [1]), [1], true);
}

/** A power of two up to 512 that divides n, a multiple of `leaf`. */
function widthOf(n: number): number {
  let width = leaf;
  while (width < 512 && n % (2 * width) === 0) width *= 2;
  return width;
}

/** The least whole number, 1 or more, that is not below x. */
function ceiling(x: Tensor): Tensor {
  return maximum(negate(floor(negate(x))), scalarLike(x, 1));
}
