import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import type { DType } from '../graph/dtype.ts';
import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import { positionRange, scoresOf, visibleKeys, visibleSoftmax, type Scoring } from '../graph/maskedScores.ts';
import { addAll, cast, lessEqual, logicalAnd } from '../graph/ops/elementwise.ts';
import { reshape, transpose } from '../graph/ops/layout.ts';
import { batchMatmul } from '../graph/ops/linear.ts';
import { normKind, rmsNorm } from './norm.ts';
import { applyRotary, type RotaryTable } from './rotary.ts';

/** A value that is the sum of several tensors of the same shape (or broadcast to it), not yet added up. */
export type Terms = readonly Tensor[];

export interface HeadLayout {
  batch: number;
  tokens: number;
  heads: number;
}

/**
 * Adds up a projection, splits it into heads, normalizes and rotates it, where the model does so.
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
  const kind = `heads_${terms.length}${rotary ? '_rotary' : ''}${gain ? `_${config.queryKeyNorm}_${normKind(config)}` : ''}_${batch}x${heads}`;
  return fusedOne(kind, [...terms, ...extra], (all) => {
    const total = addAll(all.slice(0, terms.length).map((term) => cast(term, 'f32')));
    const norm = (value: Tensor) => (gain ? rmsNorm(value, all.at(-1)!, config) : value);
    const split = (value: Tensor) => reshape(value, [batch, tokens, heads, config.headDim]);
    let x = config.queryKeyNorm === 'projection' ? split(norm(total)) : norm(split(total));
    if (rotary) x = applyRotary(x, { cos: all[terms.length]!, sin: all[terms.length + 1]! });
    return transpose(cast(x, dtype), [0, 2, 1, 3]);
  });
}

/** How a layer's scores become weights. */
export function layerScoring(config: DecoderConfig, layer: number): Scoring {
  return {
    scale: config.attentionScale,
    softcap: config.attentionSoftcap,
    window: config.layerKinds[layer]!.window,
  };
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
    `cached_weights_${scoring.window ?? 'all'}_${factor}`,
    [scores, firstSlot, rowStart],
    ([raw, first, start]) => {
      const graph = raw!.graph;
      const rows = addAll([positionRange(graph, 0, tokens, [1, 1, 1, tokens, 1]), first!]);
      const columns = positionRange(graph, 0, slots, [1, 1, 1, 1, slots]);
      const begun = lessEqual(reshape(start!, [batch, 1, 1, 1, 1]), columns);
      const visible = logicalAnd(visibleKeys(rows, columns, scoring.window), begun);
      return visibleSoftmax(raw!, factor, visible, [batch, keyHeads, group, tokens, slots]);
    },
  );
  const out = reshape(batchMatmul(weights, cachedV), [batch, heads, tokens, d]);
  return reshape(transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * d]);
}
