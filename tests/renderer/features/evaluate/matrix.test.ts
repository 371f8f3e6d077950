import { expect, it } from 'vitest';
import {
  byScore,
  matching,
  scoreMatrix,
} from '../../../../src-renderer/features/evaluate/benchmarks/matrix.ts';
import { sampleEvaluation } from '../../../support/sampleEvaluation.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

const runs = ['lora', 'idlora', 'fresh'].map((id) => sampleRun({ id, name: `my ${id}`, state: 'done' }));
const runOf = (id: string) => runs.find((run) => run.id === id);
const scored = (runId: string | null, score: number, rest = {}) =>
  sampleEvaluation({ runId, subject: runId ?? 'base', score, ...rest });

it('has a column for each way to score, and a row for each subject, scored or not', () => {
  const { columns, rows } = scoreMatrix(
    [
      scored('lora', 0.6),
      scored('lora', 0.1, { createdAt: '2020' }),
      scored('idlora', 0.7),
      scored(null, 0.2),
      scored('idlora', 0.9, { shots: 5 }),
      scored('gone', 0.3),
    ],
    runs,
    runOf,
  );
  expect(columns.map(({ shots, n }) => [shots, n])).toEqual([
    [0, 10],
    [5, 10],
  ]);
  expect(rows.map(({ name, scores }) => [name, [...scores.values()].map(({ score }) => score)])).toEqual([
    ['my lora', [0.6]],
    ['my idlora', [0.7, 0.9]],
    ['my fresh', []],
    ['tiny (base)', [0.2]],
  ]);
  // The best first, those without a score last.
  expect(byScore(rows, columns[0]!).map(({ name }) => name)).toEqual([
    'my idlora',
    'my lora',
    'tiny (base)',
    'my fresh',
  ]);
  expect(matching(rows, 'IDLORA').map(({ name }) => name)).toEqual(['my idlora']);
});

it('of perplexity the lowest is the best', () => {
  const loss = { benchmark: 'perplexity', metric: 'perplexity' } as const;
  const { columns, rows } = scoreMatrix([scored('lora', 9, loss), scored('idlora', 7, loss)], runs, runOf);
  expect(byScore(rows, columns[0]!)[0]!.name).toBe('my idlora');
});
