import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../../src-main/statistics/random.ts';
import { dynamicMap, midpoints } from '../../../../src-main/engine/graph/dynamicMap.ts';
import { compiledCall } from '../../../../src-main/engine/graph/fused.ts';
import { Graph, type Tensor } from '../../../../src-main/engine/graph/graph.ts';
import { openSession } from '../../../../src-main/engine/graph/session.ts';
import { createVariable, readVariable } from '../../../../src-main/engine/graph/variables.ts';
import { bytesAsWords } from '../../../../src-main/engine/graph/words.ts';
import { loadTensorflow } from '../../../../src-main/engine/runtime/loadTensorflow.ts';
import {
  assignQuantized,
  createQuantized,
  dequantize,
  fromBlocks,
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
async function roundTrip(values: Float32Array, signed: boolean, compiles: boolean) {
  const graph = new Graph({ fusion: compiles });
  const input = graph.placeholder('input', [values.length], 'f32');
  const map = dynamicMap(signed);
  const quantized = createQuantized(createVariable(graph, 'owner', [values.length], 'f32'), 'q');
  const body = ([given]: readonly Tensor[]) => {
    const { codes, scales } = quantize(toBlocks(given!), map);
    return [codes, scales];
  };
  const [codes, scales] = compiledCall('quantize', [input], body) ?? body([input]);
  const assigned = assignQuantized(quantized, { codes: codes!, scales: scales! });
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

  it.each([
    ['', false],
    [', compiled', true],
  ])('gives the scales and numbers of a search in PyTorch%s', async (_name, compiles) => {
    const actual = await roundTrip(Float32Array.from(expected.values), signed, compiles);
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

  it('gives the same codes compiled as by search: each middle, its neighbours in f32, powers of ten, and between', async () => {
    const map = dynamicMap(signed);
    const edges = [...midpoints(map), ...map, ...Array.from({ length: 9 }, (_, i) => 10 ** -i)].flatMap(
      (value) => floatsAround(Math.fround(value)),
    );
    const random = createRandom(7);
    const between = Array.from({ length: 2e4 }, () => 10 ** (-8 * random.next()));
    const shares = [...edges, ...between, 0, -0, 1e-30].flatMap((x) => (signed ? [x, -x] : [Math.abs(x)]));
    const inside = shares.filter((share) => Math.abs(share) <= 1);
    // A 1 in each block is its scale: what is divided stays as it is.
    const blocks = Array.from({ length: Math.ceil(inside.length / 255) }, (_, i) => [
      1,
      ...inside.slice(i * 255, (i + 1) * 255),
    ]);
    const values = Float32Array.from(blocks.flat());
    const [searched, compiled] = [
      await roundTrip(values, signed, false),
      await roundTrip(values, signed, true),
    ];
    const differing = [...values].filter((_, i) => searched.codes[i] !== compiled.codes[i]);
    expect(differing).toEqual([]);
    expect(compiled.scales).toEqual(searched.scales);
    expect(new Set(searched.codes).size).toBe(256);
  });
});

/** A number with those before and behind it in f32. */
function floatsAround(value: number): number[] {
  if (value === 0) return [0];
  const bits = new Int32Array(Float32Array.of(value).buffer)[0]!;
  return [...new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer)];
}

it('every number becomes the nearest entry, in blocks of 256 of which the last may be short; zeros stay zeros', async () => {
  const random = createRandom(4);
  const values = Float32Array.from({ length: 700 }, (_, i) =>
    i < 256 ? (2 * random.next() - 1) ** 5 : i < 512 ? 0 : random.next() * 1e-9,
  );
  const actual = await roundTrip(values, true, false);
  expect(actual.scales).toHaveLength(3);
  const map = dynamicMap(true);
  values.forEach((value, i) => {
    const scale = actual.scales[Math.floor(i / 256)]!;
    const nearest = scale === 0 ? 0 : Math.min(...map.map((entry) => Math.abs(entry * scale - value)));
    expect(Math.abs(actual.values[i]! - value)).toBeLessThanOrEqual(nearest + 1e-6 * scale);
  });
  expect(actual.values.slice(256, 512).every((value) => value === 0)).toBe(true);
});
