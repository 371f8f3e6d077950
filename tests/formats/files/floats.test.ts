import { expect, it } from 'vitest';
import { asFloat32, asStored } from '../../../src-main/formats/files/floats.ts';

const bits = (bytes: Uint8Array) => [
  ...new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2),
];

it('rounds to the nearest value of the stored type, ties to even', () => {
  // 1 + 2^-8 and 1 + 3 * 2^-8 lie between two neighbours of bf16; 1 + 2^-11 and 1 + 3 * 2^-11 between two of f16.
  const ties = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -0, Infinity);
  expect(bits(asStored(ties, 'BF16'))).toEqual([0x3f80, 0x3f82, 0x3f81, 0x8000, 0x7f80]);
  const half = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65520, 2 ** -24, -0);
  expect(bits(asStored(half, 'F16'))).toEqual([0x3c00, 0x3c02, 0x7c00, 0x0001, 0x8000]);
});

it.each(['F32', 'BF16', 'F16'])('%s: what is stored comes back as it was', (dtype) => {
  const values = Float32Array.of(0, -1.5, 0.15625, 24, -(2 ** -14), NaN, -Infinity);
  expect(asFloat32(asStored(values, dtype), dtype)).toEqual(values);
});

it('refuses types that are no floats, by name', () => {
  expect(() => asFloat32(new Uint8Array(4), 'I8')).toThrow('stored as I8');
});
