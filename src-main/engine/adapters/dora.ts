import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  divide,
  multiply,
  scale,
  scalarLike,
  sqrt,
  square,
  stopGradient,
  subtract,
} from '../graph/ops/elementwise.ts';
import { reshape } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { sum } from '../graph/ops/reduce.ts';
import { updateScale, type AdapterMethod } from './method.ts';

/**
 * DoRA (Liu et al. 2024) as PEFT computes it: magnitude m [dOut] and direction W + s B A, s = alpha / r (rsLoRA: alpha / sqrt(r)):
 *
 *   y = (m / n) (W x + s B A x),   n = ||W + s B A|| per output row, detached from the gradient
 *
 * In training with dropout, x' = dropout(x) enters the correction of W, too (PEFT's form):
 *
 *   y = W x + (m / n - 1) W x' + (m / n) s B A x'
 *
 * n is found without forming W + s B A: n^2 = |W|^2 + 2 s rowsum((W A^T) * B) + s^2 rowsum((B A A^T) * B), in f32.
 */
export const dora: AdapterMethod = ({ config, shape, x, base, weight, parameter, dropout }) => {
  const s = updateScale(config);
  const [a, b] = [parameter('lora_A.weight'), parameter('lora_B.weight')];
  const dropped = dropout(x);
  const update = matmul(scale(matmul(dropped, a, { transposeY: true }), s), b, { transposeY: true });
  const magnitude = parameter('lora_magnitude_vector');
  const norm = rowNorms(weight, stopGradient(a), stopGradient(b), s);
  const ratio = fusedOne('dora_ratio', [magnitude, norm], ([m, n]) =>
    reshape(divide(cast(m!, 'f32'), n!), [1, shape.dOut]),
  );
  if (dropped === x)
    return [
      fusedOne('dora_scale', [base, update, ratio], ([w, u, r]) =>
        cast(multiply(addAll([cast(w!, 'f32'), cast(u!, 'f32')]), r!), w!.dtype),
      ),
    ];
  const again = matmul(dropped, weight, { transposeY: true });
  const correction = fusedOne('dora_correct', [again, update, ratio], ([w, u, r]) =>
    cast(
      add(multiply(cast(w!, 'f32'), subtract(r!, scalarLike(r!, 1))), multiply(cast(u!, 'f32'), r!)),
      w!.dtype,
    ),
  );
  return [base, correction];
};

/** ||W + s B A|| of each row [dOut], f32. */
function rowNorms(weight: Tensor, a: Tensor, b: Tensor, s: number): Tensor {
  const crossed = matmul(weight, a, { transposeY: true });
  const gram = matmul(b, matmul(a, a, { transposeY: true }));
  return stopGradient(
    fusedOne(`dora_norm_${s}`, [weight, crossed, gram, b], ([w, wa, bg, up]) => {
      const wide = cast(up!, 'f32');
      const squares = sum(square(cast(w!, 'f32')), [1]);
      const cross = sum(multiply(cast(wa!, 'f32'), wide), [1]);
      const own = sum(multiply(cast(bg!, 'f32'), wide), [1]);
      return sqrt(addAll([squares, scale(cross, 2 * s), scale(own, s * s)]));
    }),
  );
}
