import { StudioError } from '../../contract/errors.ts';
import {
  benchmarkDefaults,
  type BenchmarkItem,
  type BenchmarkRecord,
  type GeneratingBenchmark,
  type Grade,
  type GradingOptions,
} from './benchmark.ts';
import { answerJudge } from '../graders/judge.ts';
import { flexibleAnswer, normalize } from './gsm8k.ts';
import { itemId, optionalText } from './recordFields.ts';
import { rowQuestion } from './rowQuestion.ts';

/** Any dataset whose rows have a question and an answer. */
function askedRow(name: string, frame: (question: string) => string) {
  return (record: BenchmarkRecord): BenchmarkItem => {
    const { question, answer } = rowQuestion(record, name, {
      question: ['question', 'prompt', 'instruction', 'input'],
      answer: ['answer', 'output', 'completion', 'response', 'target'],
    });
    return {
      id: itemId(record, question, 'id', 'task_id'),
      group: optionalText(record, 'group', 'category', 'subject') ?? null,
      question: frame(question),
      solution: answer,
      target: answer.trim(),
    };
  };
}

const framed = (question: string) => `Question: ${question}\nAnswer:`;

function ownBenchmark(
  given: Pick<GeneratingBenchmark, 'name' | 'label' | 'about' | 'grade'> & Partial<GeneratingBenchmark>,
): GeneratingBenchmark {
  return {
    ...benchmarkDefaults('generate'),
    data: 'Any dataset or file whose rows have a question and an answer.',
    version: `${given.name}-1`,
    stop: ['\nQuestion:', '</s>', '<|im_end|>'],
    item: askedRow(given.name, framed),
    ...given,
  };
}

/** Letters and digits with single spaces: what people mean by the same answer. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[.!]+$/, '');
}

export const exactMatch = ownBenchmark({
  name: 'exact_match',
  label: 'Exact match on any rows',
  about:
    'The whole answer must be the row’s: case, white space and a final full stop do not count. Answers end at a line break.',
  stop: ['\n', '</s>', '<|im_end|>'],
  grade: (item, output): Grade => {
    const answer = output.trim();
    return { correct: plain(answer) === plain(item.target), answer: answer === '' ? null : answer };
  },
});

export const numberMatch = ownBenchmark({
  name: 'number_match',
  label: 'Number match on any rows',
  about:
    'The last number of the answer must be the last one of the row’s answer, as numbers: 1,000.0 is 1000.',
  grade: (item, output): Grade => {
    const [said, wanted] = [numberIn(output), numberIn(item.target)];
    return {
      correct: said !== null && said === wanted,
      answer: said === null ? null : String(said),
    };
  },
});

function numberIn(text: string): number | null {
  const found = normalize(flexibleAnswer(text));
  const value = Number(found);
  return found === '' || Number.isNaN(value) ? null : value;
}

export const containsAnswer = ownBenchmark({
  name: 'contains',
  label: 'Contains, on any rows',
  about: 'The answer must contain the row’s answer; case and white space do not count.',
  grade: (item, output): Grade => ({
    correct: item.target !== '' && plain(output).includes(plain(item.target)),
    answer: output.trim() === '' ? null : output.trim(),
  }),
});

export const regexMatch = ownBenchmark({
  name: 'regex',
  label: 'Regular expression on any rows',
  about:
    'The first match of your expression in the answer (its first group, where it has one) must be the row’s answer.',
  needs: 'pattern',
  grade(item, output, options): Grade {
    const found = compiled(options).exec(output);
    const answer = found === null ? null : (found[1] ?? found[0]);
    return { correct: answer !== null && plain(answer) === plain(item.target), answer };
  },
});

export const judgedAnswer = ownBenchmark({
  name: 'judge',
  label: 'Judge model on any rows',
  about:
    'A model of yours judges whether the answer means what the row’s answer means. What it says is read strictly: anything but a verdict is an abstention, which is counted and widens the interval.',
  needs: 'judge',
  takesJudge: true,
  judged: answerJudge,
  // Where there is no answer there is nothing to judge.
  grade: (): Grade => ({ correct: false, answer: null }),
});

/** @throws StudioError usage where it is none, or was not given */
export function compiled({ pattern }: GradingOptions): RegExp {
  if (pattern === undefined || pattern === '')
    throw new StudioError(
      'usage',
      'The benchmark regex needs an expression.',
      'Give one whose first group is the answer, for example: answer is (\\w+)',
    );
  try {
    return new RegExp(pattern, 'u');
  } catch (error) {
    throw new StudioError(
      'usage',
      `"${pattern}" is no regular expression: ${(error as Error).message}.`,
      'Correct it; it is read as JavaScript reads expressions with the flag u.',
    );
  }
}
