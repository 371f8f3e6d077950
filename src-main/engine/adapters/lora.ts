import { matmul } from '../graph/ops/linear.ts';
import { scale } from '../graph/ops/elementwise.ts';
import { kaimingBound, type AdapterMethod } from './method.ts';

/**
 * LoRA (Hu et al. 2022): y = W x + (alpha / r) B A dropout(x), A [r, dIn] kaiming-uniform, B [dOut, r] zero, as PEFT.
 */
export const lora: AdapterMethod = {
  parameters: ({ dIn, dOut }, { rank }) => [
    {
      suffix: 'lora_A.weight',
      shape: [rank, dIn],
      dtype: 'f32',
      trainable: true,
      initial: { kind: 'uniform', bound: kaimingBound(dIn) },
    },
    {
      suffix: 'lora_B.weight',
      shape: [dOut, rank],
      dtype: 'f32',
      trainable: true,
      initial: { kind: 'zeros' },
    },
  ],
  apply({ config, x, base, parameter, dropout }) {
    const down = matmul(dropout(x), parameter('lora_A.weight'), { transposeY: true });
    const scaled = scale(down, config.alpha / config.rank);
    return [base, matmul(scaled, parameter('lora_B.weight'), { transposeY: true })];
  },
  frozenExtra: () => 0,
};
