import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import type { Tensor } from '../graph/graph.ts';
import { cast, scale, softcapped } from '../graph/ops/elementwise.ts';
import { matmul } from '../graph/ops/linear.ts';

export type HeadConfig = Pick<DecoderConfig, 'logitScale' | 'finalSoftcap'>;

/**
 * Logits of the output head: z = W h * logitScale, soft-capped where the model does so (Gemma 2).
 * @param hidden h [rows, size], compute type
 * @param head W [vocabulary, size]
 * @returns [rows, vocabulary], f32
 */
export function headLogits(hidden: Tensor, head: Tensor, config: HeadConfig): Tensor {
  return finalLogits(cast(headProduct(hidden, head), 'f32'), config);
}

/** W h [rows, vocabulary], in the compute type. */
export function headProduct(hidden: Tensor, head: Tensor): Tensor {
  return matmul(hidden, head, { transposeY: true });
}

/** Scale and cap of the logits in f32; the identity for most families. */
export function finalLogits(product: Tensor, config: HeadConfig): Tensor {
  const logits = scale(product, config.logitScale);
  return config.finalSoftcap === null ? logits : softcapped(logits, config.finalSoftcap);
}
