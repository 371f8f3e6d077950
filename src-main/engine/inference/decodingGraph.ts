import type { Tensor } from '../graph/graph.ts';
import { add, cast, maximum, scalarLike, subtract } from '../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis } from '../graph/ops/layout.ts';
import { argMax } from '../graph/ops/reduce.ts';
import { effectEntry, type Tensorflow } from '../graph/session.ts';
import {
  assignSlice,
  assignVariable,
  createVariable,
  fill,
  readVariable,
  releaseVariable,
} from '../graph/variables.ts';
import { cachedAttention, layerScoring } from '../model/attention.ts';
import { decoderHidden } from '../model/decoder.ts';
import { headLogits } from '../model/head.ts';
import type { ModelGraph, ModelSession } from '../model/modelGraph.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { rotaryFrequencies, rotaryTable } from '../model/rotary.ts';

/** How much a decoder holds. */
export interface DecodingSize {
  /** Rows that are decoded together. */
  batch: number;
  /** KV cache positions a row has. */
  slots: number;
  /** Tokens that one prefill call takes. */
  prefillTokens: number;
}

export type DecodingEntries = ReturnType<typeof decodingEntries>['entries'];

/** What decoding needs of a session. */
export interface Decoder extends DecodingSize {
  session: ModelSession<DecodingEntries>;
  /**
   * Inputs of `prefill` and `decode` that follow the texts' lengths: rotary frequencies, where rope scaling depends on
   * them.
   * @param lengths tokens of each row's text, those of the call included
   */
  lengthInputs(lengths: readonly number[]): Record<string, Float32Array>;
}

/** Opens a session of its own that decodes; see decodingEntries. */
export async function openDecoder(tf: Tensorflow, model: ModelGraph, size: DecodingSize): Promise<Decoder> {
  const { entries, ...decoder } = decodingEntries(model, size);
  return { ...decoder, session: await model.open(tf, entries) };
}

/**
 * Calls that decode with a KV cache, for any session on the model: they read the variables that it has, so that a
 * training session decodes with its state of the moment and holds no second copy of the weights. Rows of a batch are
 * aligned at their ends: a shorter prompt starts at a later slot (`rowStart`), and slots before it are never seen.
 * Entries:
 *
 * - `clear`: makes or zeroes the cache (slots not yet written must at least be finite).
 * - `release`: frees the cache, until it is made again.
 * - `prefill`, `decode`: ids [batch * n], firstSlot, rowStart -> `next` [batch], the most likely token after the last
 *   one;
 *   n is prefillTokens and 1. What `lengthInputs` returns is fed as well.
 * - `prefillLogits`, `decodeLogits`: the same with `logits` [batch * vocabulary] instead.
 */
export function decodingEntries(model: ModelGraph, { batch, slots, prefillTokens }: DecodingSize) {
  const { graph, config, dtype } = model;
  const shape = [batch, config.keyValueHeads, slots, config.headDim];
  const caches = Array.from({ length: config.layers }, (_, layer) => ({
    k: createVariable(graph, `cache.${layer}.k`, shape, dtype),
    v: createVariable(graph, `cache.${layer}.v`, shape, dtype),
  }));
  const firstSlot = graph.placeholder('first_slot', [], 'i32');
  const rowStart = graph.placeholder('row_start', [batch], 'i32');
  const firstSlotWide = cast(firstSlot, 'f32');
  const rowStartWide = cast(rowStart, 'f32');
  // Keys in the cache keep the frequencies of the length at which they were made, as in transformers.
  const frequencies = config.ropes.map((rope, i) =>
    dependsOnLength(rope)
      ? graph.placeholder(`frequencies_${i}`, [batch, rope.dimensions / 2], 'f32')
      : graph.constant(rotaryFrequencies(rope, 0), 'f32', [1, rope.dimensions / 2]),
  );
  const fed = config.ropes.flatMap((rope, i) => (dependsOnLength(rope) ? [i] : []));

  const forward = (name: string, tokens: number) => {
    const ids = graph.placeholder(`${name}_ids`, [batch * tokens], 'i32');
    const columns = graph.constant(
      Float32Array.from({ length: tokens }, (_, i) => i),
      'f32',
      [1, tokens],
    );
    const fromStart = subtract(add(columns, firstSlotWide), reshape(rowStartWide, [batch, 1]));
    const positions = maximum(fromStart, scalarLike(fromStart, 0));
    /** A corner of the slots in a cache. */
    const corner = (rows: number, heads: number, slot: Tensor, column: number) =>
      concat([graph.constant([rows, heads], 'i32'), reshape(slot, [1]), graph.constant([column], 'i32')], 0);
    const begin = corner(0, 0, firstSlot, 0);
    const behind = add(firstSlot, graph.constant(tokens, 'i32'));
    const end = corner(batch, config.keyValueHeads, behind, config.headDim);
    const hidden = decoderHidden(
      {
        config,
        dtype,
        weight: model.keptWeight,
        linear: (site, x) => model.linear(site, x, null),
        attend(layer, q, k, v) {
          const cache = caches[layer]!;
          const written = [assignSlice(cache.k, begin, end, k), assignSlice(cache.v, begin, end, v)];
          const [cachedK, cachedV] = graph.after(written, () => [
            readVariable(cache.k),
            readVariable(cache.v),
          ]);
          return cachedAttention(
            q,
            cachedK!,
            cachedV!,
            firstSlotWide,
            rowStartWide,
            layerScoring(config, layer),
          );
        },
      },
      ids,
      { batch, tokens },
      config.ropes.map((rope, i) => rotaryTable(rope, positions, frequencies[i]!)),
    );
    const last = sliceAxis(reshape(hidden, [batch, tokens, config.hiddenSize]), 1, tokens - 1, 1);
    const logits = headLogits(reshape(last, [batch, config.hiddenSize]), model.headWeight(), config);
    const inputs = {
      ids,
      firstSlot,
      rowStart,
      ...model.rowInputs(batch * tokens),
      ...Object.fromEntries(fed.map((i) => [`frequencies${i}`, frequencies[i]!])),
    };
    return {
      next: { inputs, outputs: { next: argMax(logits, 1) } },
      logits: { inputs, outputs: { logits } },
    };
  };

  const [prefill, decode] = [forward('prefill', prefillTokens), forward('decode', 1)];
  const cacheVariables = caches.flatMap(({ k, v }) => [k, v]);
  const cleared = cacheVariables.map((variable) => assignVariable(variable, fill(graph, shape, 0, dtype)));
  const entries = {
    prefill: prefill.next,
    prefillLogits: prefill.logits,
    decode: decode.next,
    decodeLogits: decode.logits,
    clear: effectEntry(graph, cleared),
    release: effectEntry(graph, cacheVariables.map(releaseVariable)),
  };
  const lengthInputs: Decoder['lengthInputs'] = (lengths: readonly number[]) =>
    Object.fromEntries(
      fed.map((i) => {
        const half = config.ropes[i]!.dimensions / 2;
        const values = new Float32Array(batch * half);
        for (let row = 0; row < batch; row++)
          values.set(rotaryFrequencies(config.ropes[i]!, lengths[row] ?? 1), row * half);
        return [`frequencies${i}`, values];
      }),
    );
  return { entries, batch, slots, prefillTokens, lengthInputs };
}
