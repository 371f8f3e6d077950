import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { median } from '../../src-main/budget/forecast/calibrate.ts';
import {
  evaluationErrors,
  evaluationMemory,
  evaluationWork,
  forecastEvaluation,
  type EvaluationRecord,
  type PlannedEvaluation,
} from '../../src-main/budget/forecast/evaluation.ts';
import { presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import { projectFolder } from '../support/paths.ts';

const read = (name: string) =>
  JSON.parse(readFileSync(join(projectFolder, 'tests', 'budget', 'recorded', name), 'utf8')) as never;
const { shapes } = read('peaks.json') as { shapes: Record<string, ModelShape> };
/** Measured by tests/long/evaluations.long.ts. */
const { runs } = read('evaluationPeaks.json') as {
  runs: (Omit<PlannedEvaluation, 'shape'> & { shape: string; peakMemoryMiB: number })[];
};

it('has the peak memory of evaluations that were measured, 15 % off at most in the median', () => {
  const off = runs.map(({ shape, peakMemoryMiB, ...rest }) => {
    const planned = {
      ...rest,
      modelId: 'm',
      shape: shapes[shape]!,
      adapter: null,
      quantization: 'none' as const,
      scoring: null,
    };
    return Math.abs(evaluationMemory(planned).bytes / 2 ** 20 / peakMemoryMiB - 1);
  });
  expect(off.length).toBe(16);
  expect(median(off)).toBeLessThan(0.08);
  expect(Math.max(...off)).toBeLessThan(0.2);
});

const planned: PlannedEvaluation = {
  modelId: 'm',
  shape: presets['llama-3.2-1b']!,
  benchmark: 'gsm8k',
  precision: 'f32',
  adapter: null,
  quantization: 'none' as const,
  items: 100,
  rowTokens: 200,
  maxTokens: 256,
  scoring: null,
};
const machine = { cores: 8, gpu: null };

it('takes longer for more items and longer answers, and more memory for a longer cache', () => {
  const of = (rest: Partial<PlannedEvaluation>) => forecastEvaluation({ ...planned, ...rest }, machine, []);
  const now = of({});
  expect(of({ items: 200 }).seconds).toBeGreaterThan(1.5 * now.seconds);
  expect(of({ maxTokens: 512 }).seconds).toBeGreaterThan(1.5 * now.seconds);
  expect(of({ maxTokens: 512 }).memoryBytes).toBeGreaterThan(now.memoryBytes);
  // 16 rows of 712 places and 16 recent ones, four prompts and a call; keys and values of 8 heads of 64 in 16 layers,
  // f32.
  const { parts } = evaluationMemory({ ...planned, maxTokens: 512 });
  expect(parts.cache).toBe((16 * (712 + 16) + 4 * 200 + 128) * 2 * 8 * 64 * 16 * 4);
  expect(of({ precision: 'bf16' }).memoryBytes).toBeLessThan(now.memoryBytes);
});

it('counts the tokens that rows are padded to, not those of the longest row for each', () => {
  const scored: PlannedEvaluation = {
    ...planned,
    benchmark: 'perplexity',
    items: 1600,
    rowTokens: 1000,
    maxTokens: 0,
  };
  const all = evaluationWork(scored);
  expect(all.calls).toBe(100);
  const longest = { tokens: 1000, calls: 4 };
  const halves = evaluationWork({ ...scored, scoring: [{ tokens: 504, calls: 96 }, longest] });
  expect(halves.calls).toBe(100);
  // Attention grows faster than the tokens: half of them are a little less than half of the work.
  const share = halves.flops / all.flops;
  expect(share).toBeLessThan((96 * 504 + 4 * 1000) / 100_000);
  expect(share).toBeGreaterThan(0.45);
  // The longest call decides the memory.
  expect(evaluationMemory({ ...scored, scoring: [{ tokens: 504, calls: 96 }, longest] }).bytes).toBe(
    evaluationMemory(scored).bytes,
  );
  expect(evaluationMemory({ ...scored, scoring: [{ tokens: 504, calls: 100 }] }).bytes).toBeLessThan(
    evaluationMemory(scored).bytes,
  );
});

it('learns from evaluations of the same kind of device, the same model before others', () => {
  const made = forecastEvaluation(planned, machine, []);
  const record = (factor: number, rest: Partial<EvaluationRecord> = {}): EvaluationRecord => ({
    modelId: 'm',
    benchmark: 'gsm8k',
    precision: 'f32',
    forecast: made,
    ...rest,
    measured: { peakMemoryBytes: factor * made.modelledBytes, seconds: factor * made.modelledSeconds },
  });
  const with2 = forecastEvaluation(planned, machine, [record(1.5), record(2, { modelId: 'other' })]);
  expect(with2.seconds).toBeCloseTo(1.5 * made.seconds, 6);
  expect(with2).toMatchObject({ memoryBasis: 'measured', timeBasis: 'measured' });
  const others = forecastEvaluation(planned, machine, [record(2, { modelId: 'other' })]);
  expect(others.memoryBytes).toBeCloseTo(2 * made.memoryBytes, 0);
  expect(others.timeBasis).toBe('machine');
  const onGpu = forecastEvaluation(planned, { cores: 8, gpu: { name: 'g', memoryBytes: 24e9 } }, [record(2)]);
  expect(onGpu).toMatchObject({ device: 'gpu', timeBasis: 'model', memoryBasis: 'model' });
  expect(onGpu.hostBytes).toBeGreaterThan(0);
  const errors = evaluationErrors([record(1.25), record(1)])!;
  expect(errors.n).toBe(2);
  expect(errors.memory).toBeCloseTo(0.1, 9);
  expect(errors.time).toBeCloseTo(0.1, 9);
  expect(evaluationErrors([])).toBeNull();
});

it('counts the calls and the logits of multiple choice as they are, where they are known', () => {
  const asked = { ...planned, benchmark: 'commonsenseqa' as const, maxTokens: 0, items: 64, rowTokens: 96 };
  const calls = { tokens: 96, calls: 4, rows: 16 };
  const all = evaluationWork({ ...asked, scoring: [calls] });
  expect(evaluationWork(asked)).toEqual(all);
  const few = evaluationWork({ ...asked, scoring: [{ ...calls, outputs: 80 }] });
  const { hiddenSize, vocabularySize } = asked.shape;
  const spared = 4 * (16 * 96 - 80) * 2 * hiddenSize * vocabularySize;
  expect((all.flops - few.flops) / spared).toBeCloseTo(1, 9);
  expect(few.calls).toBe(4);
  // Rows that hold several items are fewer and longer: as many tokens take as long, and more memory for attention.
  const memory = (scoring: PlannedEvaluation['scoring']) => evaluationMemory({ ...asked, scoring });
  const single = memory([{ ...calls, outputs: 16 }]);
  expect(single.parts.logits).toBe(2 * 4 * 16 * vocabularySize);
  expect(single.parts.logits).toBeLessThan(memory([calls]).parts.logits);
  const joined = memory([{ tokens: 1536, calls: 4, rows: 1, outputs: 16 }]);
  expect(joined.parts.logits).toBe(single.parts.logits);
  expect(joined.parts.working).toBeGreaterThan(single.parts.working);
});
