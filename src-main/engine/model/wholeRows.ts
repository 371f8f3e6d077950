import { checkpointed } from '../graph/checkpointed.ts';
import type { DType } from '../graph/dtype.ts';
import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import { addAll, cast } from '../graph/ops/elementwise.ts';
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
 * @param options.gradientCheckpointing of each layer only its input, one [batch * tokens, hidden], is kept for the backward pass
 * @returns [batch * tokens, hidden]
 */
export function wholeRowsHidden(
  model: ModelGraph,
  ids: Tensor,
  layout: { batch: number; tokens: number },
  dropoutSeed: Tensor | null,
  options: { gradientCheckpointing?: boolean } = {},
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
      ...(options.gradientCheckpointing && {
        aroundLayer: (stream, build) =>
          checkpointed(
            stream,
            (terms) => [sumOfTerms(build(terms), dtype)],
            () => model.trainable.values(),
          ),
      }),
    },
    ids,
    layout,
    rotaryTable(config, positions),
  );
}

/** The residual stream as one tensor. */
function sumOfTerms(terms: readonly Tensor[], dtype: DType): Tensor {
  return fusedOne(`stream_${terms.length}`, terms, (all) =>
    cast(addAll(all.map((term) => cast(term, 'f32'))), dtype),
  );
}
