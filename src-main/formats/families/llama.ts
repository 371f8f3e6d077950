import { family, type ConfigKeys, type FamilyRules } from './family.ts';

/** The rules of a Llama: the other families say what they change in them. */
export function llamaRules(keys: ConfigKeys): FamilyRules {
  const attentionBias = keys.attention_bias ?? false;
  // rope_scaling, where it says something, replaces rope_parameters as a whole.
  const older = keys.rope_scaling && Object.keys(keys.rope_scaling).length > 0 ? keys.rope_scaling : null;
  const parameters = { ...(older ?? keys.rope_parameters) };
  const partial = parameters['partial_rotary_factor'] ?? keys.partial_rotary_factor;
  return {
    contextLength: 2048,
    keyValueHeads: null,
    headDim: null,
    rmsEpsilon: 1e-6,
    tieEmbeddings: false,
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: keys.mlp_bias ?? false,
    fusedProjections: false,
    normPlacement: 'before',
    normGainOffset: 0,
    queryKeyNorm: 'none',
    activation: keys.hidden_act ?? 'silu',
    embeddingScale: 1,
    roundsEmbeddingScale: false,
    residualScale: 1,
    attentionScale: null,
    attentionSoftcap: null,
    logitScale: 1,
    finalSoftcap: null,
    readsLayerTypes: false,
    slides: () => false,
    window: null,
    rotates: () => true,
    ropes: [
      {
        parameters: { ...parameters, partial_rotary_factor: partial },
        theta: keys.rope_theta ?? 10_000,
        partialFactor: null,
      },
    ],
    originalContext: null,
  };
}

export const noBias = { queryKeyValueBias: false, outputBias: false, mlpBias: false };

export const llama = family({}, llamaRules);
