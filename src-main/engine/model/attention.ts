import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import type { DType } from '../graph/dtype.ts';
import { fused, fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  positionRange,
  scoresOf,
  visibleKeys,
  visibleScores,
  visibleSoftmax,
  type Scoring,
} from '../graph/maskedScores.ts';
import {
  add,
  addAll,
  cast,
  equal,
  less,
  lessEqual,
  logicalAnd,
  scalarLike,
  select,
  subtract,
} from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis, transpose } from '../graph/ops/layout.ts';
import { batchMatmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { normKind, rmsNorm } from './norm.ts';
import { applyRotary, type RotaryTable } from './rotary.ts';

/** A value that is the sum of several tensors of the same shape (or broadcast to it), not yet added up. */
export type Terms = readonly Tensor[];

export interface HeadLayout {
  batch: number;
  tokens: number;
  heads: number;
}

/** A projection that is split into heads. */
export interface Projected {
  /** Addends of [batch * tokens, heads * headDim]. */
  terms: Terms;
  heads: number;
  /** Null: it is not rotated. */
  rotary: RotaryTable | null;
  /** Null: it is not normalized. */
  gain: Tensor | null;
}

/**
 * Adds up projections, splits them into heads, normalizes and rotates them, where the model does so. On a card all of
 * them by one function, each call of which takes the host longer than it computes (docs/gpu.md).
 *
 * @returns of each [batch, heads, tokens, headDim] in the compute type
 */
export function splitHeads(
  projections: readonly Projected[],
  layout: Pick<HeadLayout, 'batch' | 'tokens'>,
  config: DecoderConfig,
  dtype: DType,
): Tensor[] {
  const { batch, tokens } = layout;
  const parts = projections.map(({ terms, heads, rotary, gain }) => ({
    kind: `${terms.length}${rotary ? '_rotary' : ''}${gain ? `_${config.queryKeyNorm}_${normKind(config)}` : ''}_${batch}x${heads}`,
    inputs: [...terms, ...(rotary ? [rotary.cos, rotary.sin] : []), ...(gain ? [gain] : [])],
    build(all: readonly Tensor[]) {
      const total = addAll(all.slice(0, terms.length).map((term) => cast(term, 'f32')));
      const norm = (value: Tensor) => (gain ? rmsNorm(value, all.at(-1)!, config) : value);
      const split = (value: Tensor) => reshape(value, [batch, tokens, heads, config.headDim]);
      let x = config.queryKeyNorm === 'projection' ? split(norm(total)) : norm(split(total));
      if (rotary) x = applyRotary(x, { cos: all[terms.length]!, sin: all[terms.length + 1]! });
      return transpose(cast(x, dtype), [0, 2, 1, 3]);
    },
  }));
  if (projections[0]!.terms[0]!.graph.device !== 'gpu')
    return parts.map(({ kind, inputs, build }) => fusedOne(`heads_${kind}`, inputs, build));
  const all = parts.flatMap(({ inputs }) => inputs);
  return fused(`heads_${parts.map(({ kind }) => kind).join('_and_')}`, all, (given) => {
    let at = 0;
    return parts.map(({ inputs, build }) => build(given.slice(at, (at += inputs.length))));
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

/** Where the text of each new token stands in a cache that holds several; f32 [tokens]. */
export interface TextPlaces {
  /** So many slots from the first on are its text's as well. */
  shared: Tensor;
  /** The slot from which the rest of its text stands; before it are others' slots. */
  start: Tensor;
}

/**
 * Attention of new tokens of several texts over a KV cache that holds them side by side.
 * @param q [1, heads, tokens, d], the new tokens
 * @param cachedK, cachedV [1, keyValueHeads, slots, d], the new tokens included
 * @param firstSlot f32 scalar: the slot of the first new token
 * @returns [tokens, heads * d]
 */
export function cachedAttention(
  q: Tensor,
  cachedK: Tensor,
  cachedV: Tensor,
  firstSlot: Tensor,
  { shared, start }: TextPlaces,
  scoring: Scoring,
): Tensor {
  const [, heads, tokens, d] = q.shape as [number, number, number, number];
  const keyHeads = cachedK.shape[1]!;
  const slots = cachedK.shape[2]!;
  const group = heads / keyHeads;
  const query = reshape(q, [1, keyHeads, group * tokens, d]);
  const { scores, factor } = scoresOf(query, cachedK, scoring);
  const weights = fusedOne(
    `cached_weights_${scoring.window ?? 'all'}_${factor}`,
    [scores, firstSlot, shared, start],
    ([raw, first, sharedOf, startOf]) => {
      const { graph } = raw!;
      const [common, own] = [sharedOf!, startOf!].map((value) => reshape(value, [1, 1, tokens, 1]));
      const rows = add(positionRange(graph, 0, tokens, [1, 1, tokens, 1]), first!);
      const columns = positionRange(graph, 0, slots, [1, 1, 1, slots]);
      // Slots of others look as if they came after everything.
      const never = scalarLike(columns, 2 * slots + tokens);
      const places = select(
        less(columns, common!),
        add(columns, subtract(own!, common!)),
        select(lessEqual(own!, columns), columns, never),
      );
      const visible = visibleKeys(rows, places, scoring.window);
      return visibleSoftmax(raw!, factor, visible, [keyHeads, group, tokens, slots]);
    },
  );
  const out = reshape(batchMatmul(weights, cachedV), [1, heads, tokens, d]);
  return reshape(transpose(out, [0, 2, 1, 3]), [tokens, heads * d]);
}

/** Keys and values, [batch, keyValueHeads, slots, d] each. */
export interface KeyValues {
  k: Tensor;
  v: Tensor;
}

/**
 * What has been decoded since the last join, with the new tokens' keys or values in their slot.
 * @param recent [batch, keyValueHeads, slots, d]
 * @param own [batch, keyValueHeads, 1, d]
 * @param slot f32 scalar
 */
export function withSlot(recent: Tensor, own: Tensor, slot: Tensor): Tensor {
  const { graph } = recent;
  const slots = recent.shape[2]!;
  return select(equal(positionRange(graph, 0, slots, [1, 1, slots, 1]), slot), own, recent);
}

/**
 * Attention of one new token a row over what is cached of that row: a past of its own length, and the tokens since
 * then, which all rows have in the same slots, itself included.
 * @param q [batch, heads, 1, d]
 * @param lengths f32 [batch]: slots of the past that hold something
 * @param slot f32 scalar: the new token's in `recent`; behind it nothing there is read
 * @returns [batch, heads * d]
 */
export function steppedAttention(
  q: Tensor,
  { past, recent }: { past: KeyValues; recent: KeyValues },
  { lengths, slot }: { lengths: Tensor; slot: Tensor },
  scoring: Scoring,
): Tensor {
  const [batch, heads, , d] = q.shape as [number, number, number, number];
  const [, keyHeads, pastSlots] = past.k.shape as [number, number, number];
  const recentSlots = recent.k.shape[2]!;
  const query = reshape(q, [batch, keyHeads, heads / keyHeads, d]);
  // As in ops/linear.ts: oneDNN would lay out all keys anew, so the few queries are its second operand.
  const turns = q.graph.device === 'cpu' && q.graph.fusion && !q.graph.body.isCompiled;
  const before = turns ? scoresOf(past.k, query, scoring) : scoresOf(query, past.k, scoring);
  const { factor } = before;
  const weights = fused(
    `stepped_weights_${scoring.window ?? 'all'}_${factor}`,
    [before.scores, scoresOf(query, recent.k, scoring).scores, lengths, slot],
    ([givenPast, rawRecent, filledSlots, now]) => {
      const rawPast = turns ? transpose(givenPast!, [0, 1, 3, 2]) : givenPast!;
      const { graph, dtype } = rawPast;
      const filled = reshape(filledSlots!, [batch, 1, 1, 1]);
      const [pastPlaces, recentPlaces] = [pastSlots, recentSlots].map((slots) =>
        positionRange(graph, 0, slots, [1, 1, 1, slots]),
      );
      const isPast = logicalAnd(
        less(pastPlaces!, filled),
        visibleKeys(add(filled, now!), pastPlaces!, scoring.window),
      );
      const isRecent = visibleKeys(now!, recentPlaces!, scoring.window);
      const joined = softmax(
        concat(
          [
            visibleScores(rawPast!, factor, isPast, rawPast!.shape),
            visibleScores(rawRecent!, factor, isRecent, rawRecent!.shape),
          ],
          3,
        ),
      );
      return [
        cast(sliceAxis(joined, 3, 0, pastSlots), dtype),
        cast(sliceAxis(joined, 3, pastSlots, recentSlots), dtype),
      ];
    },
  );
  const out = add(batchMatmul(weights[0]!, past.v), batchMatmul(weights[1]!, recent.v));
  return reshape(out, [batch, heads * d]);
}
