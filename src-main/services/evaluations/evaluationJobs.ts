import type { EvaluationItem, ScoreSums } from '../../contract/results.ts';
import type { ProcedureParsedInput } from '../../contract/procedures.ts';
import type { RowKey } from '../../data/rowKeys.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ScoringCalls } from '../../options/scoredLengths.ts';
import type { Evaluation } from '../../contract/results.ts';

/** How a subject is scored: what was asked for, with what the benchmark has where nothing was said. */
export type EvaluationSettings = Omit<
  ProcedureParsedInput<'evaluations.start'>,
  'model' | 'adapter' | 'step' | keyof UsualSettings
> &
  UsualSettings;

/** What a benchmark says itself where nothing else is said. */
export interface UsualSettings {
  shots: number;
  maxTokens: number;
  samples: number;
  temperature: number;
  topP: number;
}

/** What a benchmark made of a subject. */
export interface Outcome {
  items: EvaluationItem[];
  sums: ScoreSums;
  peakMemoryBytes: number;
  /** In which programs were run; absent: none were. */
  sandbox?: string | null;
}

export interface RunOptions {
  signal: AbortSignal;
  onEvent(event: EngineEvent): void;
  /** Items that are graded, as they come. */
  onItems?(items: readonly EvaluationItem[]): void;
}

/** A benchmark whose rows are tokenized, so that what it takes is known. */
export interface PreparedEvaluation {
  items: number;
  /** Those that are not known yet. */
  pending: number;
  /** Tokens of the longest row, or prompt. */
  rowTokens: number;
  /** Of an answer; 0 where nothing is generated. */
  maxTokens: number;
  /** The calls in which rows or choices are scored; null where answers are generated. */
  scoring: ScoringCalls[] | null;
  /** By which its rows are recognized elsewhere. */
  rowKeys: RowKey[];
  /** How prompts were made; null: there are none. */
  prompts: Evaluation['prompts'];
  run(options: RunOptions): Promise<Outcome>;
}

/** A loop: a call with one argument for each row ends with too many rows. */
export function longestOf(rows: readonly { length: number }[]): number {
  return rows.reduce((longest, { length }) => Math.max(longest, length), 1);
}

/** An item of which nothing is known yet. */
export const emptyItem: Omit<EvaluationItem, 'index' | 'id'> = {
  group: null,
  state: 'graded',
  correct: null,
  share: null,
  others: {},
  question: null,
  choiceLogLikelihoods: null,
  end: null,
  outputs: null,
  remark: null,
  loss: null,
  tokens: 0,
  output: null,
  answer: null,
  target: null,
};
