import { dependsOnLength, type DecoderConfig } from '../../formats/families/decoderConfig.ts';
import type { DecodingSize } from '../../options/decodingSize.ts';
import { deviceSizes } from '../../options/deviceSizes.ts';
import { compiledPart } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, cast } from '../graph/ops/elementwise.ts';
import { concat, gather, reshape } from '../graph/ops/layout.ts';
import { clearRows, createRowTable, gatherRows, readRows } from '../graph/rowTable.ts';
import { effectEntry, type Entry, type Tensorflow } from '../graph/session.ts';
import {
  assignSlice,
  assignVariable,
  createVariable,
  fill,
  readVariable,
  releaseVariable,
  type Variable,
} from '../graph/variables.ts';
import {
  cachedAttention,
  layerScoring,
  steppedAttention,
  withSlot,
  type KeyValues,
} from '../model/attention.ts';
import { decoderHidden, type DecoderParts } from '../model/decoder.ts';
import { headLogits } from '../model/head.ts';
import type { ModelGraph, ModelSession } from '../model/modelGraph.ts';
import { rotaryFrequencies, rotaryTable } from '../model/rotary.ts';
import { choicesBy, entriesOf, type Way } from './choosing.ts';

/** What is decoded: a model, or several adapters on one base (adapterColumns.ts). */
export type DecodedModel = Pick<
  ModelGraph,
  'graph' | 'config' | 'dtype' | 'quantization' | 'keptWeight' | 'linear' | 'headWeight'
> & {
  /** What a call over so many token positions takes beside its ids. */
  rowInputs(rows: number): Readonly<Record<string, Tensor>>;
  open: ModelGraph['open'];
};

/** The calls of a decoder by name; see decodingEntries. */
export type DecodingEntries = Readonly<Record<string, Entry>>;

/** What decoding needs of a session. */
export interface Decoder {
  size: DecodingSize;
  session: ModelSession<DecodingEntries>;
  keyValueHeads: number;
  /**
   * Inputs of `prefill` and `decode` that follow the texts' lengths: rotary frequencies, where rope scaling depends on
   * them.
   * @param lengths tokens of the text of each token of the call, that one included
   */
  lengthInputs(lengths: readonly number[]): Record<string, Float32Array>;
  /** Whether there are any: a prompt's keys then depend on what follows it. */
  dependsOnLength: boolean;
  /** Tokens of each row that `decode<n>Several` computes; 1: there is no such call. */
  tokensPerCall: number;
  /** In which tokens can be chosen. */
  ways: readonly Way[];
}

/** Opens a session of its own that decodes; see decodingEntries. */
export async function openDecoder(
  tf: Tensorflow,
  model: DecodedModel,
  size: DecodingSize,
  ways: readonly Way[],
): Promise<Decoder> {
  const { entries, ...decoder } = decodingEntries(model, size, ways);
  return { ...decoder, session: await model.open(tf, entries) };
}

/**
 * On a processor a single row is computed by compiled parts of layers: XLA reads a weight at 50 GB/s where oneDNN's
 * product reads it at 24 to 40, and most of a step of one token was TensorFlow's calls. Measured for 107 M parameters
 * in bf16, two cores: 17.8 -> 9.5 ms a token. From this width of the inputs on (16 KiB in f32) XLA no longer widens a
 * weight as it reads it, but copies it, at 6 GB/s. With more rows oneDNN's products are faster. On a card every row is:
 * the host gives out a part instead of each of its kernels.
 */
const widestCompiled = 4096;

/** Every variable of one layer's cache, twice: keys and values. */
function layerCache(model: DecodedModel, { batch, recentSlots, promptSlots }: DecodingSize, name: string) {
  const { graph, dtype } = model;
  const { keyValueHeads, headDim } = model.config;
  if (dtype !== 'f32' && dtype !== 'bf16') throw new Error(`no cache is kept in ${dtype}`);
  const block = (part: string, rows: number, slots: number) =>
    createVariable(graph, `cache.${name}.${part}`, [rows, keyValueHeads, slots, headDim], dtype);
  return {
    past: createRowTable(graph, `cache.${name}.past`, { dtype, width: headDim }),
    recent: block('recent', batch, recentSlots),
    prompts: block('prompts', 1, promptSlots),
  };
}

/**
 * Calls that decode with a KV cache, for any session on the model: they read the variables that it has, so that a
 * training session decodes with its state of the moment and holds no second copy of the weights.
 *
 * The cache has three parts. A row's text lies in the `past` from slot 0 on, as far as it has got there. What was
 * decoded since then lies in `recent`, in the same slots for all rows: so a step writes one small block, and copies
 * nothing of the past. Prompts are computed in `prompts`, beside the rows that are being decoded; `join` makes a new
 * past of all three, with as many slots as are needed.
 *
 * Entries:
 *
 * - `clear`: makes the cache, or makes it anew; the past has the fewest slots.
 * - `release`: frees the cache, until it is made again.
 * - `prefill`: ids [prefillTokens] into `prompts` from `firstSlot`, of several texts; each token's stands from `start`
 *   on, behind `shared` tokens of the one at slot 0 -> `next` [batch], the token after each of those at `last`, counted
 *   in the call.
 * - `join`: indices [any], the rows of the new past (cacheRows.ts).
 * - `decode<n>`: ids [batch], lengths [batch], slot -> `next` [batch]; the past has n slots.
 * - `decode<n>Several`: as many such steps as `tokensPerCall`, each with the tokens of the one before, in as many slots
 *   -> `next` f32 [tokensPerCall * batch].
 *
 * There is each that says `next` for every way in which it is asked to be chosen, with that way's suffix (choosing.ts).
 *
 * What `lengthInputs` returns is fed as well.
 */
export function decodingEntries(model: DecodedModel, size: DecodingSize, asked: readonly Way[]) {
  const { graph, config, dtype } = model;
  // A card has a chain of layers for each way: there a nucleus of all serves for what is drawn of all.
  const ways = asked.filter((way) => way !== 'drawn' || graph.device === 'cpu' || !asked.includes('nucleus'));
  const { batch, pastSlots, prefillTokens } = size;
  const { keyValueHeads, headDim } = config;
  const caches = Array.from({ length: config.layers }, (_, layer) => ({
    k: layerCache(model, size, `${layer}.k`),
    v: layerCache(model, size, `${layer}.v`),
  }));
  const parts = caches.flatMap(({ k, v }) => [k, v]);
  const widestInput = Math.max(config.hiddenSize, config.heads * headDim);
  /** Whether so many rows are computed by compiled parts; see `widestCompiled`. */
  const compiles = (rows: number) => graph.device === 'gpu' || (rows === 1 && widestInput < widestCompiled);

  /** Writes new keys and values from a slot of a block on. @returns the nodes' names */
  const writeSlot = (blocks: readonly Variable[], slot: Tensor, values: readonly Tensor[]) => {
    const tokens = values[0]!.shape[2]!;
    const corner = (rows: number, heads: number, at: Tensor, column: number) =>
      concat([graph.constant([rows, heads], 'i32'), reshape(at, [1]), graph.constant([column], 'i32')], 0);
    const begin = corner(0, 0, slot, 0);
    const behind = add(slot, graph.constant(tokens, 'i32'));
    const end = corner(blocks[0]!.shape[0]!, keyValueHeads, behind, headDim);
    return blocks.map((block, i) => assignSlice(block, begin, end, values[i]!));
  };

  /** The model over new tokens; attention differs. @param positions f32 [tokens of all rows, 1] */
  const forward = (
    ids: Tensor,
    layout: { batch: number; tokens: number },
    positions: Tensor,
    frequencies: readonly Tensor[],
    attend: (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor,
    more: Pick<DecoderParts, 'part' | 'split'> & {
      inputs: Record<string, Tensor>;
      last: Tensor | null;
      /** What must have run besides, by its nodes' names; asked when the layers are built. */
      written?: () => readonly string[];
    },
  ) => {
    const { last, part = null, split = null } = more;
    const rowInputs = model.rowInputs(layout.batch * layout.tokens);
    // What is told of every token is not told of those that are read.
    const picksEarly = last !== null && Object.keys(rowInputs).length === 0;
    const picked = (x: Tensor) => (last ? gather(x, last, 0) : x);
    const computed = decoderHidden(
      {
        config,
        dtype,
        weight: model.keptWeight,
        linear: (site, x) => model.linear(site, x, null),
        attend,
        readRows: picksEarly ? picked : null,
        part,
        split,
        lastProductApart: graph.device === 'cpu' && config.intermediateSize >= widestCompiled,
      },
      ids,
      layout,
      config.ropes.map((rope, i) => {
        // Frequencies are those of a token: each has a row of the table.
        const { cos, sin } = rotaryTable(rope, positions, frequencies[i]!);
        const shape = [layout.batch, layout.tokens, 1, rope.dimensions / 2];
        return { cos: reshape(cos, shape), sin: reshape(sin, shape) };
      }),
    );
    const hidden = picksEarly ? computed : picked(computed);
    const weight = model.headWeight();
    const logits = graph.after(more.written?.() ?? [], () =>
      compiles(hidden.shape[0]!)
        ? compiledPart([hidden], ([row]) => [headLogits(row!, weight, config)])[0]!
        : headLogits(hidden, weight, config),
    );
    const inputs = {
      ids,
      ...more.inputs,
      ...rowInputs,
      ...Object.fromEntries(fed.map((i) => [`frequencies${i}`, frequencies[i]!])),
    };
    return { inputs, logits };
  };

  // Keys in the cache keep the frequencies of the length at which they were made, as in transformers.
  const fed = config.ropes.flatMap((rope, i) => (dependsOnLength(rope) ? [i] : []));
  const tokensPerCall =
    fed.length > 0 ? 1 : Math.min(deviceSizes[graph.device].decodedTokens, size.recentSlots);
  const frequenciesOf = (name: string, rows: number) =>
    config.ropes.map((rope, i) =>
      fed.includes(i)
        ? graph.placeholder(`${name}_frequencies_${i}`, [rows, rope.dimensions / 2], 'f32')
        : graph.constant(rotaryFrequencies(rope, 0), 'f32', [1, rope.dimensions / 2]),
    );

  const prefill = () => {
    const ofTokens = (name: string) => graph.placeholder(`prefill_${name}`, [prefillTokens], 'f32');
    const ids = graph.placeholder('prefill_ids', [prefillTokens], 'i32');
    const last = graph.placeholder('prefill_last', [batch], 'i32');
    const firstSlot = graph.placeholder('prefill_first_slot', [], 'i32');
    const [positions, shared, start] = [ofTokens('positions'), ofTokens('shared'), ofTokens('start')];
    const attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => {
      const { k: keys, v: values } = caches[layer]!;
      const written = writeSlot([keys.prompts, values.prompts], firstSlot, [k, v]);
      const cached = graph.after(written, () => ({
        k: readVariable(keys.prompts),
        v: readVariable(values.prompts),
      }));
      const first = cast(firstSlot, 'f32');
      return cachedAttention(q, cached.k, cached.v, first, { shared, start }, layerScoring(config, layer));
    };
    const computed = forward(
      ids,
      { batch: 1, tokens: prefillTokens },
      reshape(positions, [prefillTokens, 1]),
      frequenciesOf('prefill', prefillTokens),
      attend,
      { inputs: { firstSlot, positions, shared, start, last }, last },
    );
    return entriesOf('prefill', computed, choicesBy(ways, graph, 'prefill', { rows: batch, steps: 1 }));
  };

  const decode = () => {
    const ids = graph.placeholder('decode_ids', [batch], 'i32');
    const lengths = graph.placeholder('decode_lengths', [batch], 'f32');
    const slot = graph.placeholder('decode_slot', [], 'i32');
    const frequencies = frequenciesOf('decode', batch);
    // XLA would choose the numbers of 4 bits one by one as its products read them: 0.43 s a token of SmolLM2.
    const isInParts = compiles(batch) && model.quantization !== 'nf4';

    /**
     * One more token of every row.
     * @param call.recents of each layer, which get it
     * @param call.isLast whether they are kept then
     */
    const step = (
      tokens: Tensor,
      call: { slots: number; now: Tensor; recents: KeyValues[]; isLast: boolean },
    ) => {
      const { slots, now, recents } = call;
      const place = { lengths, slot: now };
      const shape = [batch, keyValueHeads, slots, headDim];
      /** What the part that is being built adds to the cache. */
      let made: { layer: number; values: KeyValues } | null = null;
      const split: DecoderParts['split'] = (layer, addends, build) => {
        const recent = recents[layer]!;
        const [q, k, v] = compiledPart(addends, (terms) => {
          const [query, ownK, ownV] = build(terms);
          return [query, withSlot(recent.k, ownK, now), withSlot(recent.v, ownV, now)];
        }) as [Tensor, Tensor, Tensor];
        if (isInParts) made = { layer, values: { k, v } };
        else recents[layer] = { k, v };
        return [q, k, v];
      };
      const attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => {
        const { k: keys, v: values } = caches[layer]!;
        const past = graph.inMain(() => ({ k: readRows(keys.past, shape), v: readRows(values.past, shape) }));
        return steppedAttention(q, { past, recent: { k, v } }, place, layerScoring(config, layer));
      };
      const part: DecoderParts['part'] = (inputs, build) => {
        made = null;
        const outputs = compiledPart(inputs, (terms) => {
          const built = build(terms);
          return made ? [...built, made.values.k, made.values.v] : built;
        });
        if (!made) return outputs;
        const { layer }: { layer: number } = made;
        const [k, v] = outputs.slice(-2);
        recents[layer] = { k: k!, v: v! };
        return outputs.slice(0, -2);
      };
      const written = () =>
        recents.flatMap(({ k, v }, layer) => {
          const { k: keys, v: values } = caches[layer]!;
          return [assignVariable(keys.recent, k), assignVariable(values.recent, v)];
        });
      const positions = reshape(add(lengths, now), [batch, 1]);
      return forward(tokens, { batch, tokens: 1 }, positions, frequencies, attend, {
        inputs: { lengths, slot },
        last: null,
        part: isInParts ? part : null,
        split,
        ...(call.isLast && { written }),
      });
    };

    const kept = () =>
      caches.map(({ k, v }): KeyValues => ({ k: readVariable(k.recent), v: readVariable(v.recent) }));
    const first = cast(slot, 'f32');
    const choices = choicesBy(ways, graph, 'decode', { rows: batch, steps: 1 });
    const several = (
      slots: number,
      { suffix, inputs: more, choose }: (typeof choices)[number],
    ): [string, Entry] => {
      const recents = kept();
      const chosen: Tensor[] = [];
      let inputs = {};
      for (let i = 0; i < tokensPerCall; i++) {
        const now = add(first, graph.constant(i, 'f32'));
        const call = { slots, now, recents, isLast: i === tokensPerCall - 1 };
        const computed = step(chosen.at(-1) ?? ids, call);
        chosen.push(choose(computed.logits, i));
        inputs = { ...computed.inputs, ids, ...more };
      }
      // Integers would come back to the host one by one.
      const next = concat(
        chosen.map((each) => cast(each, 'f32')),
        0,
      );
      return [`decode${slots}Several${suffix}`, { inputs, outputs: { next } }];
    };
    const ofSeveral =
      tokensPerCall > 1 ? choicesBy(ways, graph, 'several', { rows: batch, steps: tokensPerCall }) : [];
    return Object.assign(
      {},
      ...pastSlots.flatMap((slots) => [
        entriesOf(`decode${slots}`, step(ids, { slots, now: first, recents: kept(), isLast: true }), choices),
        Object.fromEntries(ofSeveral.map((choice) => several(slots, choice))),
      ]),
    ) as DecodingEntries;
  };

  const join = () => {
    const indices = graph.placeholder('join_indices', [-1], 'i32');
    // One after the other: each is there twice while it is made.
    let done: string[] = [];
    for (const { past, recent, prompts } of parts)
      done = graph.after(done, () => [
        gatherRows(past, [readVariable(recent), readVariable(prompts)], indices),
      ]);
    return { ...effectEntry(graph, done), inputs: { indices } };
  };

  const zeros = ({ shape }: Variable) => fill(graph, shape, 0, dtype);
  const cleared = parts.flatMap(({ past, recent, prompts }) => [
    clearRows(past, batch * keyValueHeads * pastSlots[0]!),
    assignVariable(recent, zeros(recent)),
    assignVariable(prompts, zeros(prompts)),
  ]);
  const released = parts.flatMap(({ past, recent, prompts }) => [past.variable, recent, prompts]);
  const entries: DecodingEntries = {
    ...prefill(),
    ...decode(),
    join: join(),
    clear: effectEntry(graph, cleared),
    release: effectEntry(graph, released.map(releaseVariable)),
  };
  return {
    entries,
    size,
    keyValueHeads,
    lengthInputs: (lengths: readonly number[]) => lengthInputs(config, fed, lengths),
    dependsOnLength: fed.length > 0,
    tokensPerCall,
    ways,
  };
}

/** @param fed numbers of the ropes whose frequencies follow the lengths */
function lengthInputs({ ropes }: DecoderConfig, fed: readonly number[], lengths: readonly number[]) {
  return Object.fromEntries(
    fed.map((i) => {
      const rope = ropes[i]!;
      const half = rope.dimensions / 2;
      const values = new Float32Array(lengths.length * half);
      lengths.forEach((length, row) => values.set(rotaryFrequencies(rope, length), row * half));
      return [`frequencies${i}`, values];
    }),
  );
}
