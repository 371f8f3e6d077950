import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import { cast, multiply, scale } from '../graph/ops/elementwise.ts';
import { gather, reshape } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { sum } from '../graph/ops/reduce.ts';
import { updateScale, type AdapterMethod } from './method.ts';

/**
 * ID-LoRA (Ma et al., sections 4.1 and 4.2): k frozen bases A_i = W[S_i, :] of r rows of W each, one trainable B shared
 * by all of them, applied to the s parts of the mixed activation (rank boosting):
 *
 *   x_i = A_i x = (W x)[S_i],   z = sum_i a_i x_i,   y = W x + (alpha / r) concat_p(B z^p),   p = 1..s
 *
 * with B [dOut / s, r / s]; rsLoRA: alpha / sqrt(r). Because B is shared it is applied once, whatever k is; because
 * A_i are rows of W, x_i are entries of the base module's own output and no A is stored.
 *
 * Router: `input` a = softmax(R x), R [k, dIn] (the form whose size the paper's tables count; softmax optional), or
 * `pivot` a_i = <T, x_i>, T [r] (the form the paper's text gives).
 *
 * Dropout acts on x_i: with dropout on x, the identity x_i = (W x)[S_i] would not hold.
 */
export const idLora: AdapterMethod = ({ config, shape, x, base, weight, parameter, dropout }) => {
  const { rank, clusters, boost } = config;
  const factor = updateScale(config);
  const rows = x.shape[0]!;
  const pivots = parameter('idlora_pivots');
  const activations = dropout(gatherPivots(x, base, weight, pivots));
  const router = parameter('idlora_router.weight');
  const mixed =
    config.router === 'input'
      ? mixByInput(activations, matmul(x, router, { transposeY: true }), config)
      : mixByPivot(activations, router, config);
  const parts = reshape(mixed, [rows * boost, rank / boost]);
  const update = matmul(parts, parameter('idlora_B.weight'), { transposeY: true });
  return [base, reshape(update, [rows, shape.dOut])];

  /** z [rows, r] times the factor. */
  function mixByInput(xi: Tensor, logits: Tensor, { routerSoftmax }: { routerSoftmax: boolean }) {
    return fusedOne(`idlora_mix_${routerSoftmax ? 'softmax' : 'linear'}_${factor}`, [xi, logits], ([g, l]) =>
      weightedSum(g!, routerSoftmax ? softmax(l!) : cast(l!, 'f32')),
    );
  }

  function mixByPivot(xi: Tensor, t: Tensor, _: unknown) {
    return fusedOne(`idlora_mix_pivot_${factor}`, [xi, t], ([g, direction]) => {
      const wide = reshape(cast(g!, 'f32'), [rows, clusters, rank]);
      const a = sum(multiply(wide, reshape(cast(direction!, 'f32'), [1, 1, rank])), [2]);
      return weightedSum(g!, a);
    });
  }

  function weightedSum(g: Tensor, a: Tensor): Tensor {
    const wide = reshape(cast(g, 'f32'), [rows, clusters, rank]);
    const z = sum(multiply(wide, reshape(a, [rows, clusters, 1])), [1]);
    return cast(scale(z, factor), g.dtype);
  }
};

/**
 * x_i for all clusters: columns of the base output. Their gradient goes to x directly, through the k r rows of W gathered for
 * the moment: dx = dg W[S, :]. Scattering dg into the gradient of the whole base output would touch rows x dOut values.
 * @returns [rows, k * r]
 */
function gatherPivots(x: Tensor, base: Tensor, weight: Tensor, pivots: Tensor): Tensor {
  const columns = gather(base, pivots, 1);
  return x.graph.withGradient([x], [columns], ([dg]) => [matmul(dg!, gather(weight, pivots, 0))])[0]!;
}
