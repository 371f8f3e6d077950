import {
  each,
  kaimingMatrix,
  plainMethod,
  trainedProducts,
  updateScale,
  weightedSumOf,
  zeroMatrix,
  type AdapterMethod,
} from './method.ts';

/**
 * HydraLoRA (Tian et al. 2024, section 3): one A, several heads B_i, a dense softmax router per token on the module's
 * undropped input, as in their code (the text gives the router r inputs):
 *
 *   y = W x + c sum_i g_i B_i A dropout(x),   g = softmax(R x),   c = alpha / r (rsLoRA: alpha / sqrt(r))
 *
 * A [r, dIn] and R [heads, dIn] start kaiming-uniform, B_i [dOut, r] at zero. Trained in each module: r dIn + heads (r
 * dOut + dIn).
 *
 * The heads lie side by side in one product: sum_i g_i B_i z = [B_1 ... B_h] [g_1 z; ...; g_h z].
 *
 * Extra products for each token: A x, R x and that one, r dIn + h dIn + h r dOut; backward twice as many. At one token
 * the update (sum_i g_i B_i) A has rank r at most; over all tokens it reads the r rows of A and writes to the h r
 * columns of [B_1 ... B_h].
 */
export const hydraLora: AdapterMethod = {
  ...plainMethod,
  peftType: 'HYDRALORA',
  fileKeys: { num_heads: 'heads' },
  parameters: ({ dIn, dOut }, { rank, heads }) => [
    kaimingMatrix('hydralora_A.weight', [rank, dIn]),
    ...each(heads, (i) => zeroMatrix(`hydralora_B.${i}.weight`, [dOut, rank])),
    kaimingMatrix('hydralora_router.weight', [heads, dIn]),
  ],
  extraProducts: ({ dIn, dOut }, { rank, heads }) =>
    trainedProducts(rank * dIn + heads * dIn + heads * rank * dOut),
  rankBound({ dIn, dOut }, { rank, heads }) {
    const most = Math.min(rank, dIn, dOut);
    return { token: most, reads: Math.min(rank, dIn), writes: Math.min(heads * rank, dOut) };
  },
  forward(ops, { config, rows, x, base, parameter, dropout }) {
    const { concat, fused, linear, multiply, reshape, scale, softmax, toF32, toTypeOf } = ops;
    const { rank, heads } = config;
    const down = linear(dropout(x), parameter('hydralora_A.weight'));
    const logits = linear(x, parameter('hydralora_router.weight'));
    const factor = updateScale(config);
    const gated = fused(`hydralora_gate_${factor}`, [down, logits], ([z, l]) => {
      const wide = reshape(toF32(z), [rows, 1, rank]);
      const gates = reshape(softmax(l), [rows, heads, 1]);
      return toTypeOf(z, reshape(scale(multiply(wide, gates), factor), [rows, heads * rank]));
    });
    const up = each(heads, (i) => parameter(`hydralora_B.${i}.weight`));
    return [base, linear(gated, concat(up, 1))];
  },
  routing: {
    experts: ({ heads }) => heads,
    weights: ({ linear, softmax }, { x, parameter }) =>
      softmax(linear(x, parameter('hydralora_router.weight'))),
    compared: ({ heads }, read) => each(heads, (i) => read(`hydralora_B.${i}.weight`).floats()),
    // c (sum_i g_i B_i) A.
    asLora(adapter, read, weights) {
      const heads = each(adapter.heads, (i) => read(`hydralora_B.${i}.weight`).floats());
      const scale = updateScale(adapter);
      const up = weightedSumOf(
        heads,
        weights.map((weight) => scale * weight),
      );
      return { down: read('hydralora_A.weight').floats(), up, rank: adapter.rank };
    },
  },
};
