import { matmul } from '../graph/ops/linear.ts';
import { scale } from '../graph/ops/elementwise.ts';
import { updateScale, type AdapterMethod } from './method.ts';

/**
 * LoRA (Hu et al. 2022), as PEFT: y = W x + c B A dropout(x), A [r, dIn], B [dOut, r], c = alpha / r (or alpha / sqrt(r): rsLoRA).
 */
export const lora: AdapterMethod = ({ config, x, base, parameter, dropout }) => {
  const down = matmul(dropout(x), parameter('lora_A.weight'), { transposeY: true });
  const scaled = scale(down, updateScale(config));
  return [base, matmul(scaled, parameter('lora_B.weight'), { transposeY: true })];
};
