import { afterEach, expect, it } from 'vitest';
import { forecastErrors, forecastTraining } from '../../../src-main/budget/forecast/calibrate.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { createEngineHost } from '../../../src-main/engine/process/supervisor.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

const config = (rest: Partial<TrainConfigInput> = {}) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 6,
    batch: 2,
    context: 64,
    ...rest,
  });

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

async function openCore() {
  const { core } = await openTrainingCore(createEngineHost());
  open.push(core);
  const events: StudioEvent[] = [];
  core.events.subscribe(null, ({ event }) => events.push(event));
  return { core, events };
}

const given = { model: 'tiny', dataset: 'sums' };

it('records with every run what was foreseen and what it took', async () => {
  const { core } = await openCore();
  expect((await core.forecasts.calibration()).records).toEqual([]);
  const first = await (await core.runs.start({ ...given, name: 'first', config: config() })).ended;
  expect(first.forecast).toMatchObject({ memoryBasis: 'model', timeBasis: 'model' });
  expect(first.measured).toMatchObject({ steps: 6 });
  const { forecast, measured } = first;
  expect(Math.abs(forecast!.memoryBytes / measured!.peakMemoryBytes - 1)).toBeLessThan(0.3);
  expect(measured!.secondsPerStep).toBeGreaterThan(0);
  expect(measured!.seconds).toBeGreaterThan(measured!.startSeconds!);

  // The same step again rests on what it took; the forecast of memory is then right.
  const second = await (
    await core.runs.start({ ...given, name: 'second', config: config({ seed: 2 }) })
  ).ended;
  expect(second.forecast).toMatchObject({ memoryBasis: 'measured', timeBasis: 'measured' });
  expect(second.forecast!.secondsPerStep).toBeCloseTo(measured!.secondsPerStep!, 9);
  expect(Math.abs(second.forecast!.memoryBytes / second.measured!.peakMemoryBytes - 1)).toBeLessThan(0.15);
  // Another step on the same machine takes the correction, but is not called measured.
  const third = await (
    await core.runs.start({ ...given, name: 'third', config: config({ batch: 4 }) })
  ).ended;
  expect(third.forecast).toMatchObject({ memoryBasis: 'machine', timeBasis: 'machine' });
  const { records } = await core.forecasts.calibration();
  expect(records.map(({ name }) => name)).toEqual(['third', 'second', 'first']);
  expect(forecastErrors(records)).toMatchObject({ n: 3 });
});

it('measures a few steps without making a run', async () => {
  const { core, events } = await openCore();
  const probe = await core.forecasts.probe(
    { ...given, config: config({ maxSteps: null }), steps: 4 },
    neverAborted,
  );
  expect(probe.runId).toBeNull();
  // The stop may come while the next step is under way.
  expect(probe.measured.steps).toBeGreaterThanOrEqual(4);
  expect(probe.measured.steps).toBeLessThan(20);
  expect(core.runs.list()).toEqual([]);
  expect((await core.forecasts.calibration()).records).toEqual([probe]);
  const progress = events.flatMap((event) =>
    event.type === 'progress' && event.task === 'probe' ? [event] : [],
  );
  expect(progress.at(-1)).toMatchObject({ label: 'Taking steps', done: 4, total: 4 });
  expect(events).toContainEqual({ type: 'progress.ended', task: 'probe' });
  const model = core.models.get('tiny');
  const forecast = forecastTraining(
    {
      modelId: model.id,
      shape: readDecoderConfig(model.folder),
      config: config(),
      rowTokens: probe.forecast.rowTokens,
      line: probe.forecast.line,
      steps: 100,
      heldOutRows: 0,
    },
    await core.forecasts.calibration(),
  );
  expect(forecast.time).toMatchObject({ basis: 'measured', secondsPerStep: probe.measured.secondsPerStep });
  expect(forecast.memory.correctedBytes).toBeCloseTo(probe.measured.peakMemoryBytes, -1);
  // A probe is no test of a forecast.
  expect(forecastErrors((await core.forecasts.calibration()).records)).toBeNull();
});

it('is cancelled, and refuses what no run could do', async () => {
  const { core } = await openCore();
  const controller = new AbortController();
  const probe = core.forecasts.probe({ ...given, config: config(), steps: 100 }, controller.signal);
  await expect(
    core.forecasts.probe({ ...given, config: config(), steps: 2 }, neverAborted),
  ).rejects.toMatchObject({ code: 'busy' });
  setTimeout(() => controller.abort(), 500);
  await expect(probe).rejects.toMatchObject({ code: 'cancelled' });
  await expect(
    core.forecasts.probe(
      { ...given, config: config({ adapter: { method: 'idlora', rank: 5, alpha: 8 } }), steps: 2 },
      neverAborted,
    ),
  ).rejects.toMatchObject({ code: 'config_invalid' });
  expect((await core.forecasts.calibration()).records).toEqual([]);
});

it('counts the tokens of rows once', async () => {
  const { core } = await openCore();
  const lengths = await core.forecasts.lengths('tiny', 'sums', neverAborted);
  expect(lengths.rows).toBe(60);
  expect(lengths.lengths.length).toBe(60);
  expect(lengths.longest).toBe(lengths.lengths.at(-1));
  expect(lengths.lengths[0]).toBeGreaterThan(5);
  expect(await core.forecasts.lengths('tiny', 'sums', neverAborted)).toBe(lengths);
  // Through another template they are others.
  const chatml = config({ template: 'chatml', system: 'Count.' });
  const longer = await core.forecasts.lengths('tiny', 'sums', neverAborted, chatml);
  expect(longer.longest).toBeGreaterThan(lengths.longest + 10);
  expect(await core.forecasts.lengths('tiny', 'sums', neverAborted, { ...chatml })).toBe(longer);
});
