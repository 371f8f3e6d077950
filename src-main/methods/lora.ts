import {
  kaimingMatrix,
  plainMethod,
  trainedProducts,
  updateScale,
  zeroMatrix,
  type AdapterMethod,
} from './method.ts';

/**
 * LoRA (Hu et al. 2022, section 4.1), as PEFT computes it:
 *
 *   y = W x + c B A dropout(x),   c = alpha / r (rsLoRA: alpha / sqrt(r))
 *
 * A [r, dIn] starts kaiming-uniform, B [dOut, r] at zero. Trained in each module: r (dIn + dOut).
 *
 * Extra products for each token: z = A x and B z, r (dIn + dOut); backward those of dB, dz, dA and dx, twice as many.
 * The update c B A has rank r at most; merged into W it costs nothing.
 */
export const lora: AdapterMethod = {
  ...plainMethod,
  peftType: 'LORA',
  fileFlags: { fan_in_fan_out: false, use_dora: false },
  parameters: ({ dIn, dOut }, { rank }) => [
    kaimingMatrix('lora_A.weight', [rank, dIn]),
    zeroMatrix('lora_B.weight', [dOut, rank]),
  ],
  extraProducts: ({ dIn, dOut }, { rank }) => trainedProducts(rank * (dIn + dOut)),
  rankBound({ dIn, dOut }, { rank }) {
    const most = Math.min(rank, dIn, dOut);
    return { token: most, reads: most, writes: most };
  },
  forward({ linear, scale }, { config, x, base, parameter, dropout }) {
    const down = linear(dropout(x), parameter('lora_A.weight'));
    return [base, linear(scale(down, updateScale(config)), parameter('lora_B.weight'))];
  },
};
