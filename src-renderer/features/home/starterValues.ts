import type { TrainForm } from '../../options/trainForm.ts';

/**
 * Values with which the starter model learns its sums in about a minute: the loss falls, and every chart has something
 * to show.
 */
export const starterValues = {
  name: '',
  method: 'idlora',
  rank: 8,
  alpha: 16,
  dropout: 0,
  clusters: 4,
  boost: 2,
  length: 'steps',
  maxSteps: 150,
  learningRate: 5e-3,
  batch: 16,
  context: 64,
  evalEvery: 50,
} as const satisfies Partial<TrainForm>;
