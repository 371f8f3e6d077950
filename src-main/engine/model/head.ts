import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { deviceSizes } from '../../options/deviceSizes.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, cast, scale, softcapped } from '../graph/ops/elementwise.ts';
import { concat, sliceAxis } from '../graph/ops/layout.ts';
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
  const { graph } = hidden;
  const parts = partsOf(head);
  if (parts.length === 1) return matmul(hidden, head, { transposeY: true });
  const products: Tensor[] = [];
  for (const { begin, count } of parts)
    products.push(
      graph.after([products.at(-1) ?? hidden], () =>
        matmul(hidden, sliceAxis(head, 0, begin, count), { transposeY: true }),
      ),
    );
  return concat(products, 1);
}

/** g W [rows, size], in the compute type. @param gradient of the logits, [rows, vocabulary] */
export function throughHead(gradient: Tensor, head: Tensor): Tensor {
  const { graph, dtype } = gradient;
  const parts = partsOf(head);
  if (parts.length === 1) return matmul(gradient, head);
  let sum: Tensor | null = null;
  for (const { begin, count } of parts)
    sum = graph.after([sum ?? gradient], () => {
      const rows = cast(sliceAxis(head, 0, begin, count), 'f32');
      const part = matmul(cast(sliceAxis(gradient, 1, begin, count), 'f32'), rows);
      return sum ? add(sum, part) : part;
    });
  return cast(sum!, dtype);
}

/**
 * Words that are handled at a time: all, but where products of bf16 are widened. The head of a large vocabulary in f32
 * would be the largest thing in memory then.
 */
function partsOf(head: Tensor): { begin: number; count: number }[] {
  const { graph, dtype } = head;
  const [words, size] = head.shape as [number, number];
  const isWidened = dtype === 'bf16' && graph.products === 'widened' && !graph.body.isCompiled;
  const step = isWidened ? Math.max(1, Math.floor(deviceSizes[graph.device].widenedElements / size)) : words;
  return Array.from({ length: Math.ceil(words / step) }, (_, i) => ({
    begin: i * step,
    count: Math.min(step, words - i * step),
  }));
}

/** Scale and cap of the logits in f32; the identity for most families. */
export function finalLogits(product: Tensor, config: HeadConfig): Tensor {
  const logits = scale(product, config.logitScale);
  return config.finalSoftcap === null ? logits : softcapped(logits, config.finalSoftcap);
}
