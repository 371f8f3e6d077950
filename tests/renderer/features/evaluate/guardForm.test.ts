import { expect, it } from 'vitest';
import { procedures } from '../../../../src-main/contract/procedures.ts';
import { benchmarkInfos } from '../../../../src-main/evaluation/benchmarks/registry.ts';
import { restoreBenchmark } from '../../../../src-renderer/features/evaluate/benchmarkForm.ts';
import {
  guardsInput,
  missingGuards,
  restoreGuards,
} from '../../../../src-renderer/features/evaluate/guards/guardForm.ts';

const form = (rest: object) => ({ ...restoreGuards({}), ...rest });

it('asks for what was chosen, as the procedure takes it', () => {
  const others = [restoreBenchmark({ benchmark: 'multiple_choice', datasetId: 'quiz' }, 100)];
  const full = form({ runId: 'r', textId: 't', refusalId: 'p', limit: 50, others, checkpoints: true });
  const input = guardsInput(full, benchmarkInfos)!;
  expect(input.guards.map(({ benchmark, data, limit }) => [benchmark, data, limit])).toEqual([
    ['perplexity', { dataset: 't' }, 50],
    ['refusal', { dataset: 'p' }, 50],
    ['multiple_choice', { dataset: 'quiz' }, 100],
  ]);
  expect(procedures['guards.check'].input.parse(input)).toMatchObject({ run: 'r', checkpoints: true });
});

it('says what is missing, and takes what was stored only where it is of the right kind', () => {
  expect(missingGuards(form({}), benchmarkInfos)).toBe('Choose a run.');
  expect(missingGuards(form({ runId: 'r' }), benchmarkInfos)).toMatch(/Choose a general text/);
  const open = form({ runId: 'r', others: [restoreBenchmark({ benchmark: 'multiple_choice' }, 100)] });
  expect(missingGuards(open, benchmarkInfos)).toMatch(/Choose a dataset/);
  expect(guardsInput(open, benchmarkInfos)).toBeNull();
  expect(restoreGuards({ runId: 3, others: 'no', limit: '5' } as never)).toEqual(form({}));
});
