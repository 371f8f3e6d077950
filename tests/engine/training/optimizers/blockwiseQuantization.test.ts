import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../../src-main/statistics/random.ts';
import { Graph } from '../../../../src-main/engine/graph/graph.ts';
import { openSession } from '../../../../src-main/engine/graph/session.ts';
import { createVariable, readVariable } from '../../../../src-main/engine/graph/variables.ts';
import { bytesAsWords } from '../../../../src-main/engine/graph/words.ts';
import { loadTensorflow } from '../../../../src-main/engine/runtime/loadTensorflow.ts';
import {
  assignQuantized,
  createQuantized,
  dequantize,
  dynamicMap,
  fromBlocks,
  midpoints,
  quantize,
  readQuantized,
  toBlocks,
} from '../../../../src-main/engine/training/optimizers/blockwiseQuantization.ts';
import { recorded as folder } from '../../../support/paths.ts';

interface Recorded {
  map: number[];
  values: number[];
  codes: number[];
  scales: number[];
  dequantized: number[];
}
const recorded = JSON.parse(readFileSync(join(folder, 'quantization.json'), 'utf8')) as Record<
  'signed' | 'unsigned',
  Recorded
>;

/** Quantizes values in a session and reads all of it back. */
async function roundTrip(values: Float32Array, signed: boolean) {
  const graph = new Graph({ fusion: false });
  const input = graph.placeholder('input', [values.length], 'f32');
  const map = dynamicMap(signed);
  const quantized = createQuantized(createVariable(graph, 'owner', [values.length], 'f32'), 'q');
  const assigned = assignQuantized(quantized, quantize(toBlocks(input), map));
  const outputs = graph.after(assigned, () => ({
    codes: bytesAsWords(readVariable(quantized.codes)),
    scales: readVariable(quantized.scales),
    values: fromBlocks(dequantize(readQuantized(quantized), map), [values.length]),
  }));
  const session = await openSession(loadTensorflow().tf, graph, { run: { inputs: { input }, outputs } });
  const out = session.run('run', { input: values });
  session.close();
  const words = out.codes;
  return {
    codes: [...new Uint8Array(words.buffer, words.byteOffset, words.byteLength)].slice(0, values.length),
    scales: [...out.scales],
    values: [...out.values],
  };
}

describe.each([
  ['signed', true],
  ['unsigned', false],
] as const)('the %s map', (name, signed) => {
  const expected = recorded[name];

  it('has the entries of bitsandbytes', () => {
    const map = dynamicMap(signed);
    expect(map).toHaveLength(256);
    map.forEach((value, i) => expect(value).toBeCloseTo(expected.map[i]!, 6));
    expect(midpoints(map)).toEqual(midpoints(map).toSorted((a, b) => a - b));
  });

  it('gives the scales and numbers of a search in PyTorch', async () => {
    const actual = await roundTrip(Float32Array.from(expected.values), signed);
    actual.scales.forEach((scale, i) => expect(scale).toBe(Math.fround(expected.scales[i]!)));
    // A number in the middle of two entries may fall to either side.
    const differing = actual.codes.filter((code, i) => code !== expected.codes[i]);
    expect(differing.length).toBeLessThanOrEqual(2);
    actual.values.forEach((value, i) => {
      const scale = expected.scales[Math.floor(i / 256)]!;
      if (actual.codes[i] === expected.codes[i])
        expect(Math.abs(value - expected.dequantized[i]!)).toBeLessThan(1e-6 * scale);
    });
  });
});

it('every number becomes the nearest entry, in blocks of 256 of which the last may be short; zeros stay zeros', async () => {
  const random = createRandom(4);
  const values = Float32Array.from({ length: 700 }, (_, i) =>
    i < 256 ? (2 * random.next() - 1) ** 5 : i < 512 ? 0 : random.next() * 1e-9,
  );
  const actual = await roundTrip(values, true);
  expect(actual.scales).toHaveLength(3);
  const map = dynamicMap(true);
  values.forEach((value, i) => {
    const scale = actual.scales[Math.floor(i / 256)]!;
    const nearest = scale === 0 ? 0 : Math.min(...map.map((entry) => Math.abs(entry * scale - value)));
    expect(Math.abs(actual.values[i]! - value)).toBeLessThanOrEqual(nearest + 1e-6 * scale);
  });
  expect(actual.values.slice(256, 512).every((value) => value === 0)).toBe(true);
});
