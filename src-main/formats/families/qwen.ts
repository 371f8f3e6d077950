import { z } from 'zod';
import { family, optionalFlag, type ConfigKeys, type FamilyRules } from './family.ts';
import { llamaRules } from './llama.ts';

const windowKeys = {
  use_sliding_window: optionalFlag,
  max_window_layers: z.number().int().min(0).nullish(),
};
type WindowKeys = z.output<z.ZodObject<typeof windowKeys>>;

function qwenRules(keys: ConfigKeys & WindowKeys): FamilyRules {
  const stated = keys.sliding_window === undefined ? 4096 : keys.sliding_window;
  const window = keys.use_sliding_window ? stated : null;
  return {
    ...llamaRules(keys),
    contextLength: 32_768,
    keyValueHeads: 32,
    mlpBias: false,
    readsLayerTypes: true,
    window,
    slides: (layer) => window !== null && layer >= (keys.max_window_layers ?? 28),
  };
}

export const qwen2 = family(windowKeys, (keys) => ({
  ...qwenRules(keys),
  queryKeyValueBias: true,
  outputBias: false,
}));

export const qwen3 = family(windowKeys, (keys) => ({
  ...qwenRules(keys),
  headDim: 128,
  queryKeyNorm: 'head',
}));
