import { matrixStrategies, type AdapterConfig, type MatrixStrategy } from '../contract/training.ts';
import {
  cut,
  divisors,
  impossible,
  kaimingBound,
  nearestMultiples,
  plainMethod,
  trainedProducts,
  updateScale,
  weightedSumOf,
  zeroMatrix,
  type AdapterCall,
  type AdapterMethod,
  type LinearSize,
  type ParameterSpec,
} from './method.ts';
import type { MethodOps } from './ops.ts';

/**
 * ID-LoRA (Ma et al., sections 4.1 and 4.2): k frozen bases A_i = W[S_i, :] of r rows of W each, one trainable B shared
 * by all of them, applied to the s parts of the mixed activation (rank boosting):
 *
 *   x_i = A_i x = (W x)[S_i],   z = sum_i a_i x_i,   y = W x + c concat_p(B z^p),   p = 1..s,   c = alpha / r (rsLoRA:
 * alpha / sqrt(r))
 *
 * Because B is shared it is applied once, whatever k is; because A_i are rows of W, x_i are entries of the base
 * module's own output and no A is stored.
 *
 * Router: `input` a = softmax(R x), R [k, dIn] (the form whose size the paper's tables count; softmax optional),
 * `pivot` a_i = <T, x_i>, T [r] (the form the paper's text gives), or `fixed` a_i = 1 / k, an ablation: then it is a
 * LoRA of rank r with a frozen A.
 *
 * Ablations in place of the rows: with `pivots` `gaussian` or `svd` the A_i are frozen matrices of the same size as
 * rows of W, x_i = A_i x, kept in the file as `idlora_basis`. One Gaussian basis under a fixed route is LoRA-FA (Zhang
 * et al. 2023).
 *
 * Dropout acts on x_i: with dropout on x, the identity x_i = (W x)[S_i] would not hold.
 *
 * Extra products for each token: B on the s parts, (dOut / s) (r / s) s = dOut r / s, and the input router's k dIn;
 * backward twice as many and the gradient of x_i to x through the gathered rows, k r dIn. The pivot router's inner
 * products are elementwise work. Bases that are no rows add k r dIn, as the rows' gradient does.
 *
 * The update of one token is blockdiag(B, ..., B) (sum_i a_i A_i): rank r at most, r / s in each of the s blocks. Over
 * all tokens it reads the k r chosen rows (the "k r" of section 4.2) and writes to the r columns of the one
 * block-diagonal matrix.
 *
 * B [dOut / s, r / s] starts at zero, R and T kaiming-uniform, and S, the k r rows of W cluster by cluster, as the
 * option `pivots` says. Every cluster has r different rows: k r <= dOut. Trained in each module: (dOut / s) (r / s) + k
 * dIn (input) or + r (pivot); the paper counts the k r dIn numbers of the frozen bases beside them.
 */
export const idLora: AdapterMethod = {
  ...plainMethod,
  peftType: 'IDLORA',
  fileKeys: {
    num_clusters: 'clusters',
    boost: 'boost',
    router: 'router',
    router_softmax: 'routerSoftmax',
    pivots: 'pivots',
  },
  // The pivot router has no softmax.
  asStored: (adapter) => ({ ...adapter, routerSoftmax: adapter.routerSoftmax && adapter.router === 'input' }),
  refersToBase: true,
  // The frozen bases written out, for software that has no access to W.
  unreadSuffixes: ['idlora_A.weight'],
  parameters: ({ dIn, dOut }, { rank, clusters, boost, router, pivots }) => [
    zeroMatrix('idlora_B.weight', [dOut / boost, rank / boost]),
    ...routerParameter(dIn, { rank, clusters, router }),
    isMatrix(pivots)
      ? {
          suffix: 'idlora_basis.weight',
          shape: [clusters * rank, dIn],
          dtype: 'f32',
          trainable: false,
          initial: { kind: 'bases', strategy: pivots, clusters },
        }
      : {
          suffix: 'idlora_pivots',
          shape: [clusters * rank],
          dtype: 'i32',
          trainable: false,
          initial: { kind: 'pivots' },
        },
  ],
  frozenExtra: ({ dIn }, { rank, clusters }) => clusters * rank * dIn,
  rankStep: ({ boost }) => boost,
  largestRank: (shape, { clusters, boost, pivots }) =>
    Math.floor(basisRows(shape, pivots) / clusters / boost) * boost,
  check({ module, shape, most, rankPath }, { rank, clusters, boost, pivots }) {
    const { dOut } = shape;
    const rows = basisRows(shape, pivots);
    const boosts = divisors(rank).filter((s) => dOut % s === 0);
    if (rank % boost !== 0)
      throw impossible(
        `ID-LoRA cuts the rank into ${boost} equal parts (boost), but rank ${rank} is no multiple of ${boost} (${module}).`,
        `Choose rank ${nearestMultiples(rank, boost)}, or a boost that divides ${rank} (${boosts.join(', ')}).`,
        rankPath,
      );
    if (dOut % boost !== 0)
      throw impossible(
        `Boost ${boost} does not divide the ${dOut} outputs of ${module}.`,
        `Choose a boost that divides both ${dOut} and rank ${rank} (${boosts.join(', ')}).`,
        ['adapter', 'boost'],
      );
    if (clusters * rank > rows) {
      const fewer = Math.floor(rows / rank);
      const remedies = [
        ...(most >= boost ? [`rank ${most} or less`] : []),
        ...(fewer > 0 ? [`at most ${fewer} clusters`] : []),
      ];
      throw impossible(
        `ID-LoRA needs clusters x rank = ${clusters} x ${rank} = ${clusters * rank} different ${pivots === 'svd' ? 'singular vectors' : 'rows'} of ${module}, which has ${rows}.`,
        `Choose ${[...remedies, `modules without ${module}`].join(', or ')}.`,
        rankPath,
      );
    }
  },
  extraProducts({ dIn, dOut }, { rank, clusters, boost, router, pivots }) {
    const perToken = (dOut * rank) / boost + (router === 'input' ? clusters * dIn : 0);
    const { inference, training } = trainedProducts(perToken);
    const bases = clusters * rank * dIn;
    const forward = isMatrix(pivots) ? bases : 0;
    return {
      inference: { perToken: inference.perToken + forward, perPass: 0 },
      training: { perToken: training.perToken + forward + bases, perPass: 0 },
    };
  },
  rankBound({ dIn, dOut }, { rank, clusters }) {
    const most = Math.min(rank, dIn, dOut);
    return { token: most, reads: Math.min(clusters * rank, dIn), writes: Math.min(rank, dOut) };
  },
  forward(ops, call) {
    const { linear, reshape } = ops;
    const { config, shape, rows, x, base, parameter, dropout } = call;
    const { rank, boost } = config;
    const xi = dropout(baseActivations(ops, call));
    const router = () => parameter('idlora_router.weight');
    const mixed = {
      input: () => mixByInput(ops, call, xi, linear(x, router())),
      pivot: () => mixByPivot(ops, call, xi, router()),
      fixed: () => mixAlike(ops, call, xi),
    }[config.router]();
    const parts = reshape(mixed, [rows * boost, rank / boost]);
    const update = linear(parts, parameter('idlora_B.weight'));
    return [base, reshape(update, [rows, shape.dOut])];
  },
  routing: {
    experts: ({ clusters }) => clusters,
    weights(ops, call) {
      const { config, x, parameter } = call;
      if (config.router === 'fixed') return evenWeights(ops, call);
      const router = parameter('idlora_router.weight');
      if (config.router === 'pivot') return pivotWeights(ops, call, baseActivations(ops, call), router);
      const logits = ops.linear(x, router);
      return config.routerSoftmax ? ops.softmax(logits) : ops.toF32(logits);
    },
    // The clusters share one B. Alike rows of the input router send the same tokens to both clusters.
    compared: ({ router, clusters }, read) =>
      router === 'input' ? cut(read('idlora_router.weight').floats(), clusters) : null,
    // c blockdiag(B, ..., B) (sum_i a_i A_i).
    asLora(adapter, read, weights, rows) {
      const { rank, clusters, boost, pivots } = adapter;
      const bases = cut(
        isMatrix(pivots) ? read('idlora_basis.weight').floats() : rows(read('idlora_pivots').integers()),
        clusters,
      );
      const b = read('idlora_B.weight').floats();
      const [height, width] = [(b.length * boost) / rank, rank / boost];
      const scale = updateScale(adapter);
      const up = new Float32Array(height * boost * rank);
      for (let part = 0; part < boost; part++)
        for (let row = 0; row < height; row++)
          for (let k = 0; k < width; k++)
            up[(part * height + row) * rank + part * width + k] = scale * b[row * width + k]!;
      return { down: weightedSumOf(bases, weights), up, rank };
    },
    pivots: ({ clusters, boost, pivots }, read) =>
      isMatrix(pivots)
        ? null
        : {
            outputs: read('idlora_B.weight').shape[0]! * boost,
            clusters: cut(read('idlora_pivots').integers(), clusters).map((rows) => [...rows]),
          },
  },
};

function isMatrix(pivots: AdapterConfig['pivots']): pivots is MatrixStrategy {
  return matrixStrategies.some((strategy) => strategy === pivots);
}

/** Rows that bases can be made of: Gaussian ones have as many as rows of W, to be compared with them. */
function basisRows({ dIn, dOut }: LinearSize, pivots: AdapterConfig['pivots']): number {
  return pivots === 'svd' ? Math.min(dIn, dOut) : dOut;
}

/** R or T; a fixed route has none. */
function routerParameter(
  dIn: number,
  { rank, clusters, router }: Pick<AdapterConfig, 'rank' | 'clusters' | 'router'>,
): ParameterSpec[] {
  if (router === 'fixed') return [];
  return [
    {
      suffix: 'idlora_router.weight',
      shape: router === 'input' ? [clusters, dIn] : [rank],
      dtype: 'f32',
      trainable: true,
      // Not zero for the pivot router: with B = 0 and T = 0 both gradients would vanish for ever.
      initial: { kind: 'uniform', bound: kaimingBound(router === 'input' ? dIn : rank) },
    },
  ];
}

/**
 * x_i for all clusters: of bases that are no rows their products, else columns of the base output. The gradient of
 * these goes to x directly, through the k r rows of W gathered for the moment: dx = dg W[S, :]. Scattering dg into the
 * gradient of the whole base output would touch rows x dOut values.
 * @returns [rows, k * r]
 */
function baseActivations<T>(
  ops: MethodOps<T>,
  { config, x, base, weightRows, parameter }: AdapterCall<T>,
): T {
  if (isMatrix(config.pivots)) return ops.linear(x, parameter('idlora_basis.weight'));
  const pivots = parameter('idlora_pivots');
  const columns = ops.gather(base, pivots, 1);
  return ops.withProductGradient(x, columns, (dg) => ({ x: dg, y: weightRows(pivots, dg) }));
}

/** c z [rows, r] with a = softmax(logits), or without softmax. */
function mixByInput<T>(ops: MethodOps<T>, call: AdapterCall<T>, xi: T, logits: T): T {
  const { routerSoftmax } = call.config;
  const kind = `idlora_mix_${routerSoftmax ? 'softmax' : 'linear'}_${updateScale(call.config)}`;
  return ops.fused(kind, [xi, logits], ([g, l]) =>
    weightedSum(ops, call, g, routerSoftmax ? ops.softmax(l) : ops.toF32(l)),
  );
}

/** c z [rows, r] with a_i = <T, x_i>. */
function mixByPivot<T>(ops: MethodOps<T>, call: AdapterCall<T>, xi: T, direction: T): T {
  return ops.fused(`idlora_mix_pivot_${updateScale(call.config)}`, [xi, direction], ([g, t]) =>
    weightedSum(ops, call, g, pivotWeights(ops, call, g, t)),
  );
}

/** c z [rows, r] with a_i = 1 / k. */
function mixAlike<T>(ops: MethodOps<T>, call: AdapterCall<T>, xi: T): T {
  const { config, rows } = call;
  const { rank, clusters } = config;
  return ops.fused(`idlora_mix_fixed_${clusters}_${updateScale(config)}`, [xi], ([g]) => {
    const z = ops.sum(ops.reshape(ops.toF32(g), [rows, clusters, rank]), [1]);
    return ops.toTypeOf(g, ops.scale(z, updateScale(config) / clusters));
  });
}

/** 1 / k, f32 [rows, k]: what a fixed route tells of itself. */
function evenWeights<T>(ops: MethodOps<T>, call: AdapterCall<T>): T {
  const { clusters, rank } = call.config;
  const wide = ops.reshape(ops.toF32(baseActivations(ops, call)), [call.rows, clusters, rank]);
  // A softmax of equal numbers.
  return ops.softmax(ops.scale(ops.sum(wide, [2]), 0));
}

/** a_i = <T, x_i>, f32 [rows, k]. */
function pivotWeights<T>(ops: MethodOps<T>, { config, rows }: AdapterCall<T>, xi: T, direction: T): T {
  const { multiply, reshape, sum, toF32 } = ops;
  const { clusters, rank } = config;
  const wide = reshape(toF32(xi), [rows, clusters, rank]);
  return sum(multiply(wide, reshape(toF32(direction), [1, 1, rank])), [2]);
}

/** c sum_i a_i x_i in f32, rounded to the type of x_i. @param a f32 [rows, k] */
function weightedSum<T>(ops: MethodOps<T>, { config, rows }: AdapterCall<T>, xi: T, a: T): T {
  const { multiply, reshape, scale, sum, toF32, toTypeOf } = ops;
  const { clusters, rank } = config;
  const wide = reshape(toF32(xi), [rows, clusters, rank]);
  const z = sum(multiply(wide, reshape(a, [rows, clusters, 1])), [1]);
  return toTypeOf(xi, scale(z, updateScale(config)));
}
