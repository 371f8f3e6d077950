import type { LinearSite } from '../../shape/adapterSites.ts';
import type { TargetModule } from '../../contract/training.ts';
import type { Activation, DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { layerNorms } from '../../formats/model/decoderWeights.ts';
import type { DType } from '../graph/dtype.ts';
import { addendSums, fused, fusedWithoutGradient } from '../graph/fused.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  multiply,
  scale,
  scalarLike,
  sigmoid,
  sumToShape,
  tanh,
} from '../graph/ops/elementwise.ts';
import { gather, sliceAxis } from '../graph/ops/layout.ts';
import { splitHeads, type Projected, type Terms } from './attention.ts';
import { branchNorm, residualNorm } from './norm.ts';
import type { RotaryTable } from './rotary.ts';

/** What the decoder needs from its surroundings: weights, the linear modules (adapted or not), attention. */
export interface DecoderParts {
  config: DecoderConfig;
  dtype: DType;
  /** The value of a Hugging Face tensor: embedding, norm gains. f32 where it is trained, else in the compute type. */
  weight(name: string): Tensor;
  /** The rows of the embedding that the ids name, where they are not taken from its weight. */
  embedded?: Tensor | null;
  /** y = W x + b and whatever an adapter adds, as addends of [rows, dOut]. */
  linear(site: LinearSite, x: Tensor): Terms;
  /**
   * Attention of layer `layer`.
   * @param q [batch, heads, tokens, d]; k, v [batch, keyValueHeads, tokens, d]
   * @returns [batch * tokens, heads * d]
   */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor;
  /**
   * Makes queries, keys and values of a layer from the addends of their projections; absent: as it comes. Attention
   * gets what this returns.
   */
  split?: ((layer: number, addends: Terms, build: (addends: Terms) => Heads) => Heads) | null;
  /** Picks the rows that are read of the last layer, whose work behind attention is done for these; absent: all. */
  readRows?: ((x: Tensor) => Tensor) | null;
  /** Computes one layer from the residual stream; a caller may keep less of it for the backward pass. */
  aroundLayer?(stream: Terms, build: (stream: Terms) => Terms): Terms;
  /** Computes a part of a layer, up to its attention or what follows; absent: as it comes. */
  part?: ((inputs: Terms, build: (inputs: Terms) => Terms) => Terms) | null;
  /** The last product of a layer is in neither part. */
  lastProductApart?: boolean;
}

/** Queries [batch, heads, tokens, d], keys and values [batch, keyValueHeads, tokens, d]. */
export type Heads = readonly [q: Tensor, k: Tensor, v: Tensor];

/**
 * Llama-type decoder (every family of formats/families/decoderConfig.ts), from token ids to the normalized output of
 * the last layer.
 *
 * @param ids i32 [batch * tokens]
 * @param tables cos and sin of each of the model's ropes
 * @returns [batch * tokens, hidden] in the compute type, or of the rows that are read
 */
export function decoderHidden(
  parts: DecoderParts,
  ids: Tensor,
  layout: { batch: number; tokens: number },
  tables: readonly RotaryTable[],
): Tensor {
  const { config, dtype, weight } = parts;
  const norms = layerNorms(config.normPlacement);
  const embedded = cast(parts.embedded ?? gather(weight('model.embed_tokens.weight'), ids, 0), dtype);
  const { embeddingScale, roundsEmbeddingScale } = config;
  let stream: Terms = [
    roundsEmbeddingScale
      ? multiply(embedded, scalarLike(embedded, embeddingScale))
      : scale(embedded, embeddingScale),
  ];
  const part = parts.part ?? ((inputs: Terms, build: (inputs: Terms) => Terms) => build(inputs));
  const split =
    parts.split ?? ((_: number, addends: Terms, build: (addends: Terms) => Heads) => build(addends));
  const around = parts.aroundLayer ?? ((terms: Terms, build: (terms: Terms) => Terms) => build(terms));
  for (let layer = 0; layer < config.layers; layer++)
    stream = around(stream, (terms) => decoderLayer(layer, terms));
  return residualNorm(stream, weight('model.norm.weight'), config, dtype).normed;

  function decoderLayer(layer: number, terms: Terms): Terms {
    const at = `model.layers.${layer}`;
    const linear = (module: TargetModule, x: Tensor) => parts.linear({ layer, module }, x);
    const enter = (addends: Terms, norm: string | null) =>
      residualNorm(addends, norm === null ? null : weight(`${at}.${norm}.weight`), config, dtype);
    const leave = (addends: Terms, norm: string | null): Terms =>
      norm ? [branchNorm(addends, weight(`${at}.${norm}.weight`), config, dtype)] : addends;
    const { rope } = config.layerKinds[layer]!;
    const projected = (addends: Terms, count: number, norm: string | null): Projected => ({
      terms: addends,
      heads: count,
      rotary: norm && rope !== null ? tables[rope]! : null,
      gain: norm && config.queryKeyNorm !== 'none' ? weight(`${at}.self_attn.${norm}.weight`) : null,
    });

    const attention = (stream: Terms): Terms => {
      const input = enter(stream, norms.beforeAttention);
      const [queries, keys, values] = projections(linear, input.normed, config);
      const ends = [queries.length, queries.length + keys.length] as const;
      const [q, k, v] = split(layer, [...queries, ...keys, ...values], (all) => {
        const parts = [
          projected(all.slice(0, ends[0]), config.heads, 'q_norm'),
          projected(all.slice(...ends), config.keyValueHeads, 'k_norm'),
          projected(all.slice(ends[1]), config.keyValueHeads, null),
        ];
        const [q, k, v] = splitHeads(parts, layout, config, dtype);
        return [q!, k!, v!];
      });
      return [input.sum, parts.attend(layer, q, k, v)];
    };
    const gatedUnits = ([sum, attended]: Terms): Terms => {
      const projected = leave(linear('o_proj', attended!), norms.afterAttention);
      const middle = enter([sum!, ...projected], norms.beforeMlp);
      const [gate, up] = gateAndUp(linear, middle.normed, config);
      return [middle.sum, gatedUnit(gate, up, config.activation, dtype)];
    };
    const lastProduct = ([sum, gated]: Terms): Terms => [
      sum!,
      ...leave(linear('down_proj', gated!), norms.afterMlp),
    ];
    const read = (layer === config.layers - 1 && parts.readRows) || ((x: Tensor) => x);
    const attended = part(terms, attention).map(read);
    return parts.lastProductApart
      ? lastProduct(part(attended, gatedUnits))
      : part(attended, (inputs) => lastProduct(gatedUnits(inputs)));
  }
}

type Linear = (module: TargetModule, x: Tensor) => Terms;

function projections(linear: Linear, x: Tensor, config: DecoderConfig): readonly [Terms, Terms, Terms] {
  if (!config.fusedProjections) return [linear('q_proj', x), linear('k_proj', x), linear('v_proj', x)];
  const [q, kv] = [config.heads * config.headDim, config.keyValueHeads * config.headDim];
  const all = linear('qkv_proj', x);
  return [columns(all, 0, q), columns(all, q, kv), columns(all, q + kv, kv)];
}

function gateAndUp(linear: Linear, x: Tensor, config: DecoderConfig): readonly [Terms, Terms] {
  if (!config.fusedProjections) return [linear('gate_proj', x), linear('up_proj', x)];
  const all = linear('gate_up_proj', x);
  return [
    columns(all, 0, config.intermediateSize),
    columns(all, config.intermediateSize, config.intermediateSize),
  ];
}

/** The same columns of every addend. */
function columns(terms: Terms, begin: number, count: number): Terms {
  return terms.map((term) => sliceAxis(term, term.shape.length - 1, begin, count));
}

/**
 * activation(gate) * up (Shazeer 2020). Gate and up are kept for the backward pass as two sums instead of their
 * addends; the product is computed again from them.
 */
function gatedUnit(gate: Terms, up: Terms, activation: Activation, dtype: DType): Tensor {
  const product = (x: Tensor, y: Tensor) => cast(multiply(activated(x, activation), y), dtype);
  const [gated, g, u] = fusedWithoutGradient(
    `${activation}_${gate.length}_${up.length}`,
    [...gate, ...up],
    (all) => {
      const wide = all.map((term) => cast(term, 'f32'));
      const sums = [addAll(wide.slice(0, gate.length)), addAll(wide.slice(gate.length))] as const;
      return [product(...sums), ...sums.map((sum) => cast(sum, dtype))];
    },
  );
  const all = [...gate, ...up];
  return gated!.graph.withGradientOfAddends(all, [gated!], (upstream, wanted, read) => {
    const arriving = upstream[0]!;
    const isRead = read[0]!;
    const kind = `${activation}_gradient_${arriving.length}${isRead ? '_again' : ''}`;
    const results = fused(kind, [g!, u!, ...arriving], ([x, y, ...addends]) => {
      const again = product(cast(x!, 'f32'), cast(y!, 'f32'));
      const found = gradients([again], [addendSums(upstream, addends)[0]!], [x!, y!]);
      return [...found.map((gradient) => gradient!), ...(isRead ? [again] : [])];
    });
    const found = all.map((term, i) =>
      wanted[i] ? cast(sumToShape(results[i < gate.length ? 0 : 1]!, term.shape), term.dtype) : null,
    );
    return { gradients: found, again: [results[2] ?? null] };
  })[0]!;
}

function activated(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case 'silu':
      return multiply(x, sigmoid(x));
    case 'geluTanh': {
      // Hendrycks and Gimpel 2016: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
      const cubic = scale(multiply(x, multiply(x, x)), 0.044715);
      const bent = tanh(scale(add(x, cubic), Math.sqrt(2 / Math.PI)));
      return multiply(scale(x, 0.5), add(bent, scalarLike(bent, 1)));
    }
    default:
      throw new Error(`unknown activation ${String(activation satisfies never)}`);
  }
}
