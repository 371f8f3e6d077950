import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { StudioError } from '../../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { EngineHost } from '../../../src-main/engine/process/supervisor.ts';
import { examine } from '../../../src-main/services/machine/doctor.ts';
import { createEngineProbe } from '../../../src-main/services/machine/engineProbe.ts';
import { readLoad } from '../../../src-main/services/machine/machine.ts';
import { progressOf, repairRuntime } from '../../../src-main/services/machine/repair.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { patienceMs } from '../../support/patience.ts';

/** A repair that says what `lines` says, then does `end`. */
function program(end: string): readonly [string, ...string[]] {
  const file = join(temporaryFolder(), 'repair.mjs');
  const lines = [
    'set-up: providing TensorFlow 2.21.0 (no NVIDIA GPU found: on the CPU)',
    'set-up: downloading tensorflow-cpu 2.21.0: 120 of 273 MB (43 %), 5.0 MB/s, about 31 s left',
  ];
  writeFileSync(file, `process.stderr.write(${JSON.stringify(`${lines.join('\n')}\n`)});\n${end}\n`);
  return [process.execPath, file];
}

async function repair(end: string, signal = neverAborted) {
  const events: StudioEvent[] = [];
  const outcome = await repairRuntime((event) => events.push(event), signal, program(end)).then(
    () => 'done',
    (error: unknown) => error as StudioError,
  );
  return { outcome, events };
}

describe('the repair of the runtime', () => {
  it('shows its steps with share and time left, and says when it is over', async () => {
    const { outcome, events } = await repair('');
    expect(outcome).toBe('done');
    expect(events).toContainEqual({
      type: 'progress',
      task: 'repair',
      label: 'downloading tensorflow-cpu 2.21.0: 120 of 273 MB (43 %), 5.0 MB/s, about 31 s left',
      done: 43,
      total: 100,
      secondsLeft: 31,
    });
    expect(events.at(-1)).toEqual({ type: 'progress.ended', task: 'repair' });
    expect(progressOf('compiling: about 2 min left')).toMatchObject({ total: null, secondsLeft: 120 });
  });

  it('gives the reason and the remedy of a failure', async () => {
    const failure = { message: 'pip was not found.', remedy: 'Install it.' };
    const { outcome } = await repair(
      `process.stdout.write(${JSON.stringify(JSON.stringify(failure))}); process.exitCode = 1;`,
    );
    expect(outcome).toMatchObject({ code: 'runtime_missing', ...failure });
    const crash = await repair('process.exit(3)');
    expect((crash.outcome as StudioError).message).toContain('43 %');
  });

  it('ends with all its programs when it is cancelled', async () => {
    const folder = temporaryFolder();
    const mark = join(folder, 'child.pid');
    const controller = new AbortController();
    const child = `import('node:child_process').then(({ spawn }) => {
      const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)']);
      import('node:fs').then(({ writeFileSync }) => writeFileSync(${JSON.stringify(mark)}, String(child.pid)));
    });`;
    const running = repair(child, controller.signal);
    await expect
      .poll(() => existsSync(mark) && readFileSync(mark, 'utf8'), { timeout: patienceMs })
      .toBeTruthy();
    controller.abort();
    expect((await running).outcome).toMatchObject({ code: 'cancelled' });
    const pid = Number(readFileSync(mark, 'utf8'));
    await expect.poll(() => isAlive(pid)).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that nobody has waited for yet is still listed.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

it('reports a runtime that is missing as what the repair is for, and opens all the same', async () => {
  const engine = {
    start: () => ({
      result: Promise.reject(
        new StudioError('runtime_missing', 'TensorFlow cannot be loaded: x', 'Repair it.'),
      ),
    }),
  } as unknown as EngineHost;
  const report = await examine(temporaryFolder(), createEngineProbe(engine));
  expect(report).toMatchObject({ ok: false, device: null });
  expect(report.checks.filter(({ repairable }) => repairable).map(({ name }) => name)).toContain(
    'tensorflow',
  );
  expect(report.checks.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['studio', 'node', 'tensorflow', 'gpu', 'machine', 'memory', 'data folder']),
  );
});

it('knows how much memory is used of how much', async () => {
  const load = await readLoad();
  expect(load.cores).toBeGreaterThan(0);
  expect(load.memoryUsedBytes).toBeGreaterThan(1e7);
  expect(load.memoryUsedBytes).toBeLessThan(load.memoryBytes);
});

it('reads the memory of the card that the engine computes on', async () => {
  const folder = temporaryFolder();
  const script =
    '#!/bin/sh\ncase "$*" in *--id=1*) echo "Second, 8000, 10";; *) echo "First, 24000, 500"; esac\n';
  writeFileSync(join(folder, 'nvidia-smi'), script, { mode: 0o755 });
  // A module of its own: the other remembers that this machine has no nvidia-smi.
  vi.resetModules();
  const { readLoad: readAnew } = await import('../../../src-main/services/machine/machine.ts');
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  try {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined);
    expect((await readAnew()).gpu).toMatchObject({ name: 'First', memoryBytes: 24000 * 2 ** 20 });
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '1,0');
    expect((await readAnew()).gpu).toMatchObject({ name: 'Second', memoryUsedBytes: 10 * 2 ** 20 });
  } finally {
    vi.unstubAllEnvs();
  }
});

it('adds the starter once, usable, and finds it again', async () => {
  const { core } = openTestCore();
  try {
    const add = () => core.handlers['studio.addStarter']({}, { signal: neverAborted });
    const first = await add();
    expect(first.model.unusable).toBeNull();
    expect(first.datasets.map(({ format }) => format)).toEqual([
      'gsm8k',
      'humaneval',
      'multiple_choice',
      'prompt_completion',
    ]);
    expect(first.mix.sources.map(({ id }) => id)).toEqual(first.datasets.map(({ id }) => id));
    expect(await add()).toEqual(first);
    expect([core.models.list().length, core.datasets.list().length, core.mixes.list().length]).toEqual([
      1, 4, 1,
    ]);
  } finally {
    core.close();
  }
});

it('adds the starter beside whatever has its names', async () => {
  const { core, dataFile } = openTestCore();
  try {
    await core.models.add({ folder: tinyLlama, name: 'starter', copy: false });
    await core.datasets.add({ path: dataFile, name: 'starter-functions' });
    const { model, datasets } = await core.handlers['studio.addStarter']({}, { signal: neverAborted });
    expect(model.name).toBe('starter-2');
    expect(datasets.map(({ name }) => name)).toEqual([
      'starter-word-problems',
      'starter-functions-2',
      'starter-creatures',
      'starter-requests',
    ]);
  } finally {
    core.close();
  }
});

it('asks one engine what it is, however many ask, and another once that one failed', async () => {
  let started = 0;
  const answers = [Promise.reject(new Error('no TensorFlow')), Promise.resolve({ devices: ['cpu'] })];
  const engine = { start: () => ({ result: answers[started++] }) } as unknown as EngineHost;
  const probe = createEngineProbe(engine);
  const failed = await Promise.allSettled([probe.ask(), probe.ask()]);
  expect([failed.map(({ status }) => status), started]).toEqual([['rejected', 'rejected'], 1]);
  expect(await Promise.all([probe.ask(), probe.ask()])).toHaveLength(2);
  await probe.ask();
  expect(started).toBe(2);
});

it('offers no repair for a GPU that needs something else', async () => {
  const folder = temporaryFolder();
  const card = 'NVIDIA GeForce RTX 4090, 8.9, 470.256.02';
  writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\necho '${card}'\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  const probe = { tensorflow: '2.21.0', binding: '4.22.0', devices: ['cpu'] };
  const engine = { start: () => ({ result: Promise.resolve(probe) }) } as unknown as EngineHost;
  try {
    const { checks } = await examine(temporaryFolder(), createEngineProbe(engine));
    expect(checks.find(({ name }) => name === 'gpu')).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('needs driver 525.60') as string,
      remedy: expect.stringContaining("Install NVIDIA's driver 525.60") as string,
      repairable: false,
    });
  } finally {
    vi.unstubAllEnvs();
  }
});
