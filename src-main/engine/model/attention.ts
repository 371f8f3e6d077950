import type { DecoderConfig } from '../../formats/decoderConfig.ts';
import type { DType } from '../graph/dtype.ts';
import { fusedOne, fusedWithoutGradient } from '../graph/fused.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  addAll,
  cast,
  equal,
  less,
  lessEqual,
  logicalAnd,
  multiply,
  scale,
  scalarLike,
  select,
  subtract,
} from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis, transpose } from '../graph/ops/layout.ts';
import { batchMatmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { sum } from '../graph/ops/reduce.ts';
import { softcapped } from './head.ts';
import { rmsNorm } from './norm.ts';
import { applyRotary, type RotaryTable } from './rotary.ts';

/** A value that is the sum of several tensors of the same shape (or broadcast to it), not yet added up. */
export type Terms = readonly Tensor[];

/** Added to scores that must not be seen. Finite, so that a row that sees nothing stays finite. */
const hidden = -1e30;

/** Queries are handled in blocks of this many, so that a block multiplies only the keys it can see. */
const queryBlock = 128;

export interface HeadLayout {
  batch: number;
  tokens: number;
  heads: number;
}

/**
 * Adds up a projection, splits it into heads, normalises and rotates it, where the model does so.
 * @param terms addends of [batch * tokens, heads * headDim]
 * @returns [batch, heads, tokens, headDim] in the compute type
 */
export function splitHeads(
  terms: Terms,
  layout: HeadLayout,
  config: DecoderConfig,
  dtype: DType,
  options: { rotary: RotaryTable | null; gain: Tensor | null },
): Tensor {
  const { batch, tokens, heads } = layout;
  const { rotary, gain } = options;
  const extra = [...(rotary ? [rotary.cos, rotary.sin] : []), ...(gain ? [gain] : [])];
  const kind = `heads_${terms.length}${rotary ? '_rotary' : ''}${gain ? '_norm' : ''}_${batch}x${heads}`;
  return fusedOne(kind, [...terms, ...extra], (all) => {
    const total = addAll(all.slice(0, terms.length).map((term) => cast(term, 'f32')));
    const norm = (value: Tensor) => (gain ? rmsNorm(value, all.at(-1)!, config) : value);
    const split = (value: Tensor) => reshape(value, [batch, tokens, heads, config.headDim]);
    let x = config.queryKeyNorm === 'projection' ? split(norm(total)) : norm(split(total));
    if (rotary) x = applyRotary(x, { cos: all[terms.length]!, sin: all[terms.length + 1]! });
    return transpose(cast(x, dtype), [0, 2, 1, 3]);
  });
}

/** How a layer's scores are made. */
export interface Scoring {
  /** Scores are q k^T times this. */
  scale: number;
  /** Scores s become cap * tanh(s / cap) (Gemma 2). */
  softcap: number | null;
  /** Each token sees only the last `window` positions; null: all. */
  window: number | null;
}

export function layerScoring(config: DecoderConfig, layer: number): Scoring {
  return {
    scale: config.attentionScale,
    softcap: config.attentionSoftcap,
    window: config.layerKinds[layer]!.window,
  };
}

/** q k^T, and the factor that it still needs: soft-capped scores have had it. */
function scoresOf(query: Tensor, key: Tensor, scoring: Scoring): { scores: Tensor; factor: number } {
  const product = batchMatmul(query, key, { transposeY: true });
  if (scoring.softcap === null) return { scores: product, factor: scoring.scale };
  const scores = fusedOne('capped_scores', [product], ([raw]) =>
    cast(softcapped(scale(cast(raw!, 'f32'), scoring.scale), scoring.softcap), raw!.dtype),
  );
  return { scores, factor: 1 };
}

/** Which tokens of a batch belong together, where several examples share a row. */
export interface Segments {
  /** f32 [batch, tokens]; neighbours with the same number are one example. */
  numbers: Tensor;
  /** Tokens of the longest example: keys further back are left out of the products. */
  longest: number;
}

/**
 * Causal self-attention of a batch of whole rows (training, scoring): softmax(scale q k^T + mask) v.
 * @param q [batch, heads, tokens, d]
 * @param k, v [batch, keyValueHeads, tokens, d]
 * @param segments a token sees only its own; null: a row is one example, and the mask is a constant
 * @returns [batch * tokens, heads * d]
 */
export function causalAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scoring: Scoring,
  segments: Segments | null = null,
): Tensor {
  const [batch, heads, tokens, d] = q.shape as [number, number, number, number];
  const keyHeads = k.shape[1]!;
  const group = heads / keyHeads;
  const grouped = reshape(q, [batch, keyHeads, group, tokens, d]);
  const reach = Math.min(scoring.window ?? tokens, segments?.longest ?? tokens);
  const blocks: Tensor[] = [];
  for (let begin = 0; begin < tokens; begin += queryBlock) {
    const rows = Math.min(queryBlock, tokens - begin);
    const firstKey = Math.max(0, begin - reach + 1);
    const columns = begin + rows - firstKey;
    const query = reshape(sliceAxis(grouped, 3, begin, rows), [batch, keyHeads, group * rows, d]);
    const { scores, factor } = scoresOf(query, sliceAxis(k, 2, firstKey, columns), scoring);
    const own = segments
      ? [sliceAxis(segments.numbers, 1, begin, rows), sliceAxis(segments.numbers, 1, firstKey, columns)]
      : [];
    // Queries and keys are numbered from the block's first key: blocks that look equally far back share one function.
    const offset = begin - firstKey;
    const kind = `attention_weights_${offset}_${scoring.window ?? 'all'}`;
    const [p] = fusedWithoutGradient(kind, [scores, ...own], ([raw, querySegments, keySegments]) => {
      const graph = raw!.graph;
      let visible = visibleKeys(
        positionRange(graph, offset, rows, [1, 1, 1, rows, 1]),
        positionRange(graph, 0, columns, [1, 1, 1, 1, columns]),
        scoring.window,
      );
      if (querySegments && keySegments)
        visible = logicalAnd(
          visible,
          equal(
            reshape(querySegments, [batch, 1, 1, rows, 1]),
            reshape(keySegments, [batch, 1, 1, 1, columns]),
          ),
        );
      const shaped = reshape(scale(cast(raw!, 'f32'), factor), [batch, keyHeads, group, rows, columns]);
      const p = softmax(select(visible, shaped, scalarLike(shaped, hidden)));
      return [cast(reshape(p, raw!.shape), raw!.dtype)];
    });
    const weights = softmaxOf(scores, p!, factor);
    const out = batchMatmul(weights, sliceAxis(v, 2, firstKey, columns));
    blocks.push(reshape(out, [batch, keyHeads, group, rows, d]));
  }
  return fusedOne(`join_heads_${batch}x${heads}`, blocks, (all) =>
    reshape(transpose(reshape(concat(all, 3), [batch, heads, tokens, d]), [0, 2, 1, 3]), [
      batch * tokens,
      heads * d,
    ]),
  );
}

/**
 * Gives the attention weights p = softmax(factor * scores + mask) their gradient, computed from p alone: of scores and p only one is kept
 * for the backward pass, and no exponential is taken twice. Where a key is hidden p is 0, and so is the gradient.
 */
function softmaxOf(scores: Tensor, p: Tensor, factor: number): Tensor {
  return scores.graph.withGradient([scores], [p], ([dp]) => [
    fusedOne(`attention_weights_gradient_${factor}`, [p, dp!], ([weights, upstream]) => {
      const wide = cast(weights!, 'f32');
      const weighted = multiply(wide, cast(upstream!, 'f32'));
      const ds = subtract(weighted, multiply(wide, sum(weighted, [wide.shape.length - 1], true)));
      return cast(scale(ds, factor), weights!.dtype);
    }),
  ])[0]!;
}

/**
 * Attention of new tokens over a KV cache.
 * @param q [batch, heads, tokens, d], the new tokens
 * @param cachedK, cachedV [batch, keyValueHeads, slots, d], the new tokens included
 * @param firstSlot f32 scalar: the slot of the first new token
 * @param rowStart f32 [batch]: slots before it are padding of that row
 * @returns [batch * tokens, heads * d]
 */
export function cachedAttention(
  q: Tensor,
  cachedK: Tensor,
  cachedV: Tensor,
  firstSlot: Tensor,
  rowStart: Tensor,
  scoring: Scoring,
): Tensor {
  const [batch, heads, tokens, d] = q.shape as [number, number, number, number];
  const keyHeads = cachedK.shape[1]!;
  const slots = cachedK.shape[2]!;
  const group = heads / keyHeads;
  const query = reshape(q, [batch, keyHeads, group * tokens, d]);
  const { scores, factor } = scoresOf(query, cachedK, scoring);
  const weights = fusedOne(
    `cached_weights_${scoring.window}`,
    [scores, firstSlot, rowStart],
    ([raw, first, start]) => {
      const graph = raw!.graph;
      const rows = addAll([positionRange(graph, 0, tokens, [1, 1, 1, tokens, 1]), first!]);
      const columns = positionRange(graph, 0, slots, [1, 1, 1, 1, slots]);
      const begun = lessEqual(reshape(start!, [batch, 1, 1, 1, 1]), columns);
      const visible = logicalAnd(visibleKeys(rows, columns, scoring.window), begun);
      const shaped = reshape(scale(cast(raw!, 'f32'), factor), [batch, keyHeads, group, tokens, slots]);
      const p = softmax(select(visible, shaped, scalarLike(shaped, hidden)));
      return cast(reshape(p, raw!.shape), raw!.dtype);
    },
  );
  const out = reshape(batchMatmul(weights, cachedV), [batch, heads, tokens, d]);
  return reshape(transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * d]);
}

/** Key j is visible from query i where j <= i and, with a window w, i - j < w. */
function visibleKeys(queries: Tensor, keys: Tensor, window: number | null): Tensor {
  const causal = lessEqual(keys, queries);
  if (window === null) return causal;
  const distance = subtract(queries, keys);
  return logicalAnd(causal, less(distance, scalarLike(distance, window)));
}

/** begin, begin + 1, ... as f32 (integer arithmetic would run on the host when there is a GPU). */
function positionRange(graph: Graph, begin: number, count: number, shape: readonly number[]): Tensor {
  return graph.constant(
    Float32Array.from({ length: count }, (_, i) => begin + i),
    'f32',
    shape,
  );
}
