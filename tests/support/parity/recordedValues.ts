import { expect } from 'vitest';
import type { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';

export function floats(file: SafetensorsFile, name: string): Float32Array {
  return new Float32Array(file.read(name).buffer);
}

/** |a - b| / |b| in the L2 norm; |a| where b is zero. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  // Where PyTorch's is exactly zero (a softmax over one cluster), ours must be.
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
}

/** Greatest |a - b|. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    // NaN is no small difference.
    if (!(difference <= most)) most = difference;
  }
  return most;
}
