import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeSafetensors, type SafetensorsDType } from '../../../src-main/formats/files/safetensors.ts';
import { tensorHistogram } from '../../../src-main/formats/model/tensorHistogram.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

function histogram(values: ArrayBufferView, dtype: SafetensorsDType = 'F32') {
  const folder = temporaryFolder();
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const size = values.byteLength / (dtype === 'F32' ? 4 : 2);
  writeSafetensors(join(folder, 'model.safetensors'), [{ name: 'w', dtype, shape: [size], data }]);
  const weights = new WeightFolder(folder);
  try {
    return tensorHistogram(weights, 'w');
  } finally {
    weights.close();
  }
}

it('gives moments and bins of a known spread, over more than one part of the file', () => {
  // 0, 1, ..., 99 over and over: mean 49.5, variance (100^2 - 1) / 12.
  const values = Float32Array.from({ length: 5_000_000 }, (_, i) => i % 100);
  const { values: counted, range, bins } = histogram(values);
  expect(counted).toEqual({ count: 5_000_000, zeros: 50_000, notFinite: 0 });
  expect(range).toMatchObject({ min: 0, max: 99, mean: 49.5 });
  expect(range!.deviation).toBeCloseTo(Math.sqrt(9999 / 12), 6);
  expect(bins).toMatchObject({ low: 0, high: 99, below: 0, above: 0 });
  expect(bins.counts.reduce((a, b) => a + b)).toBe(5_000_000);
  expect(bins.counts.filter((bin) => bin === 50_000 || bin === 100_000)).toHaveLength(81);
});

it('counts what is far away, and what is not finite, apart', () => {
  const values = new Float32Array(10_000).map((_, i) => (i % 2 === 0 ? 1 : -1));
  values.set([1e6, -1e6, NaN, Infinity, -Infinity]);
  const { values: counted, range, bins } = histogram(values);
  expect(counted).toEqual({ count: 9997, zeros: 0, notFinite: 3 });
  expect(range).toMatchObject({ min: -1e6, max: 1e6 });
  expect([bins.below, bins.above]).toEqual([1, 1]);
});

it('reads 16-bit types, and constant and empty tensors', () => {
  expect(histogram(new Uint16Array([0x3f80, 0xc000]), 'BF16').range).toMatchObject({ min: -2, max: 1 });
  expect(histogram(new Uint16Array([0x3c00, 0xc000]), 'F16').range).toMatchObject({ min: -2, max: 1 });
  const constant = histogram(new Float32Array(5).fill(3));
  expect(constant.range).toMatchObject({ min: 3, max: 3, deviation: 0 });
  expect(constant.bins.counts[0]).toBe(5);
  expect(histogram(new Float32Array([NaN])).range).toBeNull();
});

it('names a tensor that is not there', () => {
  const folder = temporaryFolder();
  writeSafetensors(join(folder, 'model.safetensors'), []);
  const weights = new WeightFolder(folder);
  expect(() => tensorHistogram(weights, 'x')).toThrow('has no tensor x');
  weights.close();
});
