import { describe, expect, it } from 'vitest';
import {
  forecastErrors,
  forecastTraining,
  truncatedShare,
  type PlannedTraining,
} from '../../src-main/budget/forecast/calibrate.ts';
import { negotiate } from '../../src-main/budget/forecast/negotiate.ts';
import { rowLayoutOf, widestLayouts } from '../../src-main/budget/forecast/rowLayout.ts';
import { presets } from '../../src-main/shape/modelShape.ts';
import type { Calibration, ForecastRecord, RowLayout, RowLengths } from '../../src-main/contract/forecast.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';

const config = (rest: Partial<TrainConfigInput> = {}) =>
  trainConfigSchema.parse({ adapter: { method: 'lora', rank: 16, alpha: 32 }, batch: 8, ...rest });
const planned = (rest: Partial<TrainConfigInput> = {}): PlannedTraining => ({
  modelId: 'm',
  shape: presets['llama-3.2-1b']!,
  config: config({ context: 512, ...rest }),
  rowTokens: 512,
  line: null,
  steps: 100,
  heldOutRows: 0,
});
const bare: Calibration = { cores: 8, memoryBytes: 64e9, diskFreeBytes: 1e12, gpu: null, records: [] };
const lengths: RowLengths = { lengths: [100, 200, 300, 400, 505], longest: 505, rows: 5 };

/** What came of a planned training: so many times the memory and the seconds a step that the arithmetic has. */
function record(
  of: PlannedTraining,
  memory: number,
  time: number,
  runId: string | null = 'r',
): ForecastRecord {
  const forecast = forecastTraining(of, bare);
  return {
    runId,
    name: 'r',
    modelId: of.modelId,
    device: 'cpu',
    card: null,
    config: of.config,
    forecast: {
      modelledBytes: forecast.memory.bytes,
      memoryBytes: forecast.memory.correctedBytes,
      modelledSecondsPerStep: forecast.time.modelledSecondsPerStep,
      secondsPerStep: forecast.time.secondsPerStep,
      seconds: forecast.time.seconds,
      rowTokens: of.rowTokens,
      line: of.line,
      memoryBasis: 'model',
      timeBasis: 'model',
    },
    measured: {
      peakMemoryBytes: memory * forecast.memory.bytes,
      cardPeak: null,
      secondsPerStep: time * forecast.time.modelledSecondsPerStep,
      startSeconds: 7,
      seconds: 100,
      steps: 10,
    },
    createdAt: '2026-11-25T00:00:00.000Z',
  };
}

describe('calibration', () => {
  it('takes what the same step took before anything else', () => {
    const records = [record(planned(), 1.2, 2), record(planned({ batch: 4 }), 1.1, 3)];
    const forecast = forecastTraining(planned({ learningRate: 1e-3, seed: 9 }), { ...bare, records });
    expect(forecast.memory).toMatchObject({ basis: 'measured', n: 1 });
    expect(forecast.memory.correctedBytes / forecast.memory.bytes).toBeCloseTo(1.2, 9);
    expect(forecast.time.secondsPerStep / forecast.time.modelledSecondsPerStep).toBeCloseTo(2, 9);
    expect(forecast.time.start).toBe(7);
    expect(forecast.time.seconds).toBeCloseTo(7 + 99 * forecast.time.secondsPerStep, 6);
  });

  it('else the median of all, for time those of the same precision first', () => {
    const records = [
      record(planned({ batch: 4 }), 1.1, 3),
      record(planned({ batch: 2 }), 1.3, 5),
      record(planned({ precision: 'bf16' }), 1.2, 50),
    ];
    const forecast = forecastTraining(planned(), { ...bare, records });
    expect(forecast.memory).toMatchObject({ basis: 'machine', n: 3 });
    expect(forecast.memory.correctedBytes / forecast.memory.bytes).toBeCloseTo(1.2, 9);
    expect(forecast.time.secondsPerStep / forecast.time.modelledSecondsPerStep).toBeCloseTo(4, 9);
  });

  it('says how far forecasts were off, of runs and not of probes', () => {
    const records = [record(planned(), 2, 4), record(planned(), 1, 1), record(planned(), 9, 9, null)];
    expect(forecastErrors(records)).toEqual({ n: 2, memory: 0.25, time: 0.375 });
    expect(forecastErrors([])).toBeNull();
  });

  it('adds the evaluations that there will be', () => {
    const with_ = (evalEvery: number) =>
      forecastTraining({ ...planned({ evalEvery }), heldOutRows: 16 }, bare).time.evaluations;
    expect(with_(50) / with_(0)).toBeCloseTo(2, 6);
    expect(with_(30) / with_(0)).toBeCloseTo(4, 6);
  });
});

describe('rows', () => {
  it('lie side by side; alike they are padded to the longest in eights, packs are as long as the context', () => {
    const many = { ...lengths, rows: 5000 };
    const { rowTokens, line } = rowLayoutOf(config({ context: 1024 }), 2048, many);
    // A pass is eight rows of 301 tokens on average, and at most eight of the longest.
    expect(line!.longest).toBe(512);
    expect(line!.meanTokens).toBeGreaterThan(8 * 301);
    expect(line!.meanTokens).toBeLessThan(8 * 301 * 1.35);
    expect(rowTokens).toBeGreaterThan(line!.meanTokens);
    expect(rowTokens).toBeLessThanOrEqual(8 * 512);
    expect(rowLayoutOf(config({ context: 128 }), 2048, many)).toEqual({ rowTokens: 128, line: null });
    const alike = { lengths: [500, 502, 505], longest: 505, rows: 5000 };
    expect(rowLayoutOf(config({ context: 1024 }), 2048, alike)).toEqual({ rowTokens: 512, line: null });
    const packs = config({ context: 1024, packing: true });
    expect(rowLayoutOf(packs, 2048, lengths)).toEqual({ rowTokens: 1024, line: null });
    expect(rowLayoutOf(config({ context: 4096 }), 256, null)).toEqual({ rowTokens: 256, line: null });
    expect(truncatedShare(lengths, 300)).toBe(0.4);
  });

  it('side by side take less time than padded ones, and another batch has other lines', () => {
    const rest = planned({ batch: 8 });
    const many = { ...lengths, rows: 5000 };
    const lines = { ...rest, ...rowLayoutOf(rest.config, 2048, many) };
    const [before, after] = [rest, lines].map((of) => forecastTraining(of, bare).time.secondsPerStep);
    expect(after! / before!).toBeLessThan(0.8);
    const found = negotiate(lines, bare, { memoryBytes: 1e9, seconds: null }, many);
    const memory = found
      .filter(({ id }) => id === 'batch')
      .map(({ changes, forecast }) => [changes.batch!, forecast.memory.correctedBytes] as const);
    expect(memory.length).toBe(3);
    for (const [i, [batch, bytes]] of memory.entries())
      if (i > 0) expect(Math.sign(bytes - memory[i - 1]![1])).toBe(Math.sign(batch - memory[i - 1]![0]));
    const context = found.find(({ changes }) => changes.context === 256);
    expect(context!.label).toBe('Context 256 instead of 512 tokens');
  });

  it('take less time where few of their tokens are trained on: no logits are made of the others', () => {
    const timeOf = (trainedShare: number) => {
      const of = planned();
      const layout = rowLayoutOf(of.config, 2048, { ...lengths, rows: 5000, trainedShare });
      return forecastTraining({ ...of, ...layout }, bare).time.secondsPerStep;
    };
    expect(timeOf(0.95)).toBe(timeOf(1));
    // The head of this model is a fifth of its products.
    expect(timeOf(0.25) / timeOf(1)).toBeLessThan(0.9);
    expect(timeOf(0.25) / timeOf(1)).toBeGreaterThan(0.75);
  });

  it('lie in lines that hold the longest, also where the sample that was counted lacks it', () => {
    const sample = { lengths: Array<number>(1000).fill(100), longest: 2048, rows: 1000 };
    for (const batch of [1, 8]) {
      const { rowTokens, line } = rowLayoutOf(config({ context: 4096, batch }), 4096, sample);
      expect(rowTokens).toBeGreaterThanOrEqual(2048 + (batch - 1) * 100);
      expect(rowTokens).toBeLessThan(2048 + (batch - 1) * 100 + 128);
      expect(line!.longest).toBe(2048);
      // A pass in two hundred is as long.
      expect(line!.meanTokens).toBeLessThan(1.3 * batch * 100);
    }
    const cut = rowLayoutOf(config({ context: 1024, batch: 1 }), 4096, sample);
    expect(cut).toMatchObject({ rowTokens: 1024, line: { longest: 1024 } });
  });

  it('need at most the memory of what rows of any lengths do, padded or side by side', () => {
    const memoryOf = (layout: RowLayout, of: PlannedTraining) =>
      forecastTraining({ ...of, ...layout }, bare).memory.bytes;
    let needsMore = 0;
    for (const short of [10, 100, 500, 1500])
      for (const batch of [1, 4, 16])
        for (const share of [0.5, 0.9]) {
          const many = Array.from({ length: 1000 }, (_, i) => (i < share * 1000 ? short : 2000));
          const of = planned({ context: 2000, batch });
          const counted = memoryOf(
            rowLayoutOf(of.config, 4096, { lengths: many, longest: 2000, rows: 1000 }),
            of,
          );
          const [padded, lines] = widestLayouts(of.config, 4096).map((layout) => memoryOf(layout, of));
          expect(counted).toBeLessThanOrEqual(Math.max(padded!, lines!));
          if (counted > padded!) needsMore++;
        }
    expect(needsMore).toBeGreaterThan(0);
    expect(widestLayouts(config({ packing: true, context: 512 }), 4096)).toEqual([
      { rowTokens: 512, line: null },
    ]);
  });

  it('of a record are other steps where other tokens are trained on', () => {
    const records = [record(planned({ trainOn: 'all' }), 1.2, 2)];
    const basisOf = (one: PlannedTraining) => forecastTraining(one, { ...bare, records }).time.basis;
    expect(basisOf(planned({ trainOn: 'all' }))).toBe('measured');
    expect(basisOf(planned({ trainOn: 'assistant' }))).toBe('machine');
  });

  it('of a record are the same step where lines are about as full', () => {
    const of = planned();
    const line = (meanTokens: number) => ({ ...of, rowTokens: 3072, line: { meanTokens, longest: 512 } });
    const records = [record(line(2400), 1.2, 2)];
    const basisOf = (one: PlannedTraining) => forecastTraining(one, { ...bare, records }).time.basis;
    expect([basisOf(line(2450)), basisOf(line(2000)), basisOf(of)]).toEqual([
      'measured',
      'machine',
      'machine',
    ]);
  });
});

describe('negotiator', () => {
  const memoryOf = (of: PlannedTraining) => forecastTraining(of, bare).memory.correctedBytes;

  it('keeps the labels of a step where a batch is divided', () => {
    const of = planned({ packing: true });
    const counted = { ...lengths, rows: 5000, trainedShare: 0.25 };
    const packed = { ...of, ...rowLayoutOf(of.config, 2048, counted) };
    const lines = { ...planned(), ...rowLayoutOf(planned().config, 2048, counted) };
    for (const [given, known] of [
      [packed, counted],
      [lines, counted],
      // As of a mix: the layout is counted, lengths are not known.
      [lines, null],
    ] as const) {
      const seconds = forecastTraining(given, bare).time.secondsPerStep;
      const found = negotiate(given, bare, { memoryBytes: 1e9, seconds: null }, known);
      // A line holds the longest row, and is then fuller.
      const batches = found.filter(({ id, changes }) => id === 'batch' && changes.batch! > 1);
      expect(batches.length).toBe(2);
      for (const { changes, forecast } of batches) {
        // Each pass has its own small operations.
        const own = 0.0015 * given.shape.layers * (changes.accumulate! - 1);
        expect(Math.abs((forecast.time.secondsPerStep - own) / seconds - 1)).toBeLessThan(0.1);
      }
    }
  });

  it('says nothing within the limits', () => {
    expect(negotiate(planned(), bare, { memoryBytes: 64e9, seconds: null }, lengths)).toEqual([]);
  });

  it('ranks what suffices first, then the least risk, and keeps the rows of a step', () => {
    const limit = 0.7 * memoryOf(planned());
    const found = negotiate(planned(), bare, { memoryBytes: limit, seconds: null }, lengths);
    expect(found[0]).toMatchObject({ isEnough: true, risk: 0 });
    const order = found.map(({ isEnough, risk }) => (isEnough ? 0 : 10) + risk);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    for (const { changes, forecast, isEnough } of found) {
      expect(isEnough).toBe(forecast.memory.correctedBytes <= limit);
      expect(forecast.memory.correctedBytes).toBeLessThan(memoryOf(planned()));
      if (changes.batch) expect(changes.batch * changes.accumulate!).toBe(8);
    }
    expect(new Set(found.map(({ id }) => id))).toContain('checkpointing');
  });

  it('tells the share of rows that a context cuts, and offers none where it is not known', () => {
    const limits = { memoryBytes: 1e9, seconds: null };
    const half = negotiate(planned(), bare, limits, lengths).find(({ changes }) => changes.context === 256);
    expect(half).toMatchObject({ risk: 2, riskWords: expect.stringContaining('60 %') as string });
    expect(negotiate(planned(), bare, limits, null).some(({ id }) => id === 'context')).toBe(false);
  });

  it('offers for time only what is faster, and for full fine-tuning no rank', () => {
    const limits = { memoryBytes: null, seconds: 1 };
    const faster = negotiate(planned(), bare, limits, lengths);
    expect(faster.some(({ id }) => id === 'checkpointing' || id === 'batch')).toBe(false);
    expect(faster.some(({ id }) => id === 'context')).toBe(true);
    const full = planned({ adapter: { method: 'full', rank: 1, alpha: 1 } });
    const found = negotiate(full, bare, { memoryBytes: 1e9, seconds: null }, lengths);
    expect(found.some(({ id }) => id === 'rank')).toBe(false);
    expect(found.some(({ id }) => id === 'optimizer')).toBe(true);
    // What full fine-tuning trains cannot be kept in 8 bits.
    expect(found.some(({ id }) => id === 'quantized_base')).toBe(false);
    const offered = (rest: Partial<TrainConfigInput> = {}) =>
      negotiate(planned(rest), bare, { memoryBytes: 1e9, seconds: null }, lengths).filter(
        ({ id }) => id === 'quantized_base',
      );
    const eight = offered().find(({ changes }) => changes.loadIn8bit)!;
    expect(eight.changes).toEqual({ loadIn8bit: true, loadIn4bit: false });
    expect(offered().map(({ changes }) => changes)).toContainEqual({ loadIn4bit: true, loadIn8bit: false });
    expect(offered({ loadIn8bit: true }).map(({ changes }) => changes.loadIn4bit)).toEqual([true]);
    expect(offered({ loadIn4bit: true })).toEqual([]);
    // Three of four bytes of 973 million linear weights, less what one of them takes when it is widened.
    const saved = memoryOf(planned()) - eight.forecast.memory.correctedBytes;
    expect(saved).toBeGreaterThan(2.8e9);
    expect(saved).toBeLessThan(2.95e9);
  });

  it('halves the rank to what the method can have', () => {
    const idlora = planned({ adapter: { method: 'idlora', rank: 6, alpha: 12, boost: 2 } });
    const found = negotiate(idlora, bare, { memoryBytes: 1e9, seconds: null }, null);
    const rank = found.find(({ id }) => id === 'rank');
    if (rank) expect(rank.changes.adapter).toEqual({ rank: 2, alpha: 4 });
    const wide = planned({ adapter: { method: 'moelora', rank: 512, alpha: 512 } });
    expect(
      negotiate(wide, bare, { memoryBytes: 1e9, seconds: null }, null).find(({ id }) => id === 'rank')
        ?.changes.adapter,
    ).toEqual({ rank: 256, alpha: 256 });
  });

  it('puts several together where no single one suffices, and no more than it takes', () => {
    const of = planned({ batch: 100, context: 512 });
    const singles = [{}, { gradientCheckpointing: true }].map((rest) =>
      memoryOf(planned({ batch: 1, ...rest, context: 512 })),
    );
    // Neither the smallest batch nor checkpointing alone comes so low.
    const limit = (singles[0]! + singles[1]!) / 2;
    const [first, ...rest] = negotiate(of, bare, { memoryBytes: limit, seconds: null }, null);
    expect(rest.every(({ isEnough }) => !isEnough)).toBe(true);
    expect(first).toMatchObject({ id: 'combination', isEnough: true, risk: 0 });
    expect(first!.forecast.memory.correctedBytes).toBeLessThanOrEqual(limit);
    const { batch, accumulate, gradientCheckpointing, ...others } = first!.changes;
    expect(batch! * accumulate!).toBe(100);
    expect(gradientCheckpointing).toBe(true);
    expect(others).toEqual({});
    // Applied to the form it fits: the next larger batch would not.
    const applied = planned({
      batch: batch!,
      accumulate: accumulate!,
      gradientCheckpointing: true,
      context: 512,
    });
    expect(memoryOf(applied)).toBe(first!.forecast.memory.correctedBytes);
    const larger = [2, 4, 5, 10, 20, 25, 50, 100].find((size) => size > batch!)!;
    expect(memoryOf(planned({ batch: larger, gradientCheckpointing: true, context: 512 }))).toBeGreaterThan(
      limit,
    );
  });

  it('combines nothing where nothing is enough', () => {
    const found = negotiate(planned(), bare, { memoryBytes: 1e6, seconds: null }, lengths);
    expect(found.some(({ id }) => id === 'combination')).toBe(false);
  });
});
