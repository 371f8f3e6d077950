import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { configKeys, idList } from './configKeys.ts';
import type { Activation, DecoderConfig, DecoderFamily } from './decoderConfig.ts';
import { familyTraits, type FamilyTraits } from './familyTraits.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { readLayers } from './layerKinds.ts';
import { refuseByName } from './unsupportedModels.ts';

/**
 * Reads config.json (and the end ids of generation_config.json) of a Hugging Face folder.
 * @throws StudioError model_invalid: missing or impossible values; model_unsupported: an architecture or option the
 * engine lacks
 */
export function readDecoderConfig(folder: string): DecoderConfig {
  const raw = readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid');
  refuseByName(raw);
  const family = raw['model_type'] as DecoderFamily;
  const parsed = configKeys.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalid(`config.json: ${issue.path.join('.')}: ${issue.message}.`);
  }
  const c = parsed.data;
  const traits = familyTraits(family, c);

  const heads = c.num_attention_heads;
  // An absent key has the family's default; null means as many as heads.
  const keyValueHeads =
    c.num_key_value_heads === undefined ? (traits.keyValueHeads ?? heads) : (c.num_key_value_heads ?? heads);
  if (heads % keyValueHeads !== 0)
    throw invalid(
      `config.json: ${heads} attention heads are no multiple of ${keyValueHeads} key/value heads.`,
    );
  const headDim = c.head_dim ?? traits.headDim ?? c.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw invalid(`config.json: the head size ${headDim} must be an even whole number.`);
  const { ropes, layerKinds, contextLength } = readLayers(family, c, headDim);
  return {
    family,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads,
    keyValueHeads,
    headDim,
    vocabularySize: c.vocab_size,
    contextLength,
    ropes,
    layerKinds,
    rmsEpsilon: c.rms_norm_eps ?? traits.rmsEpsilon,
    normGainOffset: traits.normGainOffset,
    normPlacement: traits.normPlacement,
    queryKeyNorm: traits.queryKeyNorm,
    activation: activation(traits),
    embeddingScale: traits.embeddingScale,
    residualScale: traits.residualScale,
    attentionScale: traits.attentionScale ?? headDim ** -0.5,
    attentionSoftcap: traits.attentionSoftcap,
    logitScale: traits.logitScale,
    finalSoftcap: traits.finalSoftcap,
    tieEmbeddings: c.tie_word_embeddings ?? traits.tieEmbeddings,
    queryKeyValueBias: traits.queryKeyValueBias,
    outputBias: traits.outputBias,
    mlpBias: traits.mlpBias,
    fusedProjections: traits.fusedProjections,
    bosId: firstId(c.bos_token_id),
    eosIds: [...new Set([...idsOf(c.eos_token_id), ...generationEndIds(folder)])],
    padId: firstId(c.pad_token_id),
  };
}

function invalid(message: string): StudioError {
  return new StudioError('model_invalid', message, 'Check config.json, or download the model again.');
}

/** Names that transformers gives to the activations which the graph computes. */
const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'geluTanh',
};

function activation(traits: FamilyTraits): Activation {
  const known = activations[traits.activation];
  if (known) return known;
  throw new StudioError(
    'model_unsupported',
    `The activation "${traits.activation}" is not supported.`,
    `Supported are ${Object.keys(activations).join(', ')}.`,
  );
}

function idsOf(value: number | number[] | null | undefined): number[] {
  return value == null ? [] : Array.isArray(value) ? value : [value];
}

function firstId(value: number | number[] | null | undefined): number | null {
  return idsOf(value)[0] ?? null;
}

function generationEndIds(folder: string): number[] {
  const path = join(folder, 'generation_config.json');
  if (!existsSync(path)) return [];
  const parsed = idList.safeParse(readJsonObject(path, 1024 * 1024, 'model_invalid')['eos_token_id']);
  return parsed.success ? idsOf(parsed.data) : [];
}
