import type { Method } from '../contract/training.ts';
import type { Interval } from '../statistics/intervals.ts';

/** What a study of the paper in small found: all that its picture is drawn from and its page tells. */
export interface StudyRecord {
  study: string;
  title: string;
  /** What it asks, as a sentence. */
  question: string;
  model: string;
  data: string;
  /** What all settings share, in words. */
  settings: string;
  seeds: number[];
  /** What the marks and lines of its picture are, in words. */
  basis: string;
  createdAt: string;
  studio: string;
  device: string;
  columns: StudyColumn[];
  arms: StudyRecordArm[];
  verdicts: StudyVerdict[];
}

export interface StudyColumn {
  /** `loss`, the name of a task, or `speed`. */
  key: string;
  label: string;
  unit: 'nats' | 'percent' | 'milliseconds' | 'megabytes';
}

export interface StudyRecordArm {
  label: string;
  method: Method | null;
  trainable: number;
  /** By the columns; null: not measured. */
  cells: ({ values: number[]; mean: number; interval: Interval } | null)[];
}

/** A pair that the paper or its reviewers speak of, on one column. */
export interface StudyVerdict {
  column: string;
  first: string;
  second: string;
  /** What the paper says of it; null: it leaves it open. */
  paper: 'first' | 'second' | null;
  found: 'first' | 'second' | 'cannot_tell';
  /** In the studio's words. */
  sentence: string;
}

/** How a verdict stands to the paper's. */
export function agreement({ paper, found }: Pick<StudyVerdict, 'paper' | 'found'>): string {
  if (paper === null) return found === 'cannot_tell' ? 'open in the paper, and here' : 'open in the paper';
  if (found === 'cannot_tell') return 'the paper’s claim is not shown';
  return found === paper ? 'as the paper says' : 'against the paper';
}
