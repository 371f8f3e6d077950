import { expect, it } from 'vitest';
import { productsFor } from '../../../src-main/engine/runtime/products.ts';

it('multiplies bf16 matrices in f32 only on processors without a matrix unit for bf16', () => {
  expect(productsFor(['cpu'], 'flags\t: fpu avx512f avx512_bf16')).toBe('widened');
  expect(productsFor(['cpu'], 'flags\t: fpu amx_bf16 amx_tile')).toBe('native');
  expect(productsFor(['gpu'], 'flags\t: fpu')).toBe('native');
});
