import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dequantized } from '../../../src-main/formats/gguf/blocks.ts';
import { bytesOf, tensorTypes, type TensorTypeName } from '../../../src-main/formats/gguf/ggufTypes.ts';
import { quantized } from '../../../src-main/formats/gguf/quantize.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { projectFolder } from '../../support/paths.ts';

const open = (name: string) =>
  new SafetensorsFile(join(projectFolder, 'tests', 'parity', 'recorded', name), 'internal');
/** By the Python package gguf (tests/parity/generator/gguf_blocks.py). */
const recorded = open('ggufBlocks.safetensors');
/** By llama.cpp's own code (tests/parity/generator/llama_quantize.py). */
const llamaCpp = open('llamaCppBlocks.safetensors');
afterAll(() => {
  recorded.close();
  llamaCpp.close();
});

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

  it.each(['Q8_0', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'] as const)(
    '%s is written as llama.cpp writes it, bit for bit',
    (type) => {
      const stored = quantized(new Float32Array(llamaCpp.read('numbers').buffer), type);
      const expected = llamaCpp.read(type);
      expect(stored.byteLength).toBe(expected.byteLength);
      const { blockBytes } = tensorTypes[type];
      const wrong = [...stored.keys()].filter((i) => stored[i] !== expected[i]);
      expect([...new Set(wrong.map((i) => Math.floor(i / blockBytes)))]).toEqual([]);
    },
  );
});
