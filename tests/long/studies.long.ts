import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { StudyRecord } from '../../src-main/report/studyRecord.ts';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/*
 * `npm run studies` from start to end, short: what it trains and scores it does once, whichever study asks, and a study
 * that is stopped goes on. The studies of docs/studies.md are made with the same command and its usual sizes.
 */
const sizes = ['--max-steps', '2', '--limit', '4', '--seeds', '0', '--allow-code-execution'];

it('trains, scores and judges the settings of a study, and goes on where it was stopped', async () => {
  const home = temporaryFolder();
  const args = ['table-8', '--home', home, ...sizes];
  // While the third of four runs trains.
  const stopped = await studio(['studies', ...args], { interruptAt: /k 6 s0/ });
  expect(stopped.code).not.toBe(0);
  const { code, stdout, stderr } = await studio(['studies', ...args]);
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain('Training ID-LoRA r16 k 2 s0');
  expect(stdout).toContain('ID-LoRA r16 against ID-LoRA r16 k 8: held-out loss');
  const record = JSON.parse(readFileSync(join(home, 'found', 'table-8.json'), 'utf8')) as StudyRecord;
  expect(record.arms.map(({ cells }) => cells.map((cell) => cell!.values.length))).toEqual(
    record.arms.map(() => [1, 1]),
  );
  expect(record.verdicts).toHaveLength(6);
  const again = await studio(['studies', ...args, '--json']);
  expect(again.stderr).not.toContain('Training ');
  const [same] = JSON.parse(again.stdout) as StudyRecord[];
  expect({ ...same, createdAt: null }).toEqual({ ...record, createdAt: null });
});
