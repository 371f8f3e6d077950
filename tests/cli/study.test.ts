import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ScoringQueue } from '../../src-main/contract/evaluation/scoring.ts';
import type { Study, StudyOutcome } from '../../src-main/contract/studies.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

const home = temporaryFolder();
const data = join(home, 'sums.jsonl');
const study = (...args: string[]) => studio(['study', ...args, '--home', home]);
const shared = ['--model', tinyLlama, '--data', data, '--batch', '2', '--context', '64', '--held-out', '0.2'];
const budget = ['--methods', 'lora,idlora', '--budget', '6000', '--seeds', '0,1'];
const lines = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

beforeAll(() => writeGeneratedDataset(data, 60, 1));

describe('study', () => {
  it('plans without making anything', async () => {
    const { stdout, code } = await study(
      'plan',
      '--name',
      'pair',
      ...shared,
      ...budget,
      '--max-steps',
      '3',
      '--json',
    );
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as {
      arms: { trainable: number; seconds: number; fit: string }[];
      runs: unknown[];
    };
    expect(plan.arms.map(({ fit }) => fit)).toEqual(['fits', 'fits']);
    for (const { trainable, seconds } of plan.arms) {
      expect(trainable).toBeLessThanOrEqual(6000);
      expect(seconds).toBeGreaterThan(0);
    }
    expect(plan.runs.length).toBe(4);
    expect((await study('list', '--json')).stdout.trim()).toBe('[]');
  });

  it('is stopped with Ctrl+C and goes on to its end', async () => {
    const started = await studio(
      [
        'study',
        'start',
        '--name',
        'pair',
        ...shared,
        ...budget,
        '--max-steps',
        '60',
        '--json',
        '--home',
        home,
      ],
      { interruptAt: /"event":"step","run":"pair lora r\d+ s0","step":5,/ },
    );
    expect(started.code).toBe(0);
    expect(lines(started.stdout)[0]).toMatchObject({ event: 'study', study: 'pair' });
    const before = JSON.parse((await study('show', 'pair', '--json')).stdout) as Study & {
      outcome: StudyOutcome;
    };
    expect(before.runs.length).toBe(4);
    expect(before.outcome.pairs).toEqual([]);
    const resumed = await study('resume', 'pair', '--json');
    expect(resumed.code).toBe(0);
    const done = lines(resumed.stdout).at(-1) as { event: string; outcome: StudyOutcome };
    expect(done.event).toBe('done');
    expect(done.outcome.pairs).toMatchObject([{ first: 0, second: 1, n: 2 }]);
    const states = lines(resumed.stdout).flatMap(({ event, state, step }) =>
      event === 'run' ? [[state, step]] : [],
    );
    expect(states).toEqual(Array(4).fill(['done', 60]));
    const text = (await study('show', 'pair')).stdout;
    expect(text).toMatch(
      /lora r\d+ against idlora r\d+: held-out loss -?[\d.]+ nats \(95 % interval .*\), 2 seeds: .*, p = [\d.]+\./,
    );
    expect((await study('remove', 'pair')).code).toBe(0);
    expect((await study('show', 'pair')).code).toBe(1);
  });

  const asked = ['--methods', 'lora', '--budget', '6000', '--seeds', '0,1', '--max-steps', '2'];
  const start = (...args: string[]) => study('start', '--name', 'scored', ...shared, ...asked, ...args);

  it('trains nothing for what cannot be scored', { timeout: 300_000 }, async () => {
    for (const [args, code, message] of [
      [['--score', 'nonsense'], 2, 'nonsense'],
      [['--score', 'exact_match', '--path', `${data}.absent`], 1, 'sums.jsonl.absent'],
      [['--score', 'exact_match', '--limit', 'gsm8k=3'], 2, 'Write gsm8k among --score'],
      [['--score', 'exact_match', '--limit', '0', '--path', data], 2, '--limit 0'],
      [['--limit', '3'], 2, 'add --score'],
    ] as const) {
      const refused = await start(...args);
      expect([refused.code, refused.stderr], args.join(' ')).toEqual([
        code,
        expect.stringContaining(message),
      ]);
    }
    const planned = await study('plan', '--name', 'scored', ...shared, ...asked, '--score', 'perplexity');
    expect([planned.code, planned.stderr]).toEqual([2, expect.stringContaining('study plan scores nothing')]);
    expect((await study('list', '--json')).stdout).not.toContain('scored');
  });

  it('queues the scores of its runs behind their training', { timeout: 300_000 }, async () => {
    const exact = ['--path', `exact_match=${data}`, '--limit', 'exact_match=3'];
    const started = await start(
      '--score',
      'exact_match,perplexity',
      ...exact,
      '--max-tokens',
      'exact_match=4',
      '--json',
    );
    expect(started.code).toBe(0);
    const events = lines(started.stdout);
    const told = events.find(({ event }) => event === 'scores') as { entries: { id: string }[] };
    const { runs } = JSON.parse((await study('show', 'scored', '--json')).stdout) as Study;
    const queue = async (...args: string[]) => {
      const { code, stdout } = await studio(['queue', ...args, '--json', '--home', home]);
      expect(code).toBe(0);
      return (JSON.parse(stdout) as { scoring: ScoringQueue }).scoring;
    };
    const wanted = runs.flatMap(({ runId }) => [
      [runId, 'exact_match', 3],
      [runId, 'perplexity', null],
    ]);
    const { waiting } = await queue('list');
    expect(waiting.map(({ id }) => id)).toEqual(told.entries.map(({ id }) => id));
    expect(
      waiting.map(({ task }) => {
        if (task.kind !== 'score') throw new Error(`a ${task.kind} was queued`);
        return [task.input.adapter, task.input.benchmark, task.input.limit];
      }),
    ).toEqual(wanted);
    const after = await queue('work');
    expect(after.waiting).toEqual([]);
    expect(after.ended.filter(({ id }) => told.entries.some((entry) => entry.id === id))).toHaveLength(4);
    expect(after.ended.map(({ state }) => state)).toEqual(after.ended.map(() => 'done'));
  });

  it('lists the paper’s studies, and says what is wrong with an option', async () => {
    const papers = JSON.parse((await study('papers', '--json')).stdout) as { id: string }[];
    expect(papers.map(({ id }) => id)).toContain('table7');
    const wrong = async (...args: string[]) => {
      const { code, stderr } = await study('plan', ...args);
      return [code, stderr.split('\n')[0]];
    };
    expect(await wrong(...shared, '--paper', 'table9')).toEqual([
      2,
      'Error: --paper "table9" is none of the paper\'s studies.',
    ]);
    expect(await wrong(...shared, '--name', 'x', '--methods', 'lora,lora', '--budget', '6000')).toEqual([
      2,
      expect.stringMatching(/--methods .*once/),
    ]);
    expect(await wrong(...shared, '--name', 'x', '--methods', 'lora', '--budget', '1')).toEqual([
      1,
      expect.stringMatching(/None of the settings.*nearest possible/),
    ]);
    expect(
      await wrong(...shared, '--name', 'x', '--methods', 'lora', '--budget', '6000', '--seeds', 'a'),
    ).toEqual([2, 'Error: --seeds "a" is no whole number from 0.']);
    expect((await study('nonsense')).code).toBe(2);
  });

  it('says that runs failed, which is no defect of the studio', async () => {
    const tooLong = ['--samples', 'a long prompt '.repeat(20), '--max-steps', '1', '--seeds', '0'];
    const started = await study(
      'start',
      '--name',
      'failing',
      ...shared,
      '--methods',
      'lora',
      '--budget',
      '6000',
      ...tooLong,
      '--json',
    );
    expect(started.code).toBe(1);
    expect(lines(started.stdout).at(-1)).toMatchObject({
      error: { code: 'runs_failed', message: expect.stringMatching(/^1 of 1 runs failed/) as string },
    });
    expect(started.stderr).not.toContain('    at ');
  });
});

it('samples answers how many items and seeds a difference needs', async () => {
  const samples = (...args: string[]) => studio(['samples', ...args]);
  const answer = JSON.parse(
    (await samples('--difference', '2', '--items', '1319', '--seed-scatter', '1', '--json')).stdout,
  ) as { items: number; seeds: number; with: { smallestDifference: number } };
  expect(answer).toMatchObject({ items: 2010, seeds: 5 });
  expect(answer.with.smallestDifference).toBeCloseTo(2.475, 2);
  const impossible = await samples('--difference', '20');
  expect(impossible.code).toBe(2);
  expect(impossible.stderr).toMatch(/cannot differ by more points/);
});
