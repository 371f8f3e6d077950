import { family, seesWholeText, slidingPattern } from './family.ts';
import { llamaRules, noBias } from './llama.ts';

/** Where some layers slide, only these are rotated. */
export const exaone4 = family({ sliding_window_pattern: slidingPattern }, (keys) => {
  const window = keys.sliding_window === undefined ? 4096 : keys.sliding_window;
  return {
    ...llamaRules(keys),
    ...noBias,
    keyValueHeads: 32,
    rmsEpsilon: 1e-5,
    normPlacement: 'after',
    queryKeyNorm: 'head',
    readsLayerTypes: true,
    window,
    slides: (layer) => window !== null && !seesWholeText(keys.sliding_window_pattern ?? 4, layer),
    rotates: (_, slides) => slides || window === null,
  };
});
