import { benchmarkInfoSchema, type BenchmarkInfo } from '../../contract/evaluation/benchmarks.ts';
import { StudioError } from '../../contract/errors.ts';
import type { RowBenchmark } from './benchmark.ts';
import { arc } from './arc.ts';
import { commonsenseQa } from './commonsenseQa.ts';
import { gsm8k } from './gsm8k.ts';
import { hellaSwag } from './hellaSwag.ts';
import { humanEval, humanEvalInstruct } from './humanEval.ts';
import { mmlu } from './mmlu.ts';
import { multipleChoice } from './multipleChoice.ts';
import { containsAnswer, exactMatch, judgedAnswer, numberMatch, regexMatch } from './ownAnswers.ts';
import { refusal } from './refusal.ts';
import { truthfulQa } from './truthfulQa.ts';

/** Perplexity is scored on answers as training reads them, not on items of a benchmark. */
export const perplexity: BenchmarkInfo = {
  name: 'perplexity',
  label: 'Perplexity',
  about: 'Exponential of the mean loss per token of the answers; of a run, on the rows that it held out.',
  data: 'Any dataset or file, or the held-out rows of a run.',
  kind: 'loss',
  version: 'answer-tokens-1',
  shots: { usual: 0, most: 0 },
  maxTokens: 0,
  runsCode: false,
  needs: null,
  takesJudge: false,
};

/** All benchmarks whose items are rows, in the order in which they are offered. */
const rowBenchmarks: readonly RowBenchmark[] = [
  gsm8k,
  mmlu,
  commonsenseQa,
  humanEval,
  humanEvalInstruct,
  refusal,
  hellaSwag,
  arc,
  truthfulQa,
  multipleChoice,
  exactMatch,
  numberMatch,
  containsAnswer,
  regexMatch,
  judgedAnswer,
];

/** What there is, for those who choose. */
export const benchmarkInfos: readonly BenchmarkInfo[] = [perplexity, ...rowBenchmarks].map((benchmark) =>
  benchmarkInfoSchema.parse(benchmark),
);

/** A benchmark by its name; null: perplexity. @throws StudioError usage */
export function findBenchmark(name: string): RowBenchmark | null {
  if (name === perplexity.name) return null;
  const found = rowBenchmarks.find((benchmark) => benchmark.name === name);
  if (found) return found;
  throw new StudioError(
    'usage',
    `There is no benchmark "${name}".`,
    `Choose one of ${benchmarkInfos.map((info) => info.name).join(', ')}.`,
  );
}
