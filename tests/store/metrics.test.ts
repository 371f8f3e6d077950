import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { migrations, openWritable, type WritableDatabase } from '../../src-main/store/database.ts';
import { readSourceLosses, readSparkline, writeMetrics } from '../../src-main/store/metrics.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { findRun, insertRun } from '../../src-main/store/runs.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

function open(): WritableDatabase {
  const database = openWritable(join(temporaryFolder(), 'studio.db'));
  ensureProject(database, 'default');
  return database;
}

function record(
  database: WritableDatabase,
  name: string,
  losses: readonly [step: number, loss: number][],
  recentLoss = 1.5 as number | null,
): string {
  const run = sampleRun({ name, recentLoss });
  insertRun(database, run);
  const steps = losses.map(([step, loss]) => ({
    step,
    loss,
    lr: 1,
    gradNorm: 1,
    tokensPerSecond: 1,
    memoryBytes: null,
  }));
  writeMetrics(database, run.id, { steps, evals: [], logs: [] });
  return run.id;
}

it('gives every step of a short run, and nothing of one without steps', () => {
  const database = open();
  const short = record(database, 'short', [
    [1, 3],
    [2, 2],
    [3, 2.5],
  ]);
  expect(readSparkline(database, short, 32)).toEqual([3, 2, 2.5]);
  expect(readSparkline(database, record(database, 'empty', []), 32)).toEqual([]);
  database.writable.close();
});

it('gives means of a long run in order, over gaps, each place found by the index', () => {
  const database = open();
  const length = 100_000;
  const all = Array.from({ length }, (_, i): [number, number] => [i + 1, 10 - i / length + (i % 2)]);
  const long = record(
    database,
    'long',
    all.filter(([step]) => step < 20_000 || step > 60_000),
  );
  const statements = vi.spyOn(database.readable, 'prepare');
  const values = readSparkline(database, long, 50);
  const asked = statements.mock.calls.map(([statement]) => statement);
  statements.mockRestore();
  for (const statement of asked) {
    const plan = database.readable
      .prepare<string[], { detail: string }>(`EXPLAIN QUERY PLAN ${statement}`)
      .all(...statement.match(/\?/g)!);
    const looks = plan.map(({ detail }) => detail).filter((detail) => detail.includes('step_metrics'));
    for (const look of looks) expect(look).toMatch(/^SEARCH step_metrics USING .*\(run_id=\?/);
    expect(plan.some(({ detail }) => detail.includes('TEMP B-TREE'))).toBe(false);
  }
  // 20,000 of 100,000 steps are 10 of 50 places, and the gap leaves 20 places out.
  expect(values).toHaveLength(30);
  values.forEach((value, i) => expect(value).toBeCloseTo(10.5 - (i < 10 ? i : i + 20) / 50, 2));
  database.writable.close();
});

it('gives runs from before it was kept the mean loss of their last steps, from their metrics', () => {
  const path = join(temporaryFolder(), 'studio.db');
  const old = openWritable(path, migrations.slice(0, 11));
  ensureProject(old, 'default');
  // The last batch is an outlier, as single batches are.
  const losses = Array.from({ length: 50 }, (_, i): [number, number] => [i + 1, i === 49 ? 9 : 2 + (i % 2)]);
  record(old, 'old', losses, null);
  record(
    old,
    'short',
    [
      [1, 3],
      [2, 2],
    ],
    null,
  );
  record(old, 'never began', [], null);
  record(old, 'newer', losses, 1.25);
  old.writable.close();
  const database = openWritable(path);
  const recent = ['old', 'short', 'never began', 'newer'].map(
    (name) => findRun(database, 'default', name)!.recentLoss,
  );
  expect(recent).toEqual([(10 * 2 + 9 * 3 + 9) / 20, 2.5, null, 1.25]);
  expect(findRun(database, 'default', 'old')!.name).toBe('old');
  database.writable.close();
});

it('tells the losses of sources in stretches, weighed by labels', () => {
  const database = open();
  const id = record(database, 'mix', []);
  const sources = Array.from({ length: 8 }, (_, i) => ({
    step: i + 1,
    heldOut: false,
    sources: [
      { source: 0, loss: i + 1, tokens: 1 + 2 * (i % 2) },
      // A step may have no row of a source.
      ...(i < 4 ? [] : [{ source: 1, loss: 5, tokens: 10 }]),
    ],
  }));
  const held = { step: 8, heldOut: true, sources: [{ source: 0, loss: 2, tokens: 7 }] };
  writeMetrics(database, id, { steps: [], evals: [], logs: [], sources: [...sources, held] });
  expect(readSourceLosses(database, id, 100)[0]!.points).toHaveLength(8);
  // Steps 1 to 4 and 5 to 8.
  expect(readSourceLosses(database, id, 2)).toEqual([
    {
      source: 0,
      heldOut: false,
      points: [
        { step: 4, loss: (1 + 3 * 2 + 3 + 3 * 4) / 8, tokens: 8 },
        { step: 8, loss: (5 + 3 * 6 + 7 + 3 * 8) / 8, tokens: 8 },
      ],
    },
    { source: 1, heldOut: false, points: [{ step: 8, loss: 5, tokens: 40 }] },
    { source: 0, heldOut: true, points: [{ step: 8, loss: 2, tokens: 7 }] },
  ]);
  database.writable.close();
});
