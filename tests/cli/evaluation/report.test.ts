import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../../src-main/report/report.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { studio } from '../../support/commandLine.ts';
import { insertScoredRuns } from '../../support/evaluation/scoredRuns.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const home = temporaryFolder();
const database = openWritable(join(home, 'studio.db'));
const { evaluations } = insertScoredRuns(database);
database.writable.close();
const report = (...args: string[]) => studio(['report', '--home', home, ...args]);
const [first, second] = ['lora-seed-0', 'idlora-seed-0'];

describe('report', () => {
  it('prints Markdown, or the report as one document', async () => {
    const text = await report(first, second);
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/^# Scores of default\n/);
    const json = JSON.parse((await report(first, second, '--json')).stdout) as Report;
    const cell = json.groups[0]!.subjects.find(({ name }) => name === second)!.cells[0]!;
    const { score, interval } = evaluations.find(({ id }) => id === `gsm8k-${second}`)!;
    expect([cell.value, ...cell.interval]).toEqual(
      [score, ...interval].map((value) => expect.closeTo(value, 12) as number),
    );
    expect(text.stdout).toContain(`${(100 * score).toFixed(1)} (`);
  });

  it('writes the form that the name of the file ends in, and overwrites nothing unasked', async () => {
    const csv = join(home, 'out', 'scores.csv');
    expect((await report(first, second, '--out', csv)).stdout).toBe(`Wrote ${csv}\n`);
    const rows = parse(readFileSync(csv, 'utf8'), { columns: true }) as Record<string, string>[];
    expect(rows.filter(({ table }) => table === 'score')).toHaveLength(12);
    writeFileSync(csv, 'mine');
    const again = await report(first, second, '--out', csv);
    expect([again.code, again.stderr]).toEqual([
      1,
      `Error: ${csv} exists.\nGive another name, or --overwrite.\n`,
    ]);
    expect(readFileSync(csv, 'utf8')).toBe('mine');
    expect((await report(first, '--out', csv, '--overwrite')).code).toBe(0);
    expect(readFileSync(csv, 'utf8')).not.toBe('mine');
    const html = join(home, 'scores.html');
    await report(first, '--out', html);
    expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>/);
  });

  it('says what it cannot do and what to do', async () => {
    const png = await report(first, '--out', join(home, 'scores.png'));
    expect(png.code).toBe(2);
    expect(png.stderr).toMatch(/nothing that draws bitmaps\.\nGive a name that ends in \.svg/);
    expect(existsSync(join(home, 'scores.png'))).toBe(false);
    const unknown = await report('nobody');
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('nobody') as string]);
    expect((await report()).code).toBe(2);
  });
});
