import { expect, it } from 'vitest';
import { weightsFit } from '../../../../src-renderer/features/models/fit.ts';

it.each<[number, string]>([
  [1e9, 'fits'],
  [1.5e9, 'fits'],
  [1.6e9, 'bf16'],
  [3e9, 'bf16'],
  [3.9e9, 'tight'],
  [4.1e9, 'too_large'],
])('%d parameters in 8 GB', (parameters, verdict) => {
  expect(weightsFit(parameters, 8e9).verdict).toBe(verdict);
});

it('says what was compared', () => {
  expect(weightsFit(1e9, 8e9).sentence).toMatch(
    /4.00 GB as f32 or 2.00 GB as bf16; this machine has 8.00 GB/,
  );
});
