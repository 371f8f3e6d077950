import type { Tensor } from '../../graph/graph.ts';
import {
  absolute,
  add,
  cast,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  multiply,
  select,
  subtract,
} from '../../graph/ops/elementwise.ts';
import { gather, sliceAxis } from '../../graph/ops/layout.ts';
import { max } from '../../graph/ops/reduce.ts';

/**
 * What `bucketize` by the middles of a dynamic map gives, for functions that XLA compiles (it knows no such operation):
 * a few vector instructions instead of a search for each number. Above 0 the middles of a decade lie on a line, so a
 * product and a sum find the one next to a number; comparing with that one itself decides, so that rounding does not
 * matter.
 *
 * @param shares f32, at most 1 in magnitude
 * @param middles of neighbouring entries of the dynamic map, ascending
 * @returns how many middles are no greater, i32
 */
export function nearestCodes(shares: Tensor, middles: readonly number[]): Tensor {
  const { graph } = shares;
  const positive = middles.filter((middle) => middle > 0);
  const signed = positive.length < middles.length;
  const magnitude = signed ? absolute(shares) : shares;
  const next = nextMiddle(magnitude, signed);
  const middle = gather(graph.constant(positive), next, 0);
  const passed = add(next, cast(lessEqual(middle, magnitude), 'i32'));
  if (!signed) return passed;
  // Below 0 the map is mirrored, and so is the side to which a middle itself belongs. The last entry, 1, has no mirror.
  const zero = graph.constant(middles.length - positive.length, 'i32');
  const mirrored = add(next, cast(less(middle, magnitude), 'i32'));
  const isNegative = less(shares, graph.constant(0));
  return select(isNegative, subtract(zero, minimum(mirrored, zero)), add(zero, passed));
}

const decades = 7;

/** Index among the middles above 0 of one of the two between which the magnitude lies, i32. */
function nextMiddle(magnitude: Tensor, signed: boolean): Tensor {
  const { graph } = magnitude;
  const lines = Array.from({ length: decades }, (_, decade) => {
    const parts = 2 ** (signed ? decade : decade + 1);
    const top = 10 ** (decade - decades + 1);
    const first = parts - (signed ? 1 : 2);
    return { top, slope: parts / (0.9 * top), start: 0.5 + first - parts / 9 };
  });
  let [slope, start] = [graph.constant(lines[0]!.slope), graph.constant(lines[0]!.start)];
  for (let i = 1; i < decades; i++) {
    const isAbove = greaterEqual(magnitude, graph.constant(lines[i - 1]!.top));
    slope = select(isAbove, graph.constant(lines[i]!.slope), slope);
    start = select(isAbove, graph.constant(lines[i]!.start), start);
  }
  return cast(add(multiply(magnitude, slope), start), 'i32');
}

/**
 * Greatest magnitude of each row, f32 [rows, 1], for functions that XLA compiles: it takes the numbers of a row one
 * after the other, and most of the work is done on slices side by side instead.
 */
export function greatestMagnitudes(rows: Tensor): Tensor {
  const width = 32;
  const slices = Array.from({ length: rows.shape[1]! / width }, (_, i) =>
    absolute(sliceAxis(rows, 1, i * width, width)),
  );
  return max(
    slices.reduce((greatest, slice) => maximum(greatest, slice)),
    [1],
    true,
  );
}
