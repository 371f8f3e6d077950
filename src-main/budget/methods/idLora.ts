import {
  impossible,
  kaimingBound,
  divisors,
  nearestMultiples,
  plainMethod,
  zeroMatrix,
  type MethodDeclaration,
} from './method.ts';

/**
 * ID-LoRA: B [dOut / s, r / s] at zero, a router R [k, dIn] (input) or T [r] (pivot), and the k r rows of W that are the frozen bases,
 * cluster by cluster. Every cluster has r different rows: k r <= dOut.
 */
export const idLora: MethodDeclaration = {
  ...plainMethod,
  peftType: 'IDLORA',
  fileKeys: {
    num_clusters: 'clusters',
    boost: 'boost',
    router: 'router',
    router_softmax: 'routerSoftmax',
    pivots: 'pivots',
  },
  refersToBase: true,
  parameters: ({ dIn, dOut }, { rank, clusters, boost, router }) => [
    zeroMatrix('idlora_B.weight', [dOut / boost, rank / boost]),
    {
      suffix: 'idlora_router.weight',
      shape: router === 'input' ? [clusters, dIn] : [rank],
      dtype: 'f32',
      trainable: true,
      // Not zero for the pivot router: with B = 0 and T = 0 both gradients would vanish for ever.
      initial: { kind: 'uniform', bound: kaimingBound(router === 'input' ? dIn : rank) },
    },
    {
      suffix: 'idlora_pivots',
      shape: [clusters * rank],
      dtype: 'i32',
      trainable: false,
      initial: { kind: 'pivots' },
    },
  ],
  frozenExtra: ({ dIn }, { rank, clusters }) => clusters * rank * dIn,
  rankStep: ({ boost }) => boost,
  largestRank: ({ dOut }, { clusters, boost }) => Math.floor(dOut / clusters / boost) * boost,
  check({ module, shape: { dOut }, most }, { rank, clusters, boost }) {
    const boosts = divisors(rank).filter((s) => dOut % s === 0);
    if (rank % boost !== 0)
      throw impossible(
        `ID-LoRA cuts the rank into ${boost} equal parts (boost), but rank ${rank} is no multiple of ${boost} (${module}).`,
        `Choose rank ${nearestMultiples(rank, boost)}, or a boost that divides ${rank} (${boosts.join(', ')}).`,
      );
    if (dOut % boost !== 0)
      throw impossible(
        `Boost ${boost} does not divide the ${dOut} outputs of ${module}.`,
        `Choose a boost that divides both ${dOut} and rank ${rank} (${boosts.join(', ')}).`,
      );
    if (clusters * rank > dOut) {
      const fewer = Math.floor(dOut / rank);
      const remedies = [
        ...(most >= boost ? [`rank ${most} or less`] : []),
        ...(fewer > 0 ? [`at most ${fewer} clusters`] : []),
      ];
      throw impossible(
        `ID-LoRA needs clusters x rank = ${clusters} x ${rank} = ${clusters * rank} different rows of ${module}, which has ${dOut}.`,
        `Choose ${[...remedies, `modules without ${module}`].join(', or ')}.`,
      );
    }
  },
};
