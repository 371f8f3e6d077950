import { lora } from './lora.ts';
import { updateScale, type AdapterMethod } from './method.ts';
import type { MethodOps } from './ops.ts';

/**
 * DoRA (Liu et al. 2024, section 4; the norm is detached in 4.3) as PEFT computes it: magnitude m [dOut] and direction
 * W + s B A, s = alpha / r (rsLoRA: alpha / sqrt(r)):
 *
 *   y = (m / n) (W x + s B A x),   n = ||W + s B A|| per output row, detached from the gradient
 *
 * In training with dropout, x' = dropout(x) enters the correction of W, too (PEFT's form):
 *
 *   y = W x + (m / n - 1) W x' + (m / n) s B A x'
 *
 * n is found without forming W + s B A: n^2 = |W|^2 + 2 s rowsum((W A^T) * B) + s^2 rowsum((B A A^T) * B), in f32.
 *
 * A [r, dIn] and B [dOut, r] start as LoRA's, m at the norms of W's rows. Trained in each module: r (dIn + dOut) +
 * dOut.
 *
 * Extra products: LoRA's for each token; with dropout in training also W x' and its gradient, 2 dIn dOut; and in every
 * pass the three of the norm, r dIn dOut + r^2 dIn + r^2 dOut, which have no gradient. The update diag(m / n - 1) W +
 * diag(m / n) s B A changes every row of W by a factor of its own: its rank is bounded by W's sides only.
 */
export const dora: AdapterMethod = {
  ...lora,
  fileFlags: { fan_in_fan_out: false, use_dora: true },
  parameters: (shape, adapter) => [
    ...lora.parameters(shape, adapter),
    {
      suffix: 'lora_magnitude_vector',
      shape: [shape.dOut],
      dtype: 'f32',
      trainable: true,
      initial: { kind: 'rowNorms' },
      rateGroup: 'B',
    },
  ],
  extraProducts(shape, adapter) {
    const { dIn, dOut } = shape;
    const { rank, dropout } = adapter;
    const { inference, training } = lora.extraProducts(shape, adapter);
    const perPass = rank * dIn * dOut + rank * rank * (dIn + dOut);
    return {
      inference: { perToken: inference.perToken, perPass },
      training: { perToken: training.perToken + (dropout > 0 ? 2 * dIn * dOut : 0), perPass },
    };
  },
  rankBound({ dIn, dOut }) {
    const most = Math.min(dIn, dOut);
    return { token: most, reads: most, writes: most };
  },
  forward(ops, { config, shape, x, base, weight, product, parameter, dropout }) {
    const { add, divide, fused, linear, multiply, reshape, scalarLike, scale } = ops;
    const { stopGradient, subtract, toF32, toTypeOf } = ops;
    const s = updateScale(config);
    const [a, b] = [parameter('lora_A.weight'), parameter('lora_B.weight')];
    const dropped = dropout(x);
    const update = linear(scale(linear(dropped, a), s), b);
    const magnitude = parameter('lora_magnitude_vector');
    const norm = rowNorms(ops, { weight, a: stopGradient(a), b: stopGradient(b), s });
    const ratio = fused('dora_ratio', [magnitude, norm], ([m, n]) =>
      reshape(divide(toF32(m), n), [1, shape.dOut]),
    );
    if (dropped === x)
      return [
        fused('dora_scale', [base, update, ratio], ([w, u, r]) =>
          toTypeOf(w, multiply(add(toF32(w), toF32(u)), r)),
        ),
      ];
    const correction = fused('dora_correct', [product(dropped), update, ratio], ([w, u, r]) =>
      toTypeOf(w, add(multiply(toF32(w), subtract(r, scalarLike(r, 1))), multiply(toF32(u), r))),
    );
    return [base, correction];
  },
};

/** ||W + s B A|| of each row [dOut], f32. */
function rowNorms<T>(ops: MethodOps<T>, { weight, a, b, s }: { weight: T; a: T; b: T; s: number }): T {
  const { addAll, fused, linear, matmul, multiply, scale, sqrt, square, stopGradient, sum, toF32 } = ops;
  const crossed = linear(weight, a);
  const gram = matmul(b, linear(a, a));
  return stopGradient(
    fused(`dora_norm_${s}`, [weight, crossed, gram, b], ([w, wa, bg, up]) => {
      const wide = toF32(up);
      const squares = sum(square(toF32(w)), [1]);
      const cross = sum(multiply(toF32(wa), wide), [1]);
      const own = sum(multiply(toF32(bg), wide), [1]);
      return sqrt(addAll([squares, scale(cross, 2 * s), scale(own, s * s)]));
    }),
  );
}
