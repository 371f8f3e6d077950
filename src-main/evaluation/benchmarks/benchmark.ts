import type { BenchmarkInfo } from '../../contract/evaluation/benchmarks.ts';
import type { EvaluationItem } from '../../contract/results.ts';
import type { JudgeQuestion } from '../graders/judge.ts';
import type { HumanEvalTask } from '../graders/humanEval.ts';
import type { Program } from '../sandbox/sandbox.ts';
import type { FileRecord } from '../../data/fileRecords.ts';

/** A row of a benchmark's data, with the fields that its file has. */
export type BenchmarkRecord = FileRecord;

/** A question as it is put to a model. */
export interface BenchmarkItem {
  /** By which it is paired with the same item of another evaluation. */
  id: string;
  /** Items with one group are one cluster. */
  group: string | null;
  question: string;
  /** What a solved example shows as the answer. */
  solution: string;
  /** What it is graded by, as it is shown. */
  target: string;
  /** Multiple choice: the answers, of which `right` is the right one. */
  choices?: readonly string[];
  right?: number;
  /** What stands before all examples: `The following are ...`. */
  description?: string;
  /** What the answer begins with, on the model's side. */
  answerBegin?: string;
  /** What the program of the item needs. */
  task?: HumanEvalTask;
}

/** What an answer came to. */
export type Grade = Pick<EvaluationItem, 'correct' | 'answer'> &
  Partial<Pick<EvaluationItem, 'others' | 'share' | 'remark'>>;

/** What was asked for besides the benchmark's name. */
export interface GradingOptions {
  pattern?: string | undefined;
}

interface Common extends BenchmarkInfo {
  /** The item of a row. @throws StudioError dataset_invalid with its place and what is missing */
  item(record: BenchmarkRecord): BenchmarkItem;
  /** How solved examples are chosen: the first ones of the same group, or drawn anew for each item. */
  shown: 'first' | 'drawn';
  /** Whether examples may be other items that are scored, where the data has no part for them. */
  showsScored: boolean;
  /** Between question and answer. */
  delimiter: string;
}

/** The likeliest of several answers. */
export interface ChoiceBenchmark extends Common {
  kind: 'choice';
  /** Further grades by the same log-likelihoods, for example by each answer's length. */
  others?(item: BenchmarkItem, logLikelihoods: readonly number[]): Record<string, boolean>;
}

/** An answer that is generated and graded. */
export interface GeneratingBenchmark extends Common {
  kind: 'generate';
  /** An answer ends before the first of these. */
  stop: readonly string[];
  grade(item: BenchmarkItem, output: string, options: GradingOptions): Grade;
  /** What a judge is asked of an answer, where it is one that grades. */
  judged?: JudgeQuestion;
  /** Where programs decide: the one of an answer. */
  programOf?(item: BenchmarkItem, output: string, id: string): Program;
}

/** A benchmark whose items are rows of a file. */
export type RowBenchmark = ChoiceBenchmark | GeneratingBenchmark;

/** A benchmark with the parts that most have. */
export function benchmarkDefaults<Kind extends 'choice' | 'generate'>(kind: Kind) {
  return {
    kind,
    shots: { usual: 0, most: 20 },
    maxTokens: kind === 'choice' ? 0 : 256,
    runsCode: false,
    needs: null,
    takesJudge: false,
    shown: 'drawn' as const,
    showsScored: true,
    delimiter: ' ',
  };
}
