import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { median } from '../../src-main/budget/forecast/calibrate.ts';
import {
  forecastEvaluation,
  type EvaluationRecord,
  type PlannedEvaluation,
} from '../../src-main/budget/forecast/evaluation.ts';
import type { ModelShape } from '../../src-main/shape/modelShape.ts';
import { addTokenizer, measureEvaluation } from '../support/measuredEvaluation.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';
import { projectFolder } from '../support/paths.ts';

/*
 * Forecasts against real evaluations: both benchmarks, lengths and precisions on two models of random weights, whose
 * answers never end early. Each is made once to calibrate and once, with twice the items, to be foreseen. The peaks are
 * those of tests/budget/recorded/evaluationPeaks.json; times only say something on a machine that does nothing else.
 */
const read = (name: string) =>
  JSON.parse(readFileSync(join(projectFolder, 'tests', 'budget', 'recorded', name), 'utf8')) as never;
const { shapes } = read('peaks.json') as { shapes: Record<string, ModelShape> };
const { runs } = read('evaluationPeaks.json') as {
  runs: (Omit<PlannedEvaluation, 'shape'> & { shape: string })[];
};
const machine = { cores: availableParallelism(), gpu: null };
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

it('peak memory within 15 % and time within 25 % after one evaluation like it (medians)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-long-'));
  try {
    for (const [name, shape] of Object.entries(shapes)) {
      writeRandomModel(join(folder, name), shape, 2048);
      addTokenizer(join(folder, name));
    }
    const errors: { arithmetic: number; memory: number; time: number }[] = [];
    for (const { shape: name, ...rest } of runs) {
      const planned: PlannedEvaluation = {
        ...rest,
        modelId: name,
        shape: shapes[name]!,
        adapter: null,
        quantization: 'none',
        scoring: null,
      };
      const first = await measureEvaluation(join(folder, name), planned);
      const { modelId, benchmark, precision } = planned;
      const record: EvaluationRecord = {
        modelId,
        benchmark,
        precision,
        measured: first,
        forecast: forecastEvaluation(planned, machine, []),
      };
      const longer = { ...planned, items: 2 * planned.items };
      const forecast = forecastEvaluation(longer, machine, [record]);
      const second = await measureEvaluation(join(folder, name), longer);
      const share = (foreseen: number, measured: number) => Math.abs(foreseen / measured - 1);
      const error = {
        arithmetic: share(forecast.modelledBytes, second.peakMemoryBytes),
        memory: share(forecast.memoryBytes, second.peakMemoryBytes),
        time: share(forecast.seconds, second.seconds),
      };
      errors.push(error);
      console.log(
        `${name} ${benchmark} ${precision}, ${longer.items} items of ${longer.rowTokens} + ${longer.maxTokens} tokens: ${Math.round(first.peakMemoryBytes / 2 ** 20)} MiB, arithmetic off by ${percent(error.arithmetic)}, calibrated ${percent(error.memory)}, time ${percent(error.time)} of ${second.seconds.toFixed(1)} s`,
      );
    }
    const middle = (of: (error: (typeof errors)[number]) => number) => median(errors.map(of));
    console.log(
      `medians of ${errors.length}: arithmetic ${percent(middle(({ arithmetic }) => arithmetic))}, calibrated ${percent(middle(({ memory }) => memory))}, time ${percent(middle(({ time }) => time))}; load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores`,
    );
    expect(middle(({ memory }) => memory)).toBeLessThan(0.15);
    expect(middle(({ time }) => time)).toBeLessThan(0.25);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
