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

/** Three of four layers slide, and their rope is not scaled. */
export const olmo3 = family({}, (keys) => {
  const theta = keys.rope_theta ?? 500_000;
  return {
    ...olmoRules(keys),
    readsLayerTypes: true,
    window: keys.sliding_window === undefined ? 4096 : keys.sliding_window,
    slides: (layer) => (layer + 1) % 4 !== 0,
    ropes: pairOfRopes(keys, { whole: theta, sliding: theta }),
  };
});
