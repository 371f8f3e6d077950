import { expect, it } from 'vitest';
import { presets } from '../../../src-main/budget/modelShape.ts';
import { planColumns, planShape, restorePlan } from '../../../src-renderer/features/plan/planForm.ts';

it('restores what fits and takes the first values for the rest', () => {
  const restored = restorePlan({
    model: 'qwen3-8b',
    rank: 16,
    targets: ['v_proj', 'nonsense'],
    method: 'gone',
  });
  expect(restored).toMatchObject({
    model: 'qwen3-8b',
    rank: 16,
    targets: ['v_proj'],
    method: 'idlora',
    boost: 2,
  });
  expect(planShape(restored, [])).toBe(presets['qwen3-8b']);
  expect(planShape({ ...restored, model: 'model gone' }, [])).toBeNull();
});

it('counts every method, and says why one is impossible without losing the others', () => {
  const form = restorePlan({ rank: 3, boost: 2 });
  const columns = planColumns(form, presets['llama-3-8b']!);
  const of = (method: string) => columns.find((column) => column.method === method)!;
  expect(of('idlora').count).toBeNull();
  expect(of('idlora').problem?.remedy).toMatch(/2|4/);
  // Rank 3 on all seven modules: 3 * sum of (in + out) over 32 layers.
  expect(of('lora').count?.trainable).toBe((20_971_520 * 3) / 4 / 2);
  for (const rank of [null, 0, 2.5])
    expect(
      planColumns({ ...form, rank }, presets['llama-3-8b']!).filter(({ count, problem }) => count ?? problem),
    ).toEqual([]);
});
