import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import type { TrainResult } from '../../../src-main/engine/protocol.ts';
import type { ServiceContext } from '../../../src-main/services/context.ts';
import { createRunRecorder, levelOf } from '../../../src-main/services/runs/runRecorder.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { appendSteps, emptyColumns } from '../../../src-main/store/metrics.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { readLogs } from '../../../src-main/store/runLogs.ts';
import { findRun, insertRun, updateRun } from '../../../src-main/store/runs.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const sampleForecast: NonNullable<Run['forecast']> = {
  modelledBytes: 1,
  memoryBytes: 1,
  modelledSecondsPerStep: 1,
  secondsPerStep: 1,
  seconds: 1,
  rowTokens: 1,
  line: null,
  memoryBasis: 'model',
  timeBasis: 'model',
};

/** A recorder whose database can be made full, as a full disk makes it. */
function openRecorder(before: Partial<Run> = {}) {
  const database = openWritable(join(temporaryFolder(), 'studio.db'));
  ensureProject(database, 'default');
  const initial = sampleRun({ state: 'running', step: 0, totalSteps: null, endedAt: null, ...before });
  insertRun(database, initial);
  const told: StudioEvent[] = [];
  const later: (() => void)[] = [];
  const recorder = createRunRecorder(
    {
      writable: () => database,
      emit: (event) => told.push(event),
    } as Partial<ServiceContext> as ServiceContext,
    initial,
    (run: Run) => updateRun(database, run),
    { watch: undefined, foresee: () => sampleForecast, later: (write) => later.push(write) },
  );
  return {
    recorder,
    told,
    later,
    stored: () => findRun(database, 'default', initial.id)!,
    steps: () => {
      const columns = emptyColumns();
      appendSteps(database, initial.id, columns);
      return columns.step;
    },
    log: () => readLogs(database, initial.id, { limit: 9000 }).lines.map(({ line }) => line),
    setFull: (full: boolean) =>
      database.writable.pragma(`max_page_count = ${full ? 1 : 1_000_000}`, { simple: true }),
  };
}

const start: EngineEvent = {
  type: 'start',
  trainable: 7,
  frozenExtra: 0,
  base: 100,
  totalSteps: 5000,
  firstStep: 1,
  skippedSteps: 0,
  best: null,
  products: null,
  parts: { queryBlock: 128, logitElements: 2 ** 22 },
  packing: null,
};
const step = (n: number): EngineEvent => ({
  type: 'step',
  step: n,
  loss: 1,
  lr: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 1,
  memoryBytes: 1,
});
const checkpoint = (n: number): EngineEvent => ({ type: 'checkpoint', step: n, folder: 'x' });
const steps = Array.from({ length: 3000 }, (_, i) => i + 1);

it('keeps what a full disk does not take, and writes it once, with the next that can be written', () => {
  const { recorder, setFull, stored, steps: written, log } = openRecorder();
  recorder.onEvent(start);
  setFull(true);
  for (const n of steps) recorder.onEvent(step(n));
  recorder.onEvent(checkpoint(3000));
  expect(written()).toEqual([]);
  setFull(false);
  recorder.onEvent(step(3001));
  recorder.onEvent(checkpoint(3001));
  expect(written()).toEqual([...steps, 3001]);
  expect(stored()).toMatchObject({ state: 'running', step: 3001, trainable: 7 });
  expect(log()).toEqual([
    'training from step 1 of 5000',
    'checkpoint at step 3000',
    'Metrics were written late: The disk is full: database or disk is full',
    'checkpoint at step 3001',
  ]);
});

it('tells the end of a run that cannot be written, and leaves the writing for later', () => {
  const { recorder, setFull, stored, told, later, steps: written } = openRecorder();
  recorder.onEvent(start);
  setFull(true);
  for (const n of steps) recorder.onEvent(step(n));
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const ended = recorder.fail(full);
  expect(ended).toMatchObject({ state: 'failed', error: { code: 'disk_full' } });
  expect(told.at(-1)).toEqual({ type: 'run', run: ended });
  expect(stored().state).toBe('running');
  expect(() => later[0]!()).toThrow('full');
  setFull(false);
  later[0]!();
  expect(stored()).toMatchObject({ state: 'failed', step: 3000, error: { code: 'disk_full' } });
  expect(written()).toEqual(steps);
});

it('keeps what was measured where a part of the run takes no step', () => {
  const measured = {
    peakMemoryBytes: 5e9,
    cardPeak: null,
    secondsPerStep: 2,
    startSeconds: 9,
    seconds: 90,
    steps: 40,
  };
  const before = { forecast: { ...sampleForecast, seconds: 80 }, measured };
  const result: TrainResult = {
    outcome: 'done',
    step: 40,
    lastLoss: 1,
    checkpoint: 'x',
    skippedSteps: 0,
    best: null,
    peakMemoryBytes: 1e9,
  };
  const atEnd = { ...start, firstStep: 41, totalSteps: 40 };

  const idle = openRecorder({ step: 40, ...before });
  idle.recorder.onEvent(atEnd);
  expect(idle.recorder.finish(result, null, null)).toMatchObject({ state: 'done', step: 40, ...before });
  const broken = openRecorder({ step: 40, ...before });
  broken.recorder.onEvent(atEnd);
  expect(broken.recorder.fail(new Error('no device'))).toMatchObject({ state: 'failed', ...before });

  const stopped = openRecorder();
  stopped.recorder.onEvent(start);
  const early = stopped.recorder.finish({ ...result, outcome: 'stopped', step: 0 }, 'stop', null);
  expect(early).toMatchObject({ state: 'stopped', forecast: sampleForecast, measured: null });

  const further = openRecorder({ step: 40, ...before });
  further.recorder.onEvent({ ...start, firstStep: 41 });
  further.recorder.onEvent(step(41));
  expect(further.recorder.finish({ ...result, step: 41 }, null, null)).toMatchObject({
    forecast: sampleForecast,
    measured: { peakMemoryBytes: 1e9, steps: 1 },
  });
});

it.each([
  ['2026-11-25 01:02:03.456789: W tensorflow/core/framework/op.cc:1] odd', 'warning'],
  ['2026-11-25 01:02:03.456789: I tensorflow/core/util/port.cc:1] an error is no error here', 'info'],
  ['2026-11-25 01:02:03.456789: F tensorflow/core/x.cc:1] check failed', 'error'],
  ['W0000 00:00:1795571914.504377   14374 port.cc:153] an old driver', 'warning'],
  ['I0000 00:00:1795571914.504377   14374 port.cc:153] oneDNN custom operations are on.', 'info'],
  ['TypeError: x is not a function', 'error'],
  ['(node:12) Warning: deprecated', 'warning'],
  ['step 12 of 40', 'info'],
] as const)('knows how grave a line is: %s', (line, level) => {
  expect(levelOf(line)).toBe(level);
});
