import { z } from 'zod';
import { family, invalidConfig, optionalFlag } from './family.ts';
import { llamaRules } from './llama.ts';

/** Every fourth layer has no positions (no_rope_layers: 1 where a layer is rotated); these layers may slide. */
export const smollm3 = family(
  {
    use_sliding_window: optionalFlag,
    no_rope_layers: z.array(z.number().int()).nullish(),
    no_rope_layer_interval: z.number().int().min(1).nullish(),
  },
  (keys) => {
    const llama = llamaRules(keys);
    const window = keys.use_sliding_window ? (keys.sliding_window ?? null) : null;
    const rotates = (layer: number) => {
      if (!keys.no_rope_layers) return (layer + 1) % (keys.no_rope_layer_interval ?? 4) !== 0;
      const flag = keys.no_rope_layers[layer];
      if (flag === undefined) throw invalidConfig(`no_rope_layers says nothing of layer ${layer}`);
      return flag !== 0;
    };
    return {
      ...llama,
      contextLength: 32_768,
      keyValueHeads: 4,
      tieEmbeddings: true,
      readsLayerTypes: true,
      window,
      slides: (layer) => window !== null && !rotates(layer),
      rotates,
      ropes: [{ ...llama.ropes[0], theta: keys.rope_theta ?? 2_000_000 }],
    };
  },
);
