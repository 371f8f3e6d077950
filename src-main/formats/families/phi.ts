import { StudioError } from '../../contract/errors.ts';
import { family, type RopeRules } from './family.ts';
import { llamaRules, noBias } from './llama.ts';

export const phi3 = family({}, (keys) => {
  const llama = llamaRules(keys);
  const window = keys.sliding_window ?? null;
  return {
    ...llama,
    ...noBias,
    contextLength: 4096,
    originalContext: 4096,
    rmsEpsilon: 1e-5,
    fusedProjections: true,
    window,
    slides: () => window !== null,
    ropes: [longRope(llama.ropes[0])],
  };
});

/** Early Phi-3 files say "su" or "yarn" and mean longrope. */
function longRope({ parameters, theta }: RopeRules): RopeRules {
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  if (!['default', 'su', 'longrope', 'yarn'].includes(String(type)))
    throw new StudioError(
      'model_unsupported',
      `Phi-3 has no rope scaling ${JSON.stringify(type)}.`,
      'Phi-3 knows default and longrope.',
    );
  const partial = parameters['partial_rotary_factor'];
  return {
    parameters: type === 'yarn' ? { ...parameters, rope_type: 'longrope' } : parameters,
    theta,
    partialFactor: typeof partial === 'number' ? partial : 1,
  };
}
