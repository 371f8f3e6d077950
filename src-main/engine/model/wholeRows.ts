import type { Tensor } from '../graph/graph.ts';
import { causalAttention } from './attention.ts';
import { decoderHidden } from './decoder.ts';
import type { ModelGraph } from './modelGraph.ts';
import { rotaryTable } from './rotary.ts';

/**
 * The decoder over a batch of whole rows (training, scoring): positions 0..tokens-1, causal attention inside each row.
 * Padding goes behind a row's tokens, where nothing real sees it.
 *
 * @param ids i32 [batch * tokens]
 * @param dropoutSeed i32 [2]; null: no dropout
 * @returns [batch * tokens, hidden]
 */
export function wholeRowsHidden(
  model: ModelGraph,
  ids: Tensor,
  layout: { batch: number; tokens: number },
  dropoutSeed: Tensor | null,
): Tensor {
  const { config, dtype, keptWeight } = model;
  const positions = ids.graph.constant(
    Float32Array.from({ length: layout.tokens }, (_, i) => i),
    'f32',
    [1, layout.tokens],
  );
  return decoderHidden(
    {
      config,
      dtype,
      weight: keptWeight,
      linear: (site, x) => model.linear(site, x, dropoutSeed),
      attend: (_layer, q, k, v) => causalAttention(q, k, v, config),
    },
    ids,
    layout,
    rotaryTable(config, positions),
  );
}
