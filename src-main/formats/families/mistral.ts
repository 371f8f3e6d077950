import { family, type ConfigKeys, type FamilyRules } from './family.ts';
import { llamaRules, noBias } from './llama.ts';

function mistralRules(keys: ConfigKeys): FamilyRules {
  const window = keys.sliding_window === undefined ? 4096 : keys.sliding_window;
  return {
    ...llamaRules(keys),
    ...noBias,
    contextLength: 131_072,
    keyValueHeads: 8,
    window,
    slides: () => window !== null,
  };
}

export const mistral = family({}, mistralRules);

export const ministral = family({}, (keys) => ({ ...mistralRules(keys), readsLayerTypes: true }));
