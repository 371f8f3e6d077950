import type { OptionName } from '../../src-main/options/trainingOptions.ts';

/** Options of the simple part, by where they stand; the others are advanced. */
export const simpleAdapterOptions: readonly OptionName[] = [
  'rank',
  'alpha',
  'heads',
  'experts',
  'gate',
  'tasks',
  'clusters',
  'boost',
];
export const simpleRunOptions: readonly OptionName[] = [
  'maxSteps',
  'epochs',
  'learningRate',
  'schedule',
  'batch',
  'context',
  'seed',
];

export const advancedGroups: readonly { title: string; options: readonly OptionName[] }[] = [
  {
    title: 'Adapter',
    options: [
      'dropout',
      'rankStabilized',
      'pivots',
      'router',
      'routerSoftmax',
      'layers',
      'paths',
      'rankPattern',
      'alphaPattern',
    ],
  },
  {
    title: 'Rate and optimizer',
    options: [
      'warmupSteps',
      'minLearningRateRatio',
      'decaySteps',
      'polynomialPower',
      'optimizer',
      'momentum',
      'beta1',
      'beta2',
      'epsilon',
      'weightDecay',
      'clipNorm',
      'loraPlusRatio',
    ],
  },
  {
    title: 'Data',
    options: ['template', 'templateSource', 'system', 'trainOn', 'truncation'],
  },
  {
    title: 'Memory and speed',
    options: ['accumulate', 'precision', 'tf32', 'baseWeights', 'packing', 'gradientCheckpointing'],
  },
  {
    title: 'Evaluation and checkpoints',
    options: [
      'heldOutFraction',
      'heldOutRows',
      'evalEvery',
      'earlyStoppingPatience',
      'keepBest',
      'checkpointEvery',
      'samples',
    ],
  },
];

export const advancedOptions: readonly OptionName[] = advancedGroups.flatMap(({ options }) => options);
