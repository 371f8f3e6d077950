import { recentSteps, type Run } from '../../../src-main/contract/entities.ts';
import type { Evaluation, EvaluationItem } from '../../../src-main/contract/results.ts';
import { trainConfigSchema, type Method } from '../../../src-main/contract/training.ts';
import { meanPassAtK } from '../../../src-main/evaluation/graders/humanEval.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import {
  groupScores,
  itemSums,
  lossSums,
  scoreInterval,
  scoreOf,
} from '../../../src-main/statistics/scores.ts';
import type { WritableDatabase } from '../../../src-main/store/database.ts';
import { writeMetrics } from '../../../src-main/store/metrics.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { sampleEvaluation, sampleItem, sampleKeys } from '../sampleEvaluation.ts';
import { sampleRun } from '../sampleRun.ts';

/** A setting of which some seeds were trained, and how good it is: the chance of a right answer to a usual item. */
export interface ScoredSetting {
  name: string;
  method: Method;
  rank: number;
  trainable: number;
  seeds: readonly number[];
  skill: number;
}

export const scoredSettings: readonly ScoredSetting[] = [
  { name: 'lora', method: 'lora', rank: 4, trainable: 49_152, seeds: [0, 1], skill: 0.45 },
  { name: 'dora', method: 'dora', rank: 4, trainable: 52_224, seeds: [0], skill: 0.47 },
  { name: 'idlora', method: 'idlora', rank: 8, trainable: 24_576, seeds: [0, 1], skill: 0.75 },
  { name: 'idlora-large', method: 'idlora', rank: 16, trainable: 98_304, seeds: [0], skill: 0.8 },
];

const steps = 40;

/** Inserts runs with their curves, and their scores on four benchmarks beside those of the base model. */
export function insertScoredRuns(
  database: WritableDatabase,
  settings: readonly ScoredSetting[] = scoredSettings,
): { runs: Run[]; evaluations: Evaluation[] } {
  ensureProject(database, 'default');
  const runs = settings.flatMap((setting) =>
    setting.seeds.map((seed) => insertSetting(database, setting, seed)),
  );
  const subjects = [
    { run: null, skill: 0.2, seed: 0 },
    ...runs.map((run) => ({
      run,
      seed: run.config.seed,
      skill: settings.find(({ name }) => run.name.startsWith(`${name}-seed`))!.skill,
    })),
  ];
  const evaluations = subjects.flatMap((subject) => [
    insertRight(database, subject, {
      benchmark: 'gsm8k',
      n: 200,
      shots: 5,
      dataPath: '/data/gsm8k/test.jsonl',
    }),
    insertRight(database, subject, {
      benchmark: 'commonsenseqa',
      n: 80,
      shots: 0,
      dataPath: '/data/csqa.jsonl',
    }),
    insertPrograms(database, subject),
    insertLosses(database, subject),
  ]);
  return { runs, evaluations };
}

function insertSetting(
  database: WritableDatabase,
  { name, method, rank, trainable }: ScoredSetting,
  seed: number,
): Run {
  const losses = Array.from({ length: steps }, (_, at) => 1 + seed / 50 + 3 * Math.exp(-at / 12));
  const run = sampleRun({
    id: `run-${name}-${seed}`,
    name: `${name}-seed-${seed}`,
    config: trainConfigSchema.parse({
      adapter: { method, rank, alpha: 2 * rank, ...(method === 'idlora' && { clusters: 2 }) },
      maxSteps: steps,
      seed,
    }),
    trainable,
    frozenExtra: method === 'idlora' ? 512 : 0,
    step: steps,
    totalSteps: steps,
    recentLoss: losses.slice(-recentSteps).reduce((sum, loss) => sum + loss, 0) / recentSteps,
    measured: {
      peakMemoryBytes: 400_000_000 + 1000 * trainable,
      cardPeak: null,
      secondsPerStep: 0.05 + seed / 1000,
      startSeconds: 1,
      seconds: 3,
      steps,
    },
    environment: {
      studio: '0.1.0',
      tensorflow: '2.9.1',
      node: '24.21.0',
      device: 'cpu',
      card: null,
      cores: 2,
      memoryBytes: 8_000_000_000,
      products: null,
      parts: null,
      tf32: null,
    },
  });
  insertRun(database, run);
  writeMetrics(database, run.id, {
    steps: losses.map((loss, at) => ({
      step: at + 1,
      loss,
      lr: 1e-4,
      gradNorm: 1,
      tokensPerSecond: 500,
      memoryBytes: null,
    })),
    evals: [20, 40].map((step) => ({ step, loss: 2 - step / 60, rows: 4, tokens: 80 })),
    logs: [],
  });
  return run;
}

interface Subject {
  run: Run | null;
  skill: number;
  seed: number;
}

/** An item is as hard for all; what a seed changes is little. */
function chances({ run, skill, seed }: Subject, n: number): number[] {
  const hard = createRandom(7);
  const own = createRandom(1000 * seed + (run?.name.length ?? 0) + 1);
  return Array.from({ length: n }, () => {
    const difficulty = hard.next();
    return skill + 0.06 * (own.next() - 0.5) - difficulty;
  });
}

function insertScore(
  database: WritableDatabase,
  subject: Subject,
  items: EvaluationItem[],
  rest: Partial<Evaluation> & Pick<Evaluation, 'benchmark'>,
): Evaluation {
  const name = subject.run?.name ?? 'base';
  const sums =
    rest.metric === 'perplexity'
      ? lossSums(items.map(({ loss, tokens }) => ({ lossSum: loss! * tokens, tokens })))
      : itemSums(items);
  const groups = groupScores(items);
  const evaluation = sampleEvaluation({
    id: `${rest.benchmark}-${name}`,
    runId: subject.run?.id ?? null,
    subject: name,
    n: items.length,
    dataHash: `data of ${rest.benchmark}`,
    seed: 1234,
    sums,
    groups,
    score: scoreOf(sums, items.length),
    interval: scoreInterval(sums, items.length, groups),
    measured: {
      peakMemoryBytes: 300_000_000 + 40 * (subject.run?.trainable ?? 0),
      seconds: 2 + items.length / 100 + (subject.run ? 0.5 : 0),
    },
    ...rest,
  });
  insertEvaluation(database, evaluation, sampleKeys(evaluation.id), items);
  return evaluation;
}

function insertRight(
  database: WritableDatabase,
  subject: Subject,
  rest: Pick<Evaluation, 'benchmark' | 'n' | 'shots' | 'dataPath'>,
): Evaluation {
  const items = chances(subject, rest.n).map((over, index) =>
    sampleItem(index, {
      correct: over > 0,
      question: `question ${index}`,
      target: String(index),
      output: over > 0 ? `It is ${index}` : 'I do not know',
      answer: over > 0 ? String(index) : null,
      tokens: 8,
    }),
  );
  return insertScore(database, subject, items, rest);
}

/** Ten programs a task, so that pass@1, @5 and @10 are there. */
function insertPrograms(database: WritableDatabase, subject: Subject): Evaluation {
  const samples = 10;
  const items = chances(subject, 40).map((over, index) => {
    const passed = Math.max(0, Math.min(samples, Math.round(samples * (0.5 + over))));
    return sampleItem(index, {
      share: passed / samples,
      outputs: Array.from({ length: samples }, (_, i) => `answer ${i}`),
      question: `task ${index}`,
    });
  });
  const tasks = items.map(({ id, share }) => ({ taskId: id, samples, passed: Math.round(share! * samples) }));
  return insertScore(database, subject, items, {
    benchmark: 'humaneval',
    dataPath: '/data/HumanEval.jsonl.gz',
    passAtK: [1, 5, 10].map((k) => meanPassAtK(tasks, k)),
  });
}

function insertLosses(database: WritableDatabase, subject: Subject): Evaluation {
  const items = chances(subject, 60).map((over, index) =>
    sampleItem(index, { loss: 2 - over, tokens: 5 + (index % 4) }),
  );
  return insertScore(database, subject, items, {
    benchmark: 'perplexity',
    metric: 'perplexity',
    dataPath: '/data/heldout.jsonl',
  });
}
