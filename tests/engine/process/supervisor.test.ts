import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createEngineHost, type EngineCard } from '../../../src-main/engine/process/supervisor.ts';
import type { EngineRequest } from '../../../src-main/engine/protocol.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Whether a process is there, one that has ended and was not reaped yet included. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** An engine whose process does what the script says when its request comes. */
function engineThat(script: string, cards: readonly EngineCard[] = []) {
  const entry = join(temporaryFolder(), 'engine.mjs');
  writeFileSync(
    entry,
    `process.on('message', (m) => { if (m.type === 'request') { ${script} } });\nprocess.send({ type: 'ready' });\n`,
  );
  return createEngineHost({ entry, cards: () => cards });
}

it('passes events, log lines and the result', async () => {
  const events: unknown[] = [];
  const lines: string[] = [];
  const host = engineThat(
    `console.error('a warning'); process.send({ type: 'event', event: { type: 'log', line: 'x' } }); setTimeout(() => process.send({ type: 'result', result: { tensorflow: '1', binding: '2', devices: [] } }), 100);`,
  );
  const result = await host.start(
    { kind: 'probe' },
    { onEvent: (event) => events.push(event), onLog: (line) => lines.push(line) },
  ).result;
  expect(result).toEqual({ tensorflow: '1', binding: '2', devices: [] });
  expect(events).toEqual([{ type: 'log', line: 'x' }]);
  expect(lines).toEqual(['a warning']);
});

it.each([
  ['a crash', "console.error('boom'); process.abort();", 'engine_died', /SIGABRT.*boom/],
  ['an exit', 'process.exit(3);', 'engine_died', /code 3/],
  [
    'a kill, as by the out-of-memory killer',
    "process.kill(process.pid, 'SIGKILL');",
    'out_of_memory',
    /memory/,
  ],
  [
    "TensorFlow's allocation failure",
    "console.error('OOM when allocating tensor'); setTimeout(() => process.abort(), 50);",
    'out_of_memory',
    /OOM when allocating/,
  ],
])('reports %s within two seconds, with a remedy', async (_name, script, code, message) => {
  const job = engineThat(script).start({ kind: 'probe' });
  // From when the system reports its end: on busy cores Node alone may take that long to start, and to abort.
  let endedAt: number | null = null;
  const watch = setInterval(() => (endedAt ??= isAlive(job.pid!) ? null : performance.now()), 5);
  await expect(job.result).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
    remedy: expect.stringMatching(/checkpoint/) as string,
  });
  clearInterval(watch);
  expect(performance.now() - (endedAt ?? performance.now())).toBeLessThan(2000);
});

it("passes the job's own error on", async () => {
  const host = engineThat(
    `process.send({ type: 'error', error: { code: 'model_invalid', message: 'm', remedy: 'r' } });`,
  );
  await expect(host.start({ kind: 'probe' }).result).rejects.toMatchObject({
    code: 'model_invalid',
    remedy: 'r',
  });
});

it('kills a job that is cancelled, even one that never answers', async () => {
  const controller = new AbortController();
  const job = engineThat('for (;;);').start({ kind: 'probe' }, { signal: controller.signal });
  setTimeout(() => controller.abort(), 300);
  await expect(job.result).rejects.toMatchObject({ code: 'cancelled' });
});

it('ends a job whose listener throws with what it threw, and this process goes on', async () => {
  const host = engineThat(
    `process.send({ type: 'event', event: { type: 'checkpoint', step: 1, folder: 'x' } }); for (;;);`,
  );
  const full = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
  let events = 0;
  const job = host.start(
    { kind: 'probe' },
    {
      onEvent() {
        events++;
        throw full;
      },
    },
  );
  await expect(job.result).rejects.toBe(full);
  expect(events).toBe(1);
});

it('calls jobs that it kills at its own end cancelled, not out of memory', async () => {
  const host = engineThat('for (;;);');
  const job = host.start({ kind: 'probe' });
  setTimeout(() => host.close(), 300);
  await expect(job.result).rejects.toMatchObject({ code: 'cancelled' });
});

it('keeps lines and letters whole that come in parts, and the last line that has no end', async () => {
  const lines: string[] = [];
  const job = engineThat(
    `const bytes = Buffer.from('größe'); process.stderr.write(bytes.subarray(0, 3)); setTimeout(() => { process.stderr.write(bytes.subarray(3)); process.stderr.write(' 1\\nterminate called', () => process.exit(3)); }, 100);`,
  ).start({ kind: 'probe' }, { onLog: (line) => lines.push(line) });
  await expect(job.result).rejects.toMatchObject({
    message: expect.stringMatching(/code 3.*größe 1 \| terminate called/) as string,
  });
  expect(lines).toEqual(['größe 1', 'terminate called']);
});

describe('a process', () => {
  /** Its process says which one it is, and ends when it is told to stop. */
  const nextOf = (host: ReturnType<typeof createEngineHost>) => async (request: EngineRequest) => {
    const job = host.start(request);
    return { job, pid: (await job.result) as unknown as number };
  };
  const saysItself = () =>
    engineThat(
      `process.send({ type: 'result', result: process.pid }); process.on('message', (other) => { if (other.type === 'stop') process.exit(3); });`,
    );
  const probe = { kind: 'probe' } as const;
  const computes = { kind: 'score', model: {}, tokenFile: '', batch: 1 } as unknown as EngineRequest;

  it('that was only asked what it is takes the next job, and no other takes two', async () => {
    const host = saysItself();
    const next = nextOf(host);
    const { job, pid } = await next(probe);
    // It is over: what it is told reaches nobody, and not the job that has its process now.
    job.stop({ save: true });
    expect((await next(probe)).pid).toBe(pid);
    job.stop({ save: true });
    expect((await next(computes)).pid).toBe(pid);
    const own = [await next(computes), await next({ ...probe, verbose: true }), await next(probe)];
    expect(new Set([pid, ...own.map((one) => one.pid)]).size).toBe(4);
    host.close();
  });

  it('that was killed with its result under way is neither kept nor handed on', async () => {
    const host = engineThat(
      `process.send({ type: 'event', event: { type: 'log', line: 'x' } }); process.send({ type: 'result', result: process.pid });`,
    );
    const controller = new AbortController();
    const job = host.start(probe, {
      signal: controller.signal,
      onEvent() {
        // By now the result lies in the pipe, and is read after the kill.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
        controller.abort();
      },
    });
    const killed = (await job.result) as unknown as number;
    expect((await nextOf(host)(probe)).pid).not.toBe(killed);
    host.close();
  });

  it('that waits ends with its host, and one that died is not waited for', async () => {
    const host = saysItself();
    const next = nextOf(host);
    const first = await next(probe);
    process.kill(first.pid, 'SIGKILL');
    await expect.poll(() => isAlive(first.pid)).toBe(false);
    const second = await next(probe);
    expect(second.pid).not.toBe(first.pid);
    host.close();
    await expect.poll(() => isAlive(second.pid)).toBe(false);
  });
});

describe('with several cards', () => {
  const card = (id: string, capability: string): EngineCard => ({
    id,
    name: `card ${id}`,
    capability,
    memoryBytes: 24e9,
    cudaFolder: '/cuda',
  });
  const cards = [card('0', '8.9'), card('2', '12.0')];
  const tell = `process.send({ type: 'event', event: { type: 'log', line: JSON.stringify(process.env) } });`;
  const env = (lines: readonly string[]) => JSON.parse(lines[0]!) as NodeJS.ProcessEnv;

  it('gives each job the card with the fewest, alone and in the order of the bus', async () => {
    const seen: string[][] = [[], [], []];
    const host = engineThat(tell, cards);
    expect(host.nextCard()).toBe('0');
    const jobs = seen.map((lines) =>
      host.start({ kind: 'probe' }, { onEvent: (event) => event.type === 'log' && lines.push(event.line) }),
    );
    expect(cards.map(({ id }) => host.jobsOn(id))).toEqual([['probe', 'probe'], ['probe']]);
    expect(host.nextCard()).toBe('2');
    await expect.poll(() => seen.map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(seen.map((lines) => env(lines)['CUDA_VISIBLE_DEVICES'])).toEqual(['0', '2', '0']);
    expect(env(seen[1]!)).toMatchObject({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      ID_LORA_STUDIO_CARD: 'card 2, 12.0',
      NVIDIA_TF32_OVERRIDE: '0',
      XLA_FLAGS: '--xla_gpu_cuda_data_dir=/cuda',
    });
    expect(env(seen[1]!)['MALLOC_ARENA_MAX']).toBe(process.env['MALLOC_ARENA_MAX']);
    host.close();
    await Promise.allSettled(jobs.map(({ result }) => result));
    expect(cards.flatMap(({ id }) => host.jobsOn(id))).toEqual([]);
  });

  it('gives a training the card without one, and multiplies in TF32 for those that ask for it', async () => {
    const train = (config: object) => ({ kind: 'train', config }) as unknown as EngineRequest;
    const seen = new Map<string, string[]>();
    const host = engineThat(tell, cards);
    const start = (name: string, request: EngineRequest) => {
      const lines: string[] = [];
      seen.set(name, lines);
      return host.start(request, { onEvent: (event) => event.type === 'log' && lines.push(event.line) });
    };
    const jobs = [
      start('exact', train({ precision: 'f32', tf32: false })),
      start('a chat', { kind: 'probe' }),
      start('another', { kind: 'probe' }),
      // Two jobs are on the other card, and no training.
      start('rounded', train({ precision: 'f32', tf32: true })),
      start('bf16', train({ precision: 'bf16', tf32: true })),
    ];
    expect(jobs.map(({ card }) => card?.id)).toEqual(['0', '2', '2', '2', '0']);
    expect(jobs.map(({ pid }) => typeof pid)).toEqual(jobs.map(() => 'number'));
    await expect.poll(() => [...seen.values()].every(({ length }) => length === 1)).toBe(true);
    const override = (name: string) => env(seen.get(name)!)['NVIDIA_TF32_OVERRIDE'];
    expect(['exact', 'rounded', 'bf16'].map(override)).toEqual(['0', '1', '0']);
    host.close();
    await Promise.allSettled(jobs.map(({ result }) => result));
  });

  it('takes no process that multiplies another way than the next run wants', async () => {
    const answer = `process.send({ type: 'result', result: { pid: process.pid, tf32: process.env.NVIDIA_TF32_OVERRIDE } });`;
    const entry = join(temporaryFolder(), 'engine.mjs');
    writeFileSync(
      entry,
      `process.on('message', (m) => { if (m.type === 'request') { ${answer} } });\nprocess.send({ type: 'ready' });\n`,
    );
    const host = createEngineHost({ entry, cards: () => cards.slice(0, 1), keeps: () => true });
    const train = (tf32: boolean) =>
      host.start({ kind: 'train', config: { precision: 'f32', tf32 } } as unknown as EngineRequest)
        .result as unknown as Promise<{ pid: number; tf32: string }>;
    const [exact, again, rounded] = [await train(false), await train(false), await train(true)];
    expect(again.pid).toBe(exact.pid);
    expect(rounded.pid).not.toBe(exact.pid);
    expect([exact.tf32, rounded.tf32]).toEqual(['0', '1']);
    host.close();
  });

  it('leaves the processor one heap, and an unknown card exact products', async () => {
    const lines: string[] = [];
    const host = engineThat(tell);
    const job = host.start(
      { kind: 'probe' },
      { onEvent: (event) => event.type === 'log' && lines.push(event.line) },
    );
    await expect.poll(() => lines.length).toBe(1);
    expect(env(lines)['MALLOC_ARENA_MAX']).toBe(process.env['MALLOC_ARENA_MAX'] ?? '1');
    expect(env(lines)['NVIDIA_TF32_OVERRIDE']).toBe(process.env['NVIDIA_TF32_OVERRIDE'] ?? '0');
    expect(env(lines)['ID_LORA_STUDIO_CARD']).toBeUndefined();
    expect(host.nextCard()).toBeNull();
    host.close();
    await Promise.allSettled([job.result]);
  });
});
