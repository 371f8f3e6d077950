import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dequantized, quantized } from '../../../src-main/formats/gguf/blocks.ts';
import { bytesOf, tensorTypes, type TensorTypeName } from '../../../src-main/formats/gguf/ggufTypes.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { projectFolder } from '../../support/paths.ts';

/** By the Python package gguf (tests/parity/generator/gguf_blocks.py). */
const recorded = new SafetensorsFile(
  join(projectFolder, 'tests', 'parity', 'recorded', 'ggufBlocks.safetensors'),
  'internal',
);
afterAll(() => recorded.close());

/** As integers: the same numbers have the same bits. */
const bits = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint32Array(buffer, byteOffset, byteLength / 4);
const floats = (name: string) => new Float32Array(recorded.read(name).buffer);

describe('numbers in blocks', () => {
  const types = (Object.keys(tensorTypes) as TensorTypeName[]).filter((type) => type !== 'F32');
  it.each(types)('%s is read as gguf reads it, bit for bit', (type) => {
    const values = dequantized(recorded.read(`${type}.blocks`), type);
    expect(bits(values)).toEqual(bits(floats(`${type}.values`)));
    expect(new Set(values).size).toBeGreaterThan(20);
  });

  it.each(['F16', 'BF16', 'Q8_0'] as const)('%s is written as gguf writes it, bit for bit', (type) => {
    const numbers = floats('numbers');
    const stored = quantized(numbers, type);
    expect(stored.byteLength).toBe(bytesOf(type, numbers.length));
    expect(Buffer.compare(stored, recorded.read(`numbers.${type}`))).toBe(0);
  });
});
