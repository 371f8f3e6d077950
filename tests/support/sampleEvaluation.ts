import type { Evaluation, EvaluationItem } from '../../src-main/contract/results.ts';

/** An evaluation as the store keeps it: 10 items of GSM8K on one model. */
export function sampleEvaluation(rest: Partial<Evaluation> = {}): Evaluation {
  return {
    id: `evaluation-${Math.random()}`,
    benchmark: 'gsm8k',
    version: '1',
    project: 'default',
    modelId: 'model',
    modelName: 'tiny',
    base: null,
    runId: null,
    subject: 'base',
    step: null,
    dataPath: '/data/test.jsonl',
    dataHash: 'data',
    shots: 0,
    seed: 0,
    precision: 'f32',
    n: 10,
    score: 0.5,
    metric: 'accuracy',
    interval: [0.2, 0.8],
    sums: null,
    groups: [],
    otherScores: [],
    passAtK: null,
    sandbox: null,
    judge: null,
    cutAnswers: null,
    prompts: null,
    asked: null,
    leak: null,
    forecast: null,
    measured: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    ...rest,
  };
}

/** Keys by which an evaluation is found again. */
export const sampleKeys = (key: string) => ({ key, itemsKey: `items of ${key}` });

/** An item of an evaluation, of which a test says what matters. */
export function sampleItem(index: number, rest: Partial<EvaluationItem> = {}): EvaluationItem {
  return {
    index,
    id: String(index),
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
    tokens: 1,
    output: null,
    answer: null,
    target: null,
    ...rest,
  };
}
