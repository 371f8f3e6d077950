import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { CodeExecution } from '../../../src-main/contract/evaluation/grading.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { asJsonLines, bestSandbox, smallTasks, taskLines } from '../../support/evaluation/sandboxes.ts';

const { core, home } = openTestCore();
afterAll(() => core.close());
const context = { signal: neverAborted };
const hasSandbox = (await bestSandbox()) !== null;

const input = {
  path: join(home, 'tasks.jsonl'),
  samples: join(home, 'samples.jsonl'),
  k: [1],
  timeoutSeconds: 30,
};
writeFileSync(input.path, taskLines());
writeFileSync(
  input.samples,
  asJsonLines(
    smallTasks.map(({ taskId, canonicalSolution }) => ({ task_id: taskId, completion: canonicalSolution })),
  ),
);
const grade = async () => core.handlers['evaluations.gradeHumanEval'](input, context);
const allow = async (isAllowed: boolean): Promise<CodeExecution> =>
  core.handlers['evaluations.allowCodeExecution']({ isAllowed }, context);

describe('the consent to run generated code', () => {
  it('is not given at first, and nothing runs without it', async () => {
    const found = await core.handlers['evaluations.codeExecution']({}, context);
    expect(found.isAllowed).toBe(false);
    expect(found.sandbox !== null).toBe(hasSandbox);
    expect(found.problem === null).toBe(hasSandbox);
    await expect(grade()).rejects.toMatchObject({ code: 'consent_missing' });
    await expect(core.grading.sandbox(neverAborted)).rejects.toMatchObject({ code: 'consent_missing' });
  });

  it.skipIf(!hasSandbox)('is kept, and taken back', async () => {
    expect(await allow(true)).toMatchObject({ isAllowed: true });
    const labels: string[] = [];
    const end = core.events.subscribe(null, ({ event }) => {
      if (event.type === 'progress' && event.task === 'grade humaneval')
        labels.push(`${event.label} ${event.done} of ${event.total}`);
    });
    const report = await grade();
    end();
    expect(report.passAtK).toMatchObject([{ k: 1, score: 1 }]);
    expect(labels.at(-1)).toBe('Running the programs 2 of 2');
    expect(await allow(false)).toMatchObject({ isAllowed: false });
    await expect(grade()).rejects.toMatchObject({ code: 'consent_missing' });
    expect(existsSync(join(home, 'code-execution'))).toBe(false);
  });

  it('is not given by a file that somebody else wrote', async () => {
    writeFileSync(join(home, 'code-execution'), 'true');
    expect((await core.handlers['evaluations.codeExecution']({}, context)).isAllowed).toBe(false);
  });
});
