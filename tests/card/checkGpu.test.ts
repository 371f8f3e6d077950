import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { StudioError } from '../../src-main/contract/errors.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import type { CheckReport } from './checkGpu.ts';
import { worstError } from './parity.ts';
import { parityTrainings } from './parityCases.ts';
import { deadlineIn, runCase, Skipped } from './partRunner.ts';
import { bf16PeakOf } from '../../src-main/budget/forecast/cardRates.ts';
import { performanceTable } from './table.ts';
import { foreseen, noRoom, randomLoss, timedShapes, timedTrainings } from './trainingCases.ts';

/** Ends as the script does. @param path where programs are looked for */
async function check(args: readonly string[], path = process.env['PATH']) {
  const script = join(projectFolder, 'tests', 'card', 'checkGpu.ts');
  const env = { ...process.env, PATH: path, TF_CPP_MIN_LOG_LEVEL: '3' };
  const ended = promisify(execFile)(process.execPath, [script, ...args], { env });
  return ended.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

it.each([
  ['NVIDIA H100 80GB HBM3', 989],
  ['NVIDIA H100 PCIe', 756],
  ['NVIDIA A100-SXM4-80GB', 312],
  ['NVIDIA L40S', 362],
  ['NVIDIA L4', 121],
  ['NVIDIA GeForce RTX 4090', 165.2],
  ['NVIDIA GeForce RTX 4090 Laptop GPU', null],
  ['NVIDIA RTX 6000 Ada Generation', 364],
  ['Tesla T4', null],
])('the peak of %s is %s TFLOP/s', (name, peak) => {
  expect(bf16PeakOf(name)).toBe(peak && peak * 1e12);
});

it('compares 28 trainings, and numbers that are none differ', () => {
  expect(new Set(parityTrainings().map(({ name }) => name)).size).toBe(28);
  expect(worstError([2, 4.004], [2, 4])).toBeCloseTo(0.001, 6);
  expect(worstError([Number.NaN], [1])).toBe(Infinity);
  expect(worstError([1], [1, 2])).toBe(Infinity);
  expect(worstError([], [])).toBe(Infinity);
});

it('times both sizes, in 4 bits where more finds no room', () => {
  const trainings = timedTrainings(['1B', '8B']);
  expect(trainings).toHaveLength(18);
  expect(trainings.filter(({ shape }) => shape === '8B').every(({ loadIn4bit }) => loadIn4bit)).toBe(true);
  const large = foreseen(
    trainings.find(({ shape }) => shape === '8B')!,
    'gpu',
  );
  expect(noRoom(large, { device: 24e9, host: 16e9 })).toBeNull();
  expect(noRoom(large, { device: 6e9, host: 16e9 })).toMatch(
    /^memory: \d+\.\d GB are foreseen, 6\.0 GB are free$/,
  );
  expect(noRoom(large, { device: 24e9, host: 1e9 })).toContain("of the machine's");
  // What is computed again is no use of the card: a step needs the same products with checkpointing.
  const [plain, again] = [false, true].map((checkpointing) =>
    trainings.find(
      ({ name, gradientCheckpointing }) =>
        name.startsWith('1B lora, bf16') && gradientCheckpointing === checkpointing,
    ),
  );
  expect(foreseen(again!, 'gpu').flops).toBe(foreseen(plain!, 'gpu').flops);
  expect(foreseen(again!, 'gpu').bytes).toBeLessThan(foreseen(plain!, 'gpu').bytes);
  // 4 N operations a token for the 1.24 billion parameters.
  expect(foreseen(plain!, 'gpu').flops / 2048 / 4 / 1.24e9).toBeCloseTo(1, 0);
  expect(randomLoss(timedShapes['1B']!)).toBeCloseTo(12.17, 2);
});

it('a case ends as passed, failed, skipped or left out, each with its reason', async () => {
  const long = deadlineIn(60);
  expect(await runCase('a', long, 1, async () => ({ x: 1 }))).toMatchObject({
    state: 'passed',
    figures: { x: 1 },
  });
  const failing = runCase('b', long, 1, async (fail) => {
    fail('numbers differ');
    return { x: 2 };
  });
  expect(await failing).toMatchObject({ state: 'failed', reason: 'numbers differ', figures: { x: 2 } });
  const thrown = (error: Error, deadline = long) =>
    runCase('c', deadline, 0, async () => {
      throw error;
    });
  expect(await thrown(new Skipped('no disk'))).toMatchObject({ state: 'skipped', reason: 'no disk' });
  expect(await thrown(new TypeError('x is none'))).toMatchObject({
    state: 'failed',
    reason: expect.stringContaining('x is none') as string,
  });
  expect(await runCase('d', deadlineIn(5), 30, async () => ({}))).toMatchObject({
    state: 'left out',
    reason: expect.stringMatching(/^time: it takes about 30 s, \d s were left$/) as string,
  });
  const short = deadlineIn(0);
  await new Promise((resolve) => short.signal.addEventListener('abort', resolve));
  const cancelled = new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
  expect(await thrown(cancelled, short)).toMatchObject({
    state: 'left out',
    reason: expect.stringMatching(/^time: /) as string,
  });
});

it('says what was looked for where there is no card, and ends with 2', async () => {
  const { code, stderr, stdout } = await check([], temporaryFolder());
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /No card to check: no NVIDIA GPU found\. nvidia-smi and \/proc\/driver\/nvidia\/gpus were asked/,
  );
  expect(stderr).toContain('--device cpu');
  expect(stdout).toBe('');
});

it.each([
  [['--shapes', '70B'], '--shapes 70B is not known: there are tiny, 1B, 8B.'],
  [['--parts', 'parity,speed'], '--parts speed is not known'],
  [['--minutes', 'ten'], '--minutes ten is no number'],
  [['--device', 'tpu'], '--device tpu is neither gpu nor cpu'],
  [['--fast'], '--fast'],
])('refuses %j', async (args, said) => {
  const { code, stderr } = await check(args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
});

it('rehearses on the processor, and says whose figures these are', async () => {
  const out = join(temporaryFolder(), 'new', 'report.json');
  // With time enough on busy cores.
  const args = ['--device', 'cpu', '--parts', 'PMRC,out of memory', '--minutes', '60', '--out', out];
  const { code, stdout, stderr } = await check(args);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(readFileSync(out, 'utf8')) as CheckReport;
  const cases = report.parts.flatMap((part) => part.cases);
  expect(cases.map(({ name, state }) => [name, state])).toEqual([
    ['a training that is too large', 'skipped'],
    ['PMRC, a layer of tiny', 'passed'],
  ]);
  expect(report).toMatchObject({ passed: 1, failed: 0, left: [{ name: 'a training that is too large' }] });
  const table = readFileSync(out.replace('.json', '.md'), 'utf8');
  expect(stdout).toContain(table);
  expect(table).toContain('**Figures of a processor on tiny models');
  expect(table).toMatch(/PMRC, a layer of tiny: \d+\.\d s/);
});

it('leaves out what has no time, each by its name; where nothing was measured it has failed', async () => {
  const out = join(temporaryFolder(), 'report.json');
  const args = ['--device', 'cpu', '--parts', 'training', '--minutes', '0.02', '--out', out];
  const { code, stdout } = await check(args);
  expect(code).toBe(1);
  const { left } = JSON.parse(readFileSync(out, 'utf8')) as CheckReport;
  expect(left).toHaveLength(12);
  for (const { name } of left) expect(stdout).toContain(`${name} (left out: time: it takes about 5 s`);
  expect(stdout).toContain('0 passed, 0 failed, 12 not made');
});

it('what failed is no figure of the table', () => {
  const figures = {
    tokensPerSecond: 1234,
    secondsPerStep: 1.5,
    firstStepSeconds: 3,
    teraflops: 80,
    shareOfPeak: 0.48,
  };
  const more = { ...figures, memoryBytes: 5.4e9, forecastBytes: 6e9 };
  const report: CheckReport = {
    studio: '1',
    tensorflow: '2',
    date: '2026-12-01T00:00:00Z',
    device: {
      kind: 'gpu',
      name: 'NVIDIA GeForce RTX 4090',
      driver: '570.1',
      capability: '8.9',
      memoryBytes: 24e9,
      peak: 165.2e12,
    },
    host: { processor: 'P', cores: 8, memoryBytes: 64e9 },
    minutes: 8,
    seconds: 100,
    parts: [
      {
        name: 'training',
        seconds: 90,
        cases: [
          { name: '1B lora, bf16', state: 'passed', seconds: 10, figures: more },
          { name: '1B dora, bf16', state: 'failed', reason: 'numbers differ', seconds: 10, figures: more },
        ],
      },
      {
        name: 'parity',
        seconds: 10,
        cases: [{ name: 'a', state: 'failed', reason: 'numbers differ', seconds: 1 }],
      },
    ],
    left: [
      { name: '8B lora, 4 bits', state: 'skipped', reason: 'memory: 9.0 GB are foreseen, 6.0 GB are free' },
    ],
    passed: 1,
    failed: 2,
  };
  const table = performanceTable(report);
  expect(table).toMatch(
    /\| 1B lora, bf16 \| 1,234 +\| 1\.500 +\| 3\.0 s +\| 48 % +\| 5\.4 GB +\| 6\.0 GB +\|/,
  );
  expect(table).not.toContain('| 1B dora');
  expect(table).toContain('**Failed**: 1B dora, bf16 (numbers differ)');
  expect(table).toContain('parity: 0 of 1 passed');
  expect(table).toContain('Not measured: 8B lora, 4 bits (skipped: memory: 9.0 GB are foreseen');
});
