import { family, pairOfRopes, type ConfigKeys, type FamilyRules } from './family.ts';
import { llamaRules } from './llama.ts';

function olmoRules(keys: ConfigKeys): FamilyRules {
  return {
    ...llamaRules(keys),
    mlpBias: false,
    rmsEpsilon: 1e-5,
    normPlacement: 'after',
    queryKeyNorm: 'projection',
  };
}

export const olmo2 = family({}, olmoRules);

/** Three of four layers slide. Their rope is not scaled, and transformers gives them no rope_theta but their own. */
export const olmo3 = family({}, (keys) => ({
  ...olmoRules(keys),
  readsLayerTypes: true,
  window: keys.sliding_window === undefined ? 4096 : keys.sliding_window,
  slides: (layer) => (layer + 1) % 4 !== 0,
  ropes: pairOfRopes(keys, { whole: keys.rope_theta ?? 500_000, sliding: 500_000 }),
}));
