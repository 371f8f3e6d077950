import { expect } from 'vitest';
import type { SafetensorsFile } from '../../src-main/formats/safetensors.ts';

export function floats(file: SafetensorsFile, name: string): Float32Array {
  return new Float32Array(file.read(name).buffer);
}

/** |a - b| / |b| in the L2 norm. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  let [difference, norm] = [0, 0];
  expected.forEach((value, i) => {
    difference += (actual[i]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(actual[i]! - value)), 0);
}
