import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { CodeExecution } from '../../src-main/contract/evaluation/grading.ts';
import type { DoctorReport } from '../../src-main/contract/machine.ts';
import { studio } from '../support/commandLine.ts';
import { neverAborted, openTestCore } from '../support/core.ts';
import { asJsonLines, bestSandbox, smallTasks, taskLines } from '../support/evaluation/sandboxes.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

const home = join(temporaryFolder(), 'home');
const folder = temporaryFolder();
const [path, samples] = [join(folder, 'tasks.jsonl'), join(folder, 'samples.jsonl')];
writeFileSync(path, taskLines());
writeFileSync(
  samples,
  asJsonLines(
    smallTasks.map(({ taskId, canonicalSolution }) => ({ task_id: taskId, completion: canonicalSolution })),
  ),
);
const best = await bestSandbox();
const run = (...args: string[]) => studio([...args, '--home', home]);
const settings = async (...args: string[]) => {
  const { code, stdout } = await run('settings', ...args, '--json');
  expect(code).toBe(0);
  return (JSON.parse(stdout) as { codeExecution: CodeExecution }).codeExecution;
};
const consentOfDoctor = async () => {
  const { stdout } = await run('doctor', '--json');
  return (JSON.parse(stdout) as DoctorReport).checks.find(({ name }) => name === 'generated code')!.detail;
};
const grade = () => run('grade', 'humaneval', '--path', path, '--samples', samples, '--timeout', '30');
const queueHumanEval = () =>
  run('eval', '--model', tinyLlama, '--benchmark', 'humaneval', '--path', path, '--queue');

describe('settings code-execution', () => {
  it('says that nobody has agreed, and in what programs would be run', async () => {
    expect(await settings()).toMatchObject({
      isAllowed: false,
      sandbox: best === null ? null : { kind: best.kind, description: best.description },
    });
    expect(existsSync(home)).toBe(false);
    expect(await consentOfDoctor()).toContain('is not run');
    expect((await run('settings', 'code-execution')).stdout).toContain('settings code-execution allow');
  });

  it.skipIf(best === null)('agrees for commands to come and the queue, until it is taken back', async () => {
    expect((await grade()).code).toBe(2);
    expect((await queueHumanEval()).code).toBe(1);
    expect(await settings('code-execution', 'allow')).toMatchObject({ isAllowed: true });
    expect(await settings()).toMatchObject({ isAllowed: true });
    expect(await consentOfDoctor()).toContain('as you have agreed');
    const graded = await grade();
    expect([graded.code, graded.stdout]).toEqual([0, expect.stringContaining('2 of 2 completions passed')]);
    const queued = await queueHumanEval();
    expect([queued.code, queued.stdout]).toEqual([0, expect.stringContaining('waits')]);
    const back = await run('settings', 'code-execution', 'forbid');
    expect([back.code, back.stdout]).toEqual([0, expect.stringContaining('are not run')]);
    expect((await grade()).code).toBe(2);
    expect(await consentOfDoctor()).toContain('is not run');
    // Twice is no fault.
    expect(await settings('code-execution', 'forbid')).toMatchObject({ isAllowed: false });
  });

  it('names what is no setting and no decision, and changes nothing', async () => {
    for (const [args, message] of [
      [['theme'], 'no setting "theme"; there are code-execution, train-at-once, updates'],
      [['code-execution', 'perhaps'], 'allow|forbid'],
      [['code-execution', 'allow', 'forbid'], 'allow|forbid'],
    ] as const) {
      const { code, stderr } = await run('settings', ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    expect(await settings()).toMatchObject({ isAllowed: false });
  });
});

describe.skipIf(best === null)('beside an open studio', () => {
  const { core, home: open } = openTestCore();
  afterAll(() => core.close());

  it('holds at once', async () => {
    const decide = (decision: string) => studio(['settings', 'code-execution', decision, '--home', open]);
    await expect(core.grading.sandbox(neverAborted)).rejects.toMatchObject({ code: 'consent_missing' });
    expect((await decide('allow')).code).toBe(0);
    expect((await core.grading.sandbox(neverAborted)).kind).toBe(best!.kind);
    expect((await decide('forbid')).code).toBe(0);
    await expect(core.grading.sandbox(neverAborted)).rejects.toMatchObject({ code: 'consent_missing' });
  });
});
