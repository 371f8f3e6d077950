import type { LinearSite } from '../../budget/adapterSites.ts';
import type { TargetModule } from '../../contract/training.ts';
import type { DecoderConfig } from '../../formats/decoderConfig.ts';
import type { DType } from '../graph/dtype.ts';
import { fused, fusedWithoutGradient } from '../graph/fused.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import { addAll, cast, multiply, sigmoid, sumToShape } from '../graph/ops/elementwise.ts';
import { gather } from '../graph/ops/layout.ts';
import { splitHeads, type Terms } from './attention.ts';
import { residualNorm } from './norm.ts';
import type { RotaryTable } from './rotary.ts';

/** What the decoder needs from its surroundings: weights, the linear modules (adapted or not), attention. */
export interface DecoderParts {
  config: DecoderConfig;
  dtype: DType;
  /** The value of a Hugging Face tensor: embedding, norm gains. f32 where it is trained, else in the compute type. */
  weight(name: string): Tensor;
  /** y = W x + b and whatever an adapter adds, as addends of [rows, dOut]. */
  linear(site: LinearSite, x: Tensor): Terms;
  /**
   * Attention of layer `layer`.
   * @param q [batch, heads, tokens, d]; k, v [batch, keyValueHeads, tokens, d]
   * @returns [batch * tokens, heads * d]
   */
  attend(layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor;
  /** Computes one layer from the residual stream; a caller may keep less of it for the backward pass. */
  aroundLayer?(stream: Terms, build: (stream: Terms) => Terms): Terms;
}

/**
 * Llama-type decoder (Llama, Mistral, Qwen2, Qwen3), from token ids to the normalised output of the last layer.
 *
 * @param ids i32 [batch * tokens]
 * @returns [batch * tokens, hidden] in the compute type
 */
export function decoderHidden(
  parts: DecoderParts,
  ids: Tensor,
  layout: { batch: number; tokens: number },
  rotary: RotaryTable,
): Tensor {
  const { config, dtype, weight } = parts;
  const normed = (terms: Terms, name: string) => residualNorm(terms, weight(name), config.rmsEpsilon, dtype);
  let stream: Terms = [cast(gather(weight('model.embed_tokens.weight'), ids, 0), dtype)];
  const around = parts.aroundLayer ?? ((terms: Terms, build: (terms: Terms) => Terms) => build(terms));
  for (let layer = 0; layer < config.layers; layer++)
    stream = around(stream, (terms) => decoderLayer(layer, terms));
  return normed(stream, 'model.norm.weight').normed;

  function decoderLayer(layer: number, terms: Terms): Terms {
    const at = `model.layers.${layer}`;
    const linear = (module: TargetModule, x: Tensor) => parts.linear({ layer, module }, x);
    const heads = (parts: Terms, count: number, rotate: boolean, gain: string | null) =>
      splitHeads(parts, { ...layout, heads: count }, config, dtype, {
        rotary: rotate ? rotary : null,
        gain: gain && config.queryKeyNorm ? weight(`${at}.self_attn.${gain}.weight`) : null,
      });

    const input = normed(terms, `${at}.input_layernorm.weight`);
    const q = heads(linear('q_proj', input.normed), config.heads, true, 'q_norm');
    const k = heads(linear('k_proj', input.normed), config.keyValueHeads, true, 'k_norm');
    const v = heads(linear('v_proj', input.normed), config.keyValueHeads, false, null);
    const attended = linear('o_proj', parts.attend(layer, q, k, v));

    const middle = normed([input.sum, ...attended], `${at}.post_attention_layernorm.weight`);
    const gated = swiglu(linear('gate_proj', middle.normed), linear('up_proj', middle.normed), dtype);
    return [middle.sum, ...linear('down_proj', gated)];
  }
}

/**
 * silu(gate) * up (Shazeer 2020). Gate and up are kept for the backward pass as two sums instead of their addends.
 */
function swiglu(gate: Terms, up: Terms, dtype: DType): Tensor {
  const [gated, g, u] = fusedWithoutGradient(
    `swiglu_${gate.length}_${up.length}`,
    [...gate, ...up],
    (all) => {
      const wide = all.map((term) => cast(term, 'f32'));
      const sums = [addAll(wide.slice(0, gate.length)), addAll(wide.slice(gate.length))] as const;
      return [cast(siluTimes(...sums), dtype), ...sums.map((sum) => cast(sum, dtype))];
    },
  );
  const all = [...gate, ...up];
  return gated!.graph.withGradient(all, [gated!], ([dGated], wanted) => {
    const results = fused('swiglu_gradient', [g!, u!, dGated!], ([x, y, upstream]) =>
      gradients([cast(siluTimes(cast(x!, 'f32'), cast(y!, 'f32')), dtype)], [upstream!], [x!, y!]).map(
        (gradient) => gradient!,
      ),
    );
    return all.map((term, i) =>
      wanted[i] ? cast(sumToShape(results[i < gate.length ? 0 : 1]!, term.shape), term.dtype) : null,
    );
  })[0]!;
}

function siluTimes(gate: Tensor, up: Tensor): Tensor {
  return multiply(multiply(gate, sigmoid(gate)), up);
}
