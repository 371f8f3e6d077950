import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  cutAtStop,
  gradeHumanEval,
  humanEvalInstruct,
  humanEvalProgram,
  instructCompletion,
  meanPassAtK,
  passAtK,
  readHumanEval,
  readSamples,
  type HumanEvalTask,
} from '../../../src-main/evaluation/graders/humanEval.ts';
import { hasSharedData, sharedData, sharedNote } from '../../support/paths.ts';
import { asJsonLines, sandboxesHere, smallTasks, taskLines } from '../../support/evaluation/sandboxes.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const { signal } = new AbortController();

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('texts of HumanEval', () => {
  const task = smallTasks[1]!;

  it('make the program of the harness', () => {
    const { source, tests } = humanEvalProgram(task, '    return text * 2');
    expect(source + tests).toBe(`${task.prompt}    return text * 2\n${task.test}\ncheck(twice)`);
  });

  it('end where a stop string begins, and instruct answers at the next fence', () => {
    expect(cutAtStop('    return 1\n\nprint(2)\ndef f')).toBe('    return 1\n');
    expect(cutAtStop('    # a comment\n    return 1')).toBe('    # a comment\n    return 1');
    expect(instructCompletion('    return 1\n```\nIt returns 1. ```')).toBe('    return 1\n');
    expect(instructCompletion('    return 1')).toBe('    return 1');
    const { user, answerPrefix } = humanEvalInstruct(task);
    expect(user).toBe(
      `Write a solution to the following problem and make sure that it passes the tests:\n\`\`\`python\n${task.prompt}\n\`\`\`\n`,
    );
    expect(answerPrefix).toBe(`Here is the completed function:\n\`\`\`python\n${task.prompt}\n`);
  });
});

describe('pass@k', () => {
  /** The share of draws of k from n completions in which one of the c right ones is, counted one by one. */
  function counted(n: number, c: number, k: number): number {
    let [hits, draws] = [0, 0];
    for (let subset = 0; subset < 2 ** n; subset++) {
      const members = [...Array(n).keys()].filter((i) => (subset >> i) & 1);
      if (members.length !== k) continue;
      draws++;
      if (members.some((i) => i < c)) hits++;
    }
    return hits / draws;
  }

  it('is the share of draws that hold a right completion', () => {
    for (const n of [1, 4, 9])
      for (let c = 0; c <= n; c++)
        for (let k = 1; k <= n; k++) expect(passAtK(n, c, k)).toBeCloseTo(counted(n, c, k), 12);
    expect(passAtK(200, 100, 100)).toBeCloseTo(1, 12);
  });

  it('is a mean over tasks, and not given where one has too few completions', () => {
    const tasks = [
      { taskId: 'a', samples: 4, passed: 4 },
      { taskId: 'b', samples: 4, passed: 1 },
      { taskId: 'c', samples: 4, passed: 0 },
    ];
    const mean = meanPassAtK(tasks, 2);
    expect(mean.score).toBeCloseTo((1 + 0.5 + 0) / 3, 12);
    expect(mean.interval![0]).toBeLessThan(0.5);
    expect(mean.interval![1]).toBeGreaterThan(0.5);
    expect(meanPassAtK(tasks, 5)).toEqual({
      k: 5,
      score: null,
      interval: null,
      reason: 'pass@5 needs 5 completions of every task; a has 4, and 2 more have too few.',
    });
    expect(meanPassAtK([{ taskId: 'a', samples: 164, passed: 82 }], 1)).toMatchObject({ score: 0.5 });
  });
});

describe('files', () => {
  it('are read as text or packed', () => {
    expect(readHumanEval(file('tasks.jsonl', taskLines()))).toEqual(smallTasks);
    expect(readHumanEval(file('tasks.jsonl.gz', gzipSync(taskLines())))).toEqual(smallTasks);
    const samples = ['Small/1', 'Small/0', 'Small/1'].map((task_id) => ({ task_id, completion: '' }));
    expect(readSamples(file('samples.jsonl', `\n${asJsonLines(samples)}\n`), smallTasks)).toEqual(
      samples.map(({ task_id, completion }, i) => ({ taskId: task_id, completion, line: i + 2 })),
    );
  });

  const row = { task_id: 'a', prompt: 'p', entry_point: 'f', canonical_solution: 's', test: 't' };
  it.each([
    ['no JSON', '{"task_id": "a"', /line 1: it is not JSON/],
    ['a list', '[]\n', /line 1: it is no JSON object/],
    [
      'a field that is missing',
      asJsonLines([row, { ...row, task_id: 'b', test: undefined }]),
      /line 2: "test" is missing/,
    ],
    ['a field that is no text', asJsonLines([{ ...row, prompt: 3 }]), /line 1: "prompt" is 3/],
    [
      'a name that is code',
      asJsonLines([{ ...row, entry_point: 'f)\nimport os' }]),
      /"entry_point" .* no name/,
    ],
    ['a task twice', asJsonLines([row, row]), /line 2: a stands there a second time/],
    ['nothing', '\n', /has no task/],
    ['other bytes', new Uint8Array([0x1f, 0x8b, 1, 2]), /cannot be unpacked/],
    ['another encoding', new Uint8Array([0xff, 0xfe, 0x61]), /no text in UTF-8/],
  ])('of tasks with %s are refused', (_what, content, message) => {
    expect(() => readHumanEval(file('bad.jsonl', content))).toThrow(message);
  });

  it.each([
    ['no JSON', '{"task_id": "Small/0", "completion": "x"}\nnonsense\n', /line 2: it is not JSON/],
    [
      'an unknown task',
      asJsonLines([{ task_id: 'Small/9', completion: '' }]),
      /line 1: the data have no task "Small\/9"/,
    ],
    ['no completion', asJsonLines([{ task_id: 'Small/0' }]), /line 1: "completion" is missing/],
    ['no task id', asJsonLines([{ completion: '' }]), /line 1: "task_id" is missing/],
    [
      'a task left out',
      asJsonLines([{ task_id: 'Small/0', completion: '' }]),
      /has no completion of Small\/1\./,
    ],
  ])('of samples with %s are refused', (_what, content, message) => {
    expect(() => readSamples(file('bad.jsonl', content), smallTasks)).toThrow(message);
  });

  it('that are not there are named', () => {
    expect(() => readHumanEval(join(folder, 'none.jsonl'))).toThrow(/There is no file/);
    expect(() => readHumanEval(folder)).toThrow(/is a folder/);
  });
});

const sandboxes = await sandboxesHere();

for (const { kind, sandbox, note } of sandboxes)
  describe.skipIf(sandbox === null)(`grading in ${kind}${note}`, () => {
    const grade = (
      tasks: readonly HumanEvalTask[],
      completions: (task: HumanEvalTask) => readonly string[],
      k = [1],
    ) =>
      gradeHumanEval(
        sandbox!,
        tasks,
        tasks.flatMap((task, i) =>
          completions(task).map((completion) => ({ taskId: task.taskId, completion, line: i + 1 })),
        ),
        // A machine that does much else must not decide over right and wrong.
        { signal, k, timeoutSeconds: 30 },
      );

    it('counts completions by task', async () => {
      const right = (task: HumanEvalTask) => task.canonicalSolution;
      const report = await grade(
        smallTasks,
        (task) => [right(task), '    return None\n', task.taskId === 'Small/0' ? right(task) : '    ('],
        [1, 2, 4],
      );
      expect(report.tasks).toEqual([
        { taskId: 'Small/0', samples: 3, passed: 2 },
        { taskId: 'Small/1', samples: 3, passed: 1 },
      ]);
      expect(report.samples.map(({ passed }) => passed)).toEqual([true, false, true, true, false, false]);
      expect(report.samples[5]!.error).toContain('SyntaxError');
      const [one, two, four] = report.passAtK;
      expect(one!.score).toBeCloseTo((2 / 3 + 1 / 3) / 2, 12);
      expect(two!.score).toBeCloseTo((1 + 2 / 3) / 2, 12);
      expect(four!.score).toBeNull();
    });

    // Pyodide takes a second for each: here every fortieth task, in the long checks all of them.
    const every = kind === 'pyodide' ? 40 : 1;
    it.skipIf(!hasSharedData)(
      `passes the solutions of HumanEval and no empty body${every > 1 ? `, of every ${every}th task` : ''}${sharedNote}`,
      async () => {
        const all = readHumanEval(sharedData('humaneval', 'HumanEval.jsonl.gz'));
        expect(all.length).toBe(164);
        const tasks = all.filter((_task, i) => i % every === 0);
        const solved = await grade(tasks, (task) => [task.canonicalSolution]);
        expect(solved.samples.filter(({ passed }) => !passed)).toEqual([]);
        const empty = await grade(tasks, () => ['    pass\n']);
        expect(empty.samples.filter(({ outcome }) => outcome !== 'failed')).toEqual([]);
        expect(empty.samples.length).toBe(tasks.length);
      },
    );
  });
