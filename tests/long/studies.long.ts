import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
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

/*
 * Tables 2, 3 and 7 on SmolLM2-135M. Sizes come from the environment: those of docs/studies.md are 20 steps, 60 items
 * and seeds 0,1,2, and take hours of two cores. STUDIES_HOME is a data folder that stays: what was stopped goes on in
 * it.
 */
const smollm2 = join(homedir(), '.cache', 'id-lora-studio-tests', 'smollm2-135m-instruct');
const size = (name: string, otherwise: string) => process.env[`STUDIES_${name}`] ?? otherwise;
const tables = size('TABLES', 'table-2,table-3,table-7').split(',');
const note = existsSync(smollm2) ? '' : ' (skipped: needs what ../shared/tools/provision-smollm2 makes)';

it.runIf(existsSync(smollm2)).each(tables)(
  `%s of the paper on SmolLM2-135M has a loss, a score and a verdict for each pair${note}`,
  async (table) => {
    const home = process.env['STUDIES_HOME'] ?? temporaryFolder();
    const seeds = size('SEEDS', '0');
    const { code, stderr } = await studio([
      ...['studies', table, '--model', smollm2, '--precision', 'bf16', '--home', home, '--seeds', seeds],
      ...['--max-steps', size('STEPS', '2'), '--limit', size('ITEMS', '4'), '--allow-code-execution'],
    ]);
    expect(code, stderr).toBe(0);
    const record = JSON.parse(readFileSync(join(home, 'found', `${table}.json`), 'utf8')) as StudyRecord;
    expect(record.seeds).toEqual(seeds.split(',').map(Number));
    for (const { label, cells } of record.arms)
      for (const cell of cells) {
        expect(cell!.values, label).toHaveLength(record.seeds.length);
        expect(cell!.values.every(Number.isFinite), label).toBe(true);
      }
    expect(record.verdicts.length).toBe(record.columns.length * new Set(record.verdicts.map(pairOf)).size);
    // Equal budgets are equal here, too, as far as whole ranks allow.
    const trainable = new Map(record.arms.map((arm) => [arm.label, arm.trainable]));
    if (table === 'table-7')
      for (const { first, second } of record.verdicts)
        expect(trainable.get(second)! / trainable.get(first)!).toBeGreaterThan(0.6);
  },
);

const pairOf = ({ first, second }: { first: string; second: string }) => `${first} | ${second}`;
