import { StudioError } from '../../contract/errors.ts';
import type { Rope, RopeScaling } from './decoderConfig.ts';
import { invalidConfig as invalid, type RopeRules } from './family.ts';

/** A rope's keys in config.json (`rope_parameters` in transformers 5, `rope_scaling` before) and what stands beside. */
export interface RopeSource extends RopeRules {
  headDim: number;
  /** max_position_embeddings. */
  contextLength: number;
  /** original_max_position_embeddings beside the rope keys: goes before the one among them, as in transformers. */
  originalContext: number | null;
}

/**
 * Reads one rotary embedding, with transformers' defaults (modeling_rope_utils.py).
 * @throws StudioError model_invalid: a key is missing or impossible; model_unsupported: an unknown kind of scaling
 */
export function readRope(source: RopeSource): Rope {
  const { parameters, headDim, partialFactor } = source;
  const stated = parameters['partial_rotary_factor'];
  if (partialFactor === null && typeof stated === 'number' && stated !== 1)
    throw new StudioError(
      'model_unsupported',
      `partial_rotary_factor ${stated} is supported for Phi-3 only.`,
      'Choose a model that rotates whole heads.',
    );
  const factor = partialFactor ?? 1;
  const dimensions = Math.trunc(headDim * factor);
  if (dimensions < 2 || dimensions > headDim || dimensions % 2 !== 0)
    throw invalid(
      `partial_rotary_factor ${factor} makes ${dimensions} of ${headDim} dimensions rotate; an even number is needed`,
    );
  const theta = optionalPositive(parameters, 'rope_theta') ?? source.theta;
  if (theta <= 1) throw invalid(`rope_theta must be above 1, not ${theta}`);
  return { theta, dimensions, scaling: readScaling(source, dimensions) };
}

function readScaling(source: RopeSource, dimensions: number): RopeScaling | null {
  const { parameters, contextLength } = source;
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  const originalContext =
    source.originalContext ??
    optionalPositive(parameters, 'original_max_position_embeddings') ??
    contextLength;
  switch (type) {
    case 'default':
      return null;
    case 'linear':
      return { type: 'linear', factor: positive(parameters, 'factor') };
    case 'dynamic':
      // transformers counts from max_position_embeddings here, whatever original_max_position_embeddings says.
      return { type: 'dynamic', factor: positive(parameters, 'factor'), originalContext: contextLength };
    case 'llama3':
      return {
        type: 'llama3',
        factor: positive(parameters, 'factor'),
        lowFrequencyFactor: positive(parameters, 'low_freq_factor'),
        highFrequencyFactor: positive(parameters, 'high_freq_factor'),
        originalContext,
      };
    case 'yarn': {
      const factor = optionalPositive(parameters, 'factor') ?? contextLength / originalContext;
      return {
        type: 'yarn',
        factor,
        originalContext,
        betaFast: optionalPositive(parameters, 'beta_fast') ?? 32,
        betaSlow: optionalPositive(parameters, 'beta_slow') ?? 1,
        attentionFactor:
          optionalPositive(parameters, 'attention_factor') ?? yarnAttention(parameters, factor),
        truncate: parameters['truncate'] !== false,
      };
    }
    case 'su':
    case 'longrope': {
      const factor = optionalPositive(parameters, 'factor') ?? contextLength / originalContext;
      return {
        type: 'longrope',
        shortFactors: divisors(parameters, 'short_factor', dimensions / 2),
        longFactors: divisors(parameters, 'long_factor', dimensions / 2),
        originalContext,
        attentionFactor:
          optionalPositive(parameters, 'attention_factor') ??
          (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext))),
      };
    }
    default:
      throw new StudioError(
        'model_unsupported',
        `The rope scaling ${JSON.stringify(type)} is not supported.`,
        'Supported are default, linear, dynamic, llama3, yarn and longrope.',
      );
  }
}

/**
 * m(factor, mscale) / m(factor, mscale_all_dim), m(f, s) = 0.1 s ln f + 1 (Peng et al. 2023, as transformers extends
 * it).
 */
function yarnAttention(parameters: Readonly<Record<string, unknown>>, factor: number): number {
  const magnitude = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const [one, all] = [parameters['mscale'], parameters['mscale_all_dim']];
  return typeof one === 'number' && typeof all === 'number' && one !== 0 && all !== 0
    ? magnitude(one) / magnitude(all)
    : magnitude(1);
}

function divisors(
  parameters: Readonly<Record<string, unknown>>,
  key: string,
  count: number,
): readonly number[] {
  const value = parameters[key];
  if (!Array.isArray(value) || value.length !== count || !value.every(isPositive))
    throw invalid(`the rope's ${key} must be a list of ${count} numbers above 0`);
  return value;
}

function positive(parameters: Readonly<Record<string, unknown>>, key: string): number {
  const value = optionalPositive(parameters, key);
  if (value === null) throw invalid(`the rope scaling has no ${key}`);
  return value;
}

/** Null where the key is absent, null or 0 (transformers takes its default then). */
function optionalPositive(parameters: Readonly<Record<string, unknown>>, key: string): number | null {
  const value = parameters[key] ?? 0;
  if (value === 0) return null;
  if (!isPositive(value))
    throw invalid(`the rope's ${key} must be a number above 0, not ${JSON.stringify(value)}`);
  return value;
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}
