import type { Interval } from '../statistics/intervals.ts';
import type { Method } from '../contract/training.ts';

/**
 * What a project's scores come to, as one document: the paper's Table 2 for one's own runs, its figures 3 and 4, and
 * every number behind them. Files are written of it (writers/); nothing is computed there.
 */
export interface Report {
  title: string;
  /** The question of the project; empty: none was asked. */
  question: string;
  createdAt: string;
  versions: ReportVersions;
  columns: ReportColumn[];
  /** Of which of them time and memory are told; null: none was measured. */
  timedColumn: number | null;
  /** Subjects by the model that they were made from. */
  groups: ReportGroup[];
  /** Each evaluation that a cell was made of, as it is stored. */
  scores: ReportScore[];
  /** What the figures rest on and what they do not cover. */
  notes: string[];
  warnings: string[];
  /** Scores that are in no table, with why. */
  leftOut: string[];
}

export interface ReportVersions {
  studio: string;
  /** Of what the engine computes. */
  computation: string;
  /** As the runs recorded them; none: nothing was trained. */
  tensorflow: string[];
  node: string[];
  devices: string[];
}

/** What was asked of the subjects. */
export interface ReportColumn {
  key: string;
  benchmark: string;
  label: string;
  /** `score`, or `pass@5`; of losses `loss`. */
  measure: string;
  /** A share of right answers is told in percent, a loss in nats per token. */
  unit: 'percent' | 'nats';
  version: string;
  data: string;
  dataHash: string;
  n: number;
  shots: number;
  isChat: boolean;
  /** Draws examples and answers. */
  seed: number;
}

export interface ReportGroup {
  model: string;
  modelParameters: number | null;
  /** Of the table's rows: whom marks compare with; null: nobody. */
  baseline: string | null;
  subjects: ReportSubject[];
  /** Of each column what all comparisons say, in a sentence; null: fewer than two were scored. */
  sentences: (string | null)[];
  pairs: ReportPair[];
  /** Pairs that were corrected together, over all columns. */
  family: number;
}

/** A row of the table: runs that differ by their seed alone, or a model or adapter that was not trained here. */
export interface ReportSubject {
  name: string;
  method: Method | null;
  /** `ID-LoRA`, or what it is without one: `base`, `adapter`. */
  label: string;
  rank: number | null;
  trainable: number | null;
  /** Of the base model's parameters. */
  percent: number | null;
  /** Frozen numbers beyond the base. */
  frozenExtra: number | null;
  seeds: number[];
  runs: { name: string; seed: number; steps: number; data: string }[];
  /** By the columns; null: not scored. */
  cells: (ReportCell | null)[];
  cost: ReportCost;
}

export interface ReportCell {
  /** A share or nats; null: nothing was graded. */
  value: number | null;
  interval: Interval;
  n: number;
  ungraded: number;
  seeds: number[];
  /** Subjects of the group that share one are not told apart. */
  letters: string[];
  isAmongBest: boolean;
  /** Against the baseline, after Holm; null: it is the baseline, or there is no test. */
  against: { mark: 'better' | 'worse' | 'none'; pAdjusted: number; test: string } | null;
}

export interface ReportPair {
  column: number;
  a: string;
  b: string;
  difference: number;
  interval: Interval;
  test: string;
  pValue: number;
  pAdjusted: number;
  verdict: string;
  n: number;
  sentence: string;
  outlook: string | null;
  confounders: string[];
}

/** A number that was measured once for each run: with one run there is no scatter to tell of. */
export interface Measurement {
  mean: number;
  least: number;
  most: number;
  n: number;
}

/** What a subject takes. Null: not measured. */
export interface ReportCost {
  /** Seconds an item while scoring the column that was timed. */
  secondsPerItem: Measurement | null;
  /** Greatest memory of the engine meanwhile, and what of it is beyond the base model's, in bytes. */
  peakBytes: Measurement | null;
  extraBytes: number | null;
  /** Bytes of all numbers beside the base, at the precision of the scores. */
  numberBytes: number | null;
  trainingSecondsPerStep: Measurement | null;
  trainingPeakBytes: Measurement | null;
  /** Of their cards, as far as the driver told; null also on the processor. */
  trainingCardPeakBytes: Measurement | null;
}

/** An evaluation as it is stored. */
export interface ReportScore {
  id: string;
  subject: string;
  model: string;
  benchmark: string;
  version: string;
  metric: 'accuracy' | 'perplexity';
  score: number;
  interval: Interval;
  n: number;
  shots: number;
  isChat: boolean;
  precision: string;
  data: string;
  dataHash: string;
  /** Of the run; null: not trained here. */
  trainingSeed: number | null;
  /** Draws examples and answers. */
  seed: number;
  createdAt: string;
}
