import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { studio } from '../../support/commandLine.ts';
import { asJsonLines, bestSandbox, smallTasks, taskLines } from '../../support/evaluation/sandboxes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const [path, samples] = [join(folder, 'tasks.jsonl'), join(folder, 'samples.jsonl')];
writeFileSync(path, taskLines());
const completions = [smallTasks[0]!.canonicalSolution, '    return 0\n', smallTasks[1]!.canonicalSolution];
writeFileSync(
  samples,
  asJsonLines(completions.map((completion, i) => ({ task_id: i < 2 ? 'Small/0' : 'Small/1', completion }))),
);
const grade = (...args: string[]) =>
  studio(['grade', 'humaneval', '--path', path, '--samples', samples, ...args]);
const best = await bestSandbox();

describe('grade humaneval', () => {
  it.skipIf(best === null)('gives scores and the verdict of each completion', async () => {
    const result = await grade('--allow-code-execution', '--k', '1,2', '--timeout', '30', '--json');
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({
      benchmark: 'humaneval',
      sandbox: { kind: best!.kind, description: best!.description },
      passAtK: [
        { k: 1, score: 0.75 },
        { k: 2, score: null, reason: expect.stringContaining('Small/1 has 1') as string },
      ],
      tasks: [
        { task_id: 'Small/0', samples: 2, passed: 1 },
        { task_id: 'Small/1', samples: 1, passed: 1 },
      ],
      samples: [
        { task_id: 'Small/0', line: 1, passed: true, outcome: 'passed', error: null },
        { task_id: 'Small/0', line: 2, passed: false, outcome: 'failed' },
        { task_id: 'Small/1', line: 3, passed: true },
      ],
    });
    const human = await grade('--allow-code-execution');
    expect(human.stdout).toMatch(/Small\/0 +2 +failed +AssertionError/);
    expect(human.stdout).toContain('2 of 3 completions passed');
    expect(human.stdout).toContain('pass@1: 75');
  });

  it('runs nothing without consent, and says what it would run and where', async () => {
    const result = await grade('--json');
    expect(result.code).toBe(2);
    const { error } = JSON.parse(result.stdout) as {
      error: { code: string; message: string; remedy: string };
    };
    expect(error.code).toBe('usage');
    expect(error.message).toContain('runs 3 programs');
    if (best === null) expect(error.message).toContain('no sandbox');
    else expect(error).toMatchObject({ remedy: expect.stringContaining('--allow-code-execution') as string });
    if (best !== null) expect(error.message).toContain(best.description);
  });

  it('names what is wrong with a file or an option', async () => {
    const bad = join(folder, 'bad.jsonl');
    writeFileSync(bad, '{"task_id":"Small/0","completion":""}\n{"task_id":"Other/1","completion":""}\n');
    const unknown = await studio(['grade', 'humaneval', '--path', path, '--samples', bad, '--json']);
    expect(unknown.code).toBe(1);
    expect(unknown.stdout).toContain('bad.jsonl, line 2: the data have no task');
    for (const [args, message] of [
      [['--k', '0'], /--k/],
      [['--k', 'x'], /--k/],
      [['--timeout', '1000'], /--timeout 1000/],
    ] as const) {
      const { code, stderr } = await grade(...args);
      expect(code).toBe(2);
      expect(stderr).toMatch(message);
    }
    expect((await studio(['grade', 'mmlu'])).code).toBe(2);
    expect((await studio(['grade', 'humaneval', '--path', path])).stderr).toContain('--samples is missing');
  });
});
