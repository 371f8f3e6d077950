import { describe, expect, it } from 'vitest';
import { gradeHumanEval, readHumanEval } from '../../src-main/evaluation/graders/humanEval.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { sandboxesHere } from '../support/evaluation/sandboxes.ts';

const { signal } = new AbortController();

/** All tasks in each sandbox, with the time that the harness gives a program. */
for (const { kind, sandbox, note } of await sandboxesHere())
  describe.skipIf(sandbox === null || !hasSharedData)(`HumanEval in ${kind}${note}${sharedNote}`, () => {
    it.each([
      ['passes all solutions', true],
      ['passes no empty body', false],
    ])('%s', async (_what, isSolved) => {
      const tasks = readHumanEval(sharedData('humaneval', 'HumanEval.jsonl.gz'));
      const samples = tasks.map(({ taskId, canonicalSolution }, i) => ({
        taskId,
        completion: isSolved ? canonicalSolution : '    pass\n',
        line: i + 1,
      }));
      const begin = performance.now();
      const report = await gradeHumanEval(sandbox!, tasks, samples, { signal });
      const seconds = (performance.now() - begin) / 1000;
      console.log(`${report.sandbox.description}: ${samples.length} programs in ${seconds.toFixed(1)} s`);
      expect(report.samples.filter(({ passed }) => passed !== isSolved)).toEqual([]);
      expect(report.passAtK[0]!.score).toBe(isSolved ? 1 : 0);
    });
  });
