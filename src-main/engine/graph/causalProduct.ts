import { addendSums, fused, fusedOne, fusedWithoutGradient } from './fused.ts';
import { gradients } from './gradients.ts';
import type { Tensor } from './graph.ts';
import { positionRange, scoresOf, visibleKeys, visibleSoftmax, type Scoring } from './maskedScores.ts';
import { addAll, cast, equal, lessEqual, logicalAnd, multiply, scale, subtract } from './ops/elementwise.ts';
import { concat, reshape, sliceAxis, transpose } from './ops/layout.ts';
import { batchMatmul } from './ops/linear.ts';
import { sum } from './ops/reduce.ts';

/** Which positions of a row belong together, where several sequences share it. */
export interface Segments {
  /** f32 [batch, tokens]; neighbours with the same number are one sequence. */
  numbers: Tensor;
  /** Positions of the longest sequence: keys further back are left out of the products. */
  longest: number;
  /** The first key that a query at a position or after it sees of its own; null: it is not known. */
  firstKey?: ((position: number) => number) | null;
}

/**
 * A tree in place of a line: several continuations share what stands before them. Places of a row are in depth-first
 * order, and each sees only those on its way from the root.
 */
export interface Branches {
  /** f32 [batch, tokens]: the last place of the row that descends from this one. */
  last: Tensor;
  /** f32 [batch, tokens]: how deep each place lies; windows are counted in it. */
  depths: Tensor;
}

/**
 * The causal product of queries, keys and values: row i is sum_j p_ij v_j with p_i = softmax over the keys j <= i that
 * a window and segments leave visible.
 *
 * Queries are handled in blocks, each multiplied only with the keys that one of its rows can see: about half of the
 * products of a causal mask over everything, and less with a short window or short segments. In a block the mask
 * decides.
 *
 * @param q [batch, heads, tokens, d]
 * @param k, v [batch, keyHeads, tokens, d]; heads / keyHeads neighbouring heads of q share one
 * @param options.segments a query sees only its own; null: a row is one sequence, and the mask is a constant
 * @param options.branches instead of segments; each block is then multiplied with all keys before it
 * @param options.block queries in a block; absent: those of the graph's parts
 * @returns [batch * tokens, heads * d], the heads of a position side by side
 */
export function causalProduct(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scoring: Scoring,
  options: { segments?: Segments | null; branches?: Branches | null; block?: number } = {},
): Tensor {
  const { segments = null, branches = null, block = q.graph.parts.queryBlock } = options;
  const [batch, heads, tokens, d] = q.shape as [number, number, number, number];
  const keyHeads = k.shape[1]!;
  const group = heads / keyHeads;
  const grouped = reshape(q, [batch, keyHeads, group, tokens, d]);
  const reach = branches ? tokens : Math.min(scoring.window ?? tokens, segments?.longest ?? tokens);
  const blocks: Block[] = [];
  for (let begin = 0; begin < tokens; begin += block) {
    const rows = Math.min(block, tokens - begin);
    const known = branches ? 0 : (segments?.firstKey?.(begin) ?? 0);
    const firstKey = Math.max(known, begin - reach + 1, 0);
    const columns = begin + rows - firstKey;
    const query = reshape(sliceAxis(grouped, 3, begin, rows), [batch, keyHeads, group * rows, d]);
    const key = sliceAxis(k, 2, firstKey, columns);
    const { scores, factor } = scoresOf(query, key, scoring);
    const ofQueries = (values: Tensor) => sliceAxis(values, 1, begin, rows);
    const ofKeys = (values: Tensor) => sliceAxis(values, 1, firstKey, columns);
    const own = segments ? [ofQueries(segments.numbers), ofKeys(segments.numbers)] : [];
    if (branches) own.push(ofQueries(branches.depths), ofKeys(branches.depths), ofKeys(branches.last));
    // Queries and keys are numbered from the block's first key: blocks that look equally far back share one function.
    const offset = begin - firstKey;
    const shape = branches ? 'tree_' : '';
    const kind = `attention_weights_${shape}${offset}_${scoring.window ?? 'all'}_${factor}`;
    const [p] = fusedWithoutGradient(kind, [scores, ...own], ([raw, ofRows, ofColumns, last]) => {
      const { graph } = raw!;
      const queries = positionRange(graph, offset, rows, [1, 1, 1, rows, 1]);
      const keys = positionRange(graph, 0, columns, [1, 1, 1, 1, columns]);
      let visible = visibleKeys(queries, keys, branches ? null : scoring.window);
      if (ofRows && ofColumns) {
        const inRows = reshape(ofRows, [batch, 1, 1, rows, 1]);
        const inColumns = reshape(ofColumns, [batch, 1, 1, 1, columns]);
        if (last) {
          const descends = lessEqual(queries, reshape(last, [batch, 1, 1, 1, columns]));
          visible = logicalAnd(visible, descends);
          if (scoring.window !== null)
            visible = logicalAnd(visible, visibleKeys(inRows, inColumns, scoring.window));
        } else visible = logicalAnd(visible, equal(inRows, inColumns));
      }
      return [visibleSoftmax(raw!, factor, visible, [batch, keyHeads, group, rows, columns])];
    });
    const value = sliceAxis(v, 2, firstKey, columns);
    const out = batchMatmul(weightsOf(scores, p!, factor), value);
    blocks.push({ begin, firstKey, query, key, value, out: reshape(out, [batch, keyHeads, group, rows, d]) });
  }
  const [joined] = fusedWithoutGradient(
    `join_heads_${batch}x${heads}`,
    blocks.map(({ out }) => out),
    (all) => [
      reshape(transpose(reshape(concat(all, 3), [batch, heads, tokens, d]), [0, 2, 1, 3]), [
        batch * tokens,
        heads * d,
      ]),
    ],
  );
  // By reverse mode each slice would be padded to the whole and added up, once for each block.
  return q.graph.withGradientOfAddends([q, k, v], [joined!], (upstream) => {
    const slices = blocks.flatMap(({ query, key, value }) => [query, key, value]);
    const arriving = upstream[0]!;
    const rows = blocks.map(({ out }) => out.shape[3]!).join('_');
    const dBlocks = fused(`part_heads_${batch}x${heads}_${arriving.length}_${rows}`, arriving, (addends) => {
      const dJoined = addendSums(upstream, addends)[0]!;
      const dHeads = transpose(reshape(dJoined, [batch, tokens, heads, d]), [0, 2, 1, 3]);
      return blocks.map(({ begin, out }) => reshape(sliceAxis(dHeads, 2, begin, out.shape[3]!), out.shape));
    });
    const outs = blocks.map(({ out }) => out);
    const found = gradients(outs, dBlocks, slices).map((gradient) => gradient!);
    const ofQueries = blocks.map(({ out }, i) => reshape(found[3 * i]!, out.shape));
    const [dk, dv] = [1, 2].map((place) =>
      overlaid(blocks.map(({ firstKey }, i) => ({ begin: firstKey, part: found[3 * i + place]! }))),
    );
    return [reshape(concat(ofQueries, 3), q.shape), dk!, dv!];
  })[0]!;
}

/** Some queries, the keys that they are multiplied with, and what comes of it. */
interface Block {
  begin: number;
  firstKey: number;
  query: Tensor;
  key: Tensor;
  value: Tensor;
  out: Tensor;
}

/**
 * Adds up parts that lie on one another along axis 2, in f32.
 * @param parts each from `begin` on; all together they cover the axis without a gap
 */
function overlaid(parts: readonly { begin: number; part: Tensor }[]): Tensor {
  const places = parts.map(({ begin, part }) => ({ begin, end: begin + part.shape[2]! }));
  const bounds = [...new Set(places.flatMap(({ begin, end }) => [begin, end]))].sort((a, b) => a - b);
  const kind = `overlaid_${places.map(({ begin }) => begin).join('_')}`;
  const isOnCard = parts[0]!.part.graph.device === 'gpu';
  const pieces = fused(
    kind,
    parts.map(({ part }) => part),
    (all) => {
      const sums = bounds.slice(1).map((end, i) => {
        const begin = bounds[i]!;
        const covering = all.flatMap((part, at) => {
          const place = places[at]!;
          if (place.begin > begin || place.end < end) return [];
          return [cast(sliceAxis(part, 2, begin - place.begin, end - begin), 'f32')];
        });
        return cast(addAll(covering), all[0]!.dtype);
      });
      // There a launch more is worse than a copy.
      return isOnCard ? [concat(sums, 2)] : sums;
    },
  );
  return concat(pieces, 2);
}

/**
 * Gives the weights p = softmax(factor * scores + mask) their gradient, computed from p alone: of scores and p only one
 * is kept for the backward pass, and no exponential is taken twice. Where a key is hidden p is 0, and so is the
 * gradient.
 */
function weightsOf(scores: Tensor, p: Tensor, factor: number): Tensor {
  return scores.graph.withGradient([scores], [p], ([dp]) => [
    fusedOne(`attention_weights_gradient_${factor}`, [p, dp!], ([weights, upstream]) => {
      const wide = cast(weights!, 'f32');
      const weighted = multiply(wide, cast(upstream!, 'f32'));
      const ds = subtract(weighted, multiply(wide, sum(weighted, [wide.shape.length - 1], true)));
      return cast(scale(ds, factor), weights!.dtype);
    }),
  ])[0]!;
}
