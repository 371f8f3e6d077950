import { causalProduct, type Branches } from '../graph/causalProduct.ts';
import { lineStep, type BatchLayout } from '../../options/passLayouts.ts';
import type { LinearSite } from '../../shape/adapterSites.ts';
import { checkpointed } from '../graph/checkpointed.ts';
import type { Tensor } from '../graph/graph.ts';
import { gather, reshape } from '../graph/ops/layout.ts';
import { layerScoring } from './attention.ts';
import { decoderHidden } from './decoder.ts';
import type { ModelGraph } from './modelGraph.ts';
import { residualNorm } from './norm.ts';
import { rotaryTables } from './rotary.ts';

/**
 * Where a row holds several examples: where each token stands in its own, and which that is; f32 [batch * tokens].
 */
export interface Packing {
  positions: Tensor;
  segments: Tensor;
}

/**
 * The decoder over a batch of whole rows (training, scoring): positions 0..tokens-1, causal attention inside each row.
 * Padding goes behind a row's tokens, where nothing real sees it. Where a row holds several examples (packs, rows side
 * by side), positions and attention are those of each. Rope scaling that depends on the length takes that of the
 * padded rows (of the longest example), as transformers does with its batch.
 *
 * @param ids i32 [batch * tokens]
 * @param dropoutSeed i32 [2]; null: no dropout
 * @param options.gradientCheckpointing of each layer only its input, one [batch * tokens, hidden], is kept for the
 * backward pass
 * @param options.places i32 [labels]: only these rows of the result are made
 * @returns [batch * tokens, hidden], or [labels, hidden]
 */
export function wholeRowsHidden(
  model: ModelGraph,
  ids: Tensor,
  layout: BatchLayout,
  dropoutSeed: Tensor | null,
  options: {
    packing?: Packing | null;
    /** Instead of that: the tokens of a row form a tree, and their depth is their position. */
    branches?: Branches | null;
    gradientCheckpointing?: boolean;
    places?: Tensor | null;
    /** f32 [batch * tokens, hidden]: the rows of the embedding, where the session does not keep it. */
    embedded?: Tensor | undefined;
    /** Gets the weights of the experts of each adapted module, f32 [rows, experts]. */
    watch?: (site: LinearSite, weights: Tensor) => void;
  } = {},
): Tensor {
  const { config, dtype, keptWeight } = model;
  const { batch, tokens, longestExample = tokens, firstKeys } = layout;
  const { packing = null, branches = null, places = null, watch } = options;
  const positions = packing
    ? reshape(packing.positions, [batch, tokens])
    : (branches?.depths ??
      ids.graph.constant(
        Float32Array.from({ length: tokens }, (_, i) => i),
        'f32',
        [1, tokens],
      ));
  const segments = packing && {
    numbers: reshape(packing.segments, [batch, tokens]),
    longest: longestExample,
    firstKey: firstKeys ? (slot: number) => firstKeys[Math.floor(slot / lineStep)]! : null,
  };
  const picked = (x: Tensor) => (places ? gather(x, places, 0) : x);
  // Experts are watched at every token, and tasks are told of every token.
  const picksEarly = places !== null && !watch && !model.readsTasks;
  const hidden = decoderHidden(
    {
      config,
      dtype,
      weight: keptWeight,
      embedded: options.embedded ?? null,
      linear: (site, x) => model.linear(site, x, dropoutSeed, watch && ((weights) => watch(site, weights))),
      attend: (layer, q, k, v) => causalProduct(q, k, v, layerScoring(config, layer), { segments, branches }),
      readRows: picksEarly ? picked : null,
      ...(options.gradientCheckpointing && {
        aroundLayer: (stream, build) =>
          checkpointed(
            stream,
            (terms) => [residualNorm(build(terms), null, config, dtype).sum],
            () => model.trainable.values(),
          ),
      }),
    },
    ids,
    layout,
    rotaryTables(config.ropes, positions, layout.longestExample ?? layout.tokens),
  );
  return picksEarly ? hidden : picked(hidden);
}
