import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fromNf4, nf4Entries, nf4ScaleMap, toNf4 } from '../../src-main/engine/model/nf4.ts';
import { optimizerStep } from '../../src-main/engine/training/optimizerStep.ts';
import { asFloat32 } from '../../src-main/formats/files/floats.ts';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { openParityCase, type ParityCase } from '../support/parity/parityCase.ts';
import { recorded } from '../support/paths.ts';

/* What tests/parity/generator/nf4.py recorded with bitsandbytes and PEFT. */
const folder = join(recorded, 'nf4');
const file = new SafetensorsFile(join(folder, 'numbers.safetensors'), 'internal');
const numbers = (name: string) => asFloat32(file.read(name), file.tensors.get(name)!.dtype);
const tensors = [...file.tensors.keys()].flatMap((name) => /(.*)\.values$/.exec(name)?.[1] ?? []);

/** Codes as bitsandbytes packs them: neighbours in a byte. */
function neighbours(codes: Uint8Array, count: number): number[] {
  const at = (i: number) => {
    const byte = codes[Math.floor(i / 64) * 32 + (i % 32)]!;
    return i % 64 < 32 ? byte >> 4 : byte & 15;
  };
  return Array.from({ length: count / 2 }, (_, i) => (at(2 * i) << 4) | at(2 * i + 1));
}

/** Greatest distance of two lists of numbers, relative to the greatest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  const most = Array.from(b).reduce((size, value) => Math.max(size, Math.abs(value)), 0);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0) / (most || 1);
}

describe('NF4 as bitsandbytes has it', () => {
  it('has its tables', () => {
    expect(nf4Entries.map(Math.fround)).toEqual([...numbers('entries')]);
    expect(distance(nf4ScaleMap, numbers('map'))).toBeLessThan(1e-7);
  });

  it.each(tensors)('%s: every code, scale and offset', (name) => {
    const { dtype, shape } = file.tensors.get(`${name}.values`)!;
    const count = shape[0]! * shape[1]!;
    const { codes, scaleCodes, scales } = toNf4(file.read(`${name}.values`), dtype);
    expect(neighbours(codes, count)).toEqual([...file.read(`${name}.packed`)]);
    const blocks = Math.ceil(count / 64);
    expect([...scaleCodes.subarray(0, blocks)]).toEqual([...file.read(`${name}.nearest`)]);
    // Its own kernel on processors is one entry beside the nearest at times.
    const own = file.read(`${name}.scale_codes`);
    const beside = own.filter((code, i) => code !== scaleCodes[i]);
    expect(beside.length / blocks).toBeLessThan(0.03);
    expect(distance(own, scaleCodes.subarray(0, blocks))).toBeLessThanOrEqual(1 / 100);
    expect(distance(scales.subarray(0, -1), numbers(`${name}.scales`))).toBeLessThan(1e-6);
    expect(scales.at(-1)! / numbers(`${name}.offset`)[0]!).toBeCloseTo(1, 6);
  });

  it.each(tensors.filter((name) => file.tensors.has(`${name}.dequantized`)))(
    '%s: what its dequantization gives, but where that scale is another entry',
    (name) => {
      const { dtype } = file.tensors.get(`${name}.values`)!;
      const expected = numbers(`${name}.dequantized`);
      const actual = fromNf4(toNf4(file.read(`${name}.values`), dtype), expected.length);
      const [own, nearest] = [file.read(`${name}.scale_codes`), file.read(`${name}.nearest`)];
      const rounding = dtype === 'F32' ? 1e-6 : dtype === 'F16' ? 2 ** -11 : 2 ** -8;
      // Scales below the offset are differences of such numbers.
      const least = 2 ** -21 * numbers(`${name}.offset`)[0]!;
      let compared = 0;
      actual.forEach((value, i) => {
        const block = Math.floor(i / 64);
        if (own[block] !== nearest[block]) return;
        compared++;
        expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(rounding * Math.abs(expected[i]!) + least);
      });
      expect(compared).toBeGreaterThan(0.95 * expected.length);
    },
  );

  it.each([Number.NaN, Infinity])('hides no %s', (damage) => {
    const values = new Float32Array(128).fill(0.5);
    values[70] = damage;
    const { codes, scaleCodes, scales } = toNf4(new Uint8Array(values.buffer), 'F32');
    expect([...fromNf4({ codes, scaleCodes, scales }, 128)].every(Number.isNaN)).toBe(true);
  });
});

describe.each(['lora', 'dora', 'idlora', 'hydralora', 'moelora'])('%s on a base in 4 bits', (label) => {
  const summary = JSON.parse(readFileSync(join(folder, label, 'summary.json'), 'utf8')) as ParityCase;
  const known = {
    ...summary,
    name: join('nf4', label),
    model: join('..', 'parity', 'recorded', 'nf4', 'model'),
  };

  it.each([
    { steps: 100, fusion: false },
    { steps: 10, fusion: true },
  ])('$steps steps follow PyTorch in f32, compiled: $fusion', async ({ steps, fusion }) => {
    const { train, losses, norms } = known.curve!;
    const { graph, batch, config, model } = await openParityCase(known, { train, fusion });
    expect(model.trainableCount()).toBe(known.trainable);
    losses.slice(0, steps).forEach((loss, i) => {
      const at = { step: i + 1, update: i + 1, learningRate: config.learningRate };
      const step = optimizerStep(graph, config, [batch], at);
      expectWithin('loss curve', `nf4 ${label}`, Math.abs(step.loss / loss - 1));
      expectWithin('norm curve', `nf4 ${label}`, Math.abs(step.gradNorm / norms[i]! - 1));
    });
    graph.session.close();
  });
});
