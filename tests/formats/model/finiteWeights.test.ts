import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FiniteCheck } from '../../../src-main/formats/model/finiteWeights.ts';
import {
  SafetensorsFile,
  writeSafetensors,
  type SafetensorsDType,
} from '../../../src-main/formats/files/safetensors.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** A value as stored: one, the largest, NaN, infinity. */
const stored = {
  F32: { bytes: 4, one: 0x3f800000, largest: 0xff7fffff, nan: 0x7fc00000, infinite: 0xff800000 },
  BF16: { bytes: 2, one: 0x3f80, largest: 0xff7f, nan: 0x7fc0, infinite: 0xff80 },
  F16: { bytes: 2, one: 0x3c00, largest: 0xfbff, nan: 0x7e00, infinite: 0xfc00 },
} as const;

/** Tensors a [5, 3], b [1], c [7], spared [3]; one value of one of them is given. */
function file(
  dtype: 'F32' | 'BF16' | 'F16',
  place: { tensor: string; element: number; bits: number },
): string {
  const { bytes, one } = stored[dtype];
  const tensors = [
    ['a', [5, 3]],
    ['b', [1]],
    ['c', [7]],
    ['spared', [3]],
  ] as const;
  const path = join(temporaryFolder(), 'w.safetensors');
  const written = tensors.map(([name, shape]) => {
    const count = shape.reduce((product: number, size) => product * size, 1);
    const data = Buffer.alloc(count * bytes);
    for (let i = 0; i < count; i++) {
      const value = name === place.tensor && i === place.element ? place.bits : one;
      if (bytes === 4) data.writeUInt32LE(value, i * 4);
      else data.writeUInt16LE(value, i * 2);
    }
    return { name, dtype: dtype as SafetensorsDType, shape, data: new Uint8Array(data) };
  });
  writeSafetensors(path, written);
  return path;
}

/** Reads a file in parts of so many bytes. */
function check(path: string, partBytes: number): void {
  const bytes = readFileSync(path);
  const opened = new SafetensorsFile(path, 'model_invalid');
  opened.close();
  const reading = new FiniteCheck(path, opened.tensors.values(), new Set(['spared']));
  for (let at = 0; at < bytes.length; at += partBytes) reading.read(bytes.subarray(at, at + partBytes), at);
}

describe.each(['F32', 'BF16', 'F16'] as const)('%s', (dtype) => {
  const { nan, infinite, largest } = stored[dtype];
  // Parts that end within values, words and tensors.
  const parts = [1, 3, 4, 7, 10, 64, 4096];

  it('names the tensor and the row of the first value that is no number, however the file is cut', () => {
    for (const bits of [nan, infinite])
      for (const [tensor, elements] of Object.entries({ a: 15, b: 1, c: 7 }))
        for (let element = 0; element < elements; element++) {
          const path = file(dtype, { tensor, element, bits });
          const row = tensor === 'a' ? ` in row ${Math.floor(element / 3)}` : '';
          for (const part of parts)
            expect(() => check(path, part), `${tensor} ${element} ${part}`).toThrow(
              `${tensor} has values that are NaN or infinite, the first${row} (`,
            );
        }
  });

  it('lets the largest numbers pass, and tensors that are spared', () => {
    for (const [tensor, bits] of [
      ['a', largest],
      ['c', largest],
      ['spared', nan],
    ] as const)
      for (let element = 0; element < 3; element++)
        for (const part of parts) check(file(dtype, { tensor, element, bits }), part);
  });
});
