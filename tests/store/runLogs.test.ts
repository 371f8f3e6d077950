import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { migrations, openWritable } from '../../src-main/store/database.ts';
import { appendSteps, emptyColumns, writeMetrics } from '../../src-main/store/metrics.ts';
import { readLogs } from '../../src-main/store/runLogs.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const path = join(temporaryFolder(), 'studio.db');
const run = sampleRun({ name: 'old' });

// A run of a studio that kept neither memory nor times.
const old = openWritable(path, migrations.slice(0, 3));
ensureProject(old, 'default');
insertRun(old, run);
old.writable.prepare('INSERT INTO step_metrics VALUES (?, 1, 2.5, 1e-3, 0.5, 100)').run(run.id);
old.writable.prepare('INSERT INTO run_logs (run_id, line) VALUES (?, ?)').run(run.id, 'an old line');
old.writable.close();

const database = openWritable(path);
afterAll(() => database.writable.close());

it('reads what an older studio recorded: memory and times are unknown', () => {
  const columns = emptyColumns();
  appendSteps(database, run.id, columns);
  expect(columns).toMatchObject({ step: [1], loss: [2.5], memoryBytes: [NaN] });
  expect(readLogs(database, run.id, { limit: 10 }).lines).toEqual([
    { id: 1, time: null, level: 'info', line: 'an old line' },
  ]);
});

it('gives the latest lines, those before and after one, and those with a text or a level', () => {
  const logs = Array.from({ length: 50 }, (_, i) => ({
    time: `2026-11-25T00:00:${String(i).padStart(2, '0')}.000Z`,
    level: i === 20 ? ('error' as const) : i % 10 === 0 ? ('warning' as const) : ('info' as const),
    line: i === 7 ? '100 % of a_b' : `Line ${i}`,
  }));
  const written = writeMetrics(database, run.id, { steps: [], evals: [], samples: [], logs });
  expect(written.map(({ line }) => line)).toEqual(logs.map(({ line }) => line));
  const ask = (query: Partial<Parameters<typeof readLogs>[2]>) => {
    const { lines, total } = readLogs(database, run.id, { limit: 3, ...query });
    return { lines: lines.map(({ line }) => line), total };
  };
  expect(ask({})).toEqual({ lines: ['Line 47', 'Line 48', 'Line 49'], total: 51 });
  expect(ask({ before: written[3]!.id }).lines).toEqual(['Line 0', 'Line 1', 'Line 2']);
  expect(ask({ after: written[47]!.id }).lines).toEqual(['Line 48', 'Line 49']);
  expect(ask({ after: 0 }).lines).toEqual(['an old line', 'Line 0', 'Line 1']);
  expect(ask({ search: 'LINE 4' })).toEqual({ lines: ['Line 47', 'Line 48', 'Line 49'], total: 11 });
  expect(ask({ search: '% of a_' })).toEqual({ lines: ['100 % of a_b'], total: 1 });
  expect(ask({ search: '%' }).total).toBe(1);
  const german = { time: '2026-11-25T00:01:00.000Z', level: 'info' as const, line: 'Überlauf in ΣX' };
  writeMetrics(database, run.id, { steps: [], evals: [], samples: [], logs: [german] });
  for (const search of ['überlauf', 'ÜBERLAUF', 'σx']) expect(ask({ search }).lines).toEqual([german.line]);
  expect(ask({ level: 'warning', limit: 10 }).lines).toEqual([
    'Line 0',
    'Line 10',
    'Line 20',
    'Line 30',
    'Line 40',
  ]);
  expect(ask({ level: 'error' })).toEqual({ lines: ['Line 20'], total: 1 });
});
