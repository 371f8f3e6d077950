import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fromNf4, storedNf4 } from '../../../src-main/engine/model/nf4.ts';
import { asFloat32, asStored } from '../../../src-main/formats/files/floats.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { packedWeights } from '../../../src-main/formats/model/bitsandbytes.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = join(recorded, 'packed');

/** The tensors of a file, some of them changed: null takes one away. */
function tensorsOf(path: string, changes: Record<string, Uint8Array | null> = {}) {
  const file = new SafetensorsFile(path, 'model_invalid');
  const bytes = new Map([...file.tensors.keys()].map((name) => [name, file.read(name)] as const));
  file.close();
  for (const [name, value] of Object.entries(changes))
    if (value) bytes.set(name, value);
    else bytes.delete(name);
  return {
    names: [...bytes.keys()],
    info: (name: string) => {
      const info = file.tensors.get(name);
      const length = bytes.get(name)?.byteLength;
      if (!info || length === undefined) return null;
      return length === info.byteLength ? info : { ...info, shape: [length], byteLength: length };
    },
    readRange: (name: string, begin: number, end: number) => bytes.get(name)!.slice(begin, end),
  };
}

describe("weights in 4 bits equal bitsandbytes' own dequantization", () => {
  const weights = packedWeights(tensorsOf(join(folder, 'kinds.safetensors')));
  const expected = new SafetensorsFile(join(folder, 'dequantized.safetensors'), 'model_invalid');

  it.each([...expected.tensors.keys()])('%s', (name) => {
    const { info, type, readRange } = weights.get(name)!;
    const { shape, dtype } = expected.tensors.get(name)!;
    expect([info.shape, info.dtype, type]).toEqual([shape, dtype, name.slice(0, 3).toUpperCase()]);
    const bytes = expected.read(name);
    expect(Buffer.compare(readRange(0, info.byteLength), bytes)).toBe(0);
    // Any part of it, also from the middle of an element, a byte and a block on.
    for (const [begin, end] of [
      [0, 1],
      [3, 700],
      [info.byteLength - 5, info.byteLength],
      [130, 130],
    ] as const)
      expect(Buffer.compare(readRange(begin, end), bytes.subarray(begin, end))).toBe(0);
  });
});

describe('a weight in 8 bits', () => {
  const path = join(folder, 'rows.safetensors');

  it("equals bitsandbytes' own dequantization to the last digit of f32, whole and in parts", () => {
    const { info, type, parts, readRange, readNf4 } = packedWeights(tensorsOf(path)).get('rows.weight')!;
    expect({ type, parts, shape: info.shape, dtype: info.dtype, nf4: readNf4() }).toEqual({
      type: 'INT8',
      parts: ['rows.SCB', 'rows.weight_format'],
      shape: [5, 48],
      dtype: 'F32',
      nf4: null,
    });
    const file = new SafetensorsFile(join(folder, 'dequantizedRows.safetensors'), 'model_invalid');
    const known = asFloat32(file.read('rows.weight'), file.tensors.get('rows.weight')!.dtype);
    const bytes = readRange(0, info.byteLength);
    const values = asFloat32(bytes, 'F32');
    expect(values).toHaveLength(known.length);
    expect(values.some((value) => value !== 0)).toBe(true);
    values.forEach((value, i) =>
      expect(Math.abs(value - known[i]!)).toBeLessThanOrEqual(2 ** -22 * Math.abs(known[i]!)),
    );
    for (const [begin, end] of [
      [0, 1],
      [3, 197],
      [190, 410],
      [info.byteLength - 5, info.byteLength],
      [130, 130],
    ] as const)
      expect(Buffer.compare(readRange(begin, end), bytes.subarray(begin, end))).toBe(0);
  });

  it.each([
    [
      'sizes of other rows',
      { 'rows.SCB': new Uint8Array(16) },
      /rows\.SCB is F32\[16\], and F32\[5\] is needed/,
    ],
    ['numbers that are gone', { 'rows.weight': null }, /stored in 8 bits by bitsandbytes.*it is missing/],
    ['another shape', { 'rows.weight': new Uint8Array(7) }, /it is I8\[7\]/],
    ['the order of a card', { 'rows.weight_format': Uint8Array.of(2) }, /in the order 2 of a kind of card/],
  ])('is refused with %s', (_, changes, message) => {
    expect(() => packedWeights(tensorsOf(path, changes))).toThrow(message);
  });

  it('of an older version has no word on the order', () => {
    const { parts } = packedWeights(tensorsOf(path, { 'rows.weight_format': null })).get('rows.weight')!;
    expect(parts).toEqual(['rows.SCB']);
  });
});

it('weights in NF4 can be kept as they are stored, to the same numbers', () => {
  const weights = packedWeights(tensorsOf(join(folder, 'kinds.safetensors')));
  const expected = new SafetensorsFile(join(folder, 'dequantized.safetensors'), 'model_invalid');
  const kept = [...weights].flatMap(([name, weight]) => {
    const stored = weight.readNf4();
    return stored ? [{ name, stored }] : [];
  });
  expect(kept.map(({ name }) => name).sort()).toEqual(
    ['nested', 'plain'].flatMap((kind) =>
      ['bfloat16', 'float16', 'float32'].map((dtype) => `nf4-${kind}-${dtype}.weight`),
    ),
  );
  for (const { name, stored } of kept) {
    const { dtype, shape } = expected.tensors.get(name)!;
    const values = fromNf4(storedNf4(stored)!, shape[0]! * shape[1]!);
    const [actual, known] = [
      dtype === 'F32' ? values : asFloat32(asStored(values, dtype as 'BF16' | 'F16'), dtype),
      asFloat32(expected.read(name), dtype),
    ];
    // Small scales are differences of an offset and an entry, of which some are another number in the last digit.
    const most = known.reduce((greatest, value) => Math.max(greatest, Math.abs(value)), 0);
    const others = actual.filter((value, i) => value !== known[i]);
    expect(others.length / actual.length).toBeLessThan(dtype === 'F32' ? 0.5 : 0.01);
    actual.forEach((value, i) => expect(Math.abs(value - known[i]!)).toBeLessThanOrEqual(1e-7 * most));
    if (name.startsWith('nf4-plain')) {
      expect([weights.get(name)!.nf4Scales, stored.scaleCodes]).toEqual(['plain', null]);
      expect(others).toHaveLength(0);
    } else expect(weights.get(name)!.nf4Scales).toBe('quantized');
    const entries = stored.entries.map((entry) => entry / 2);
    expect(storedNf4({ ...stored, entries })).toBeNull();
  }
});

describe('a description that does not fit', () => {
  const name = 'nf4-nested-bfloat16.weight';
  const stateName = `${name}.quant_state.bitsandbytes__nf4`;
  const path = join(folder, 'kinds.safetensors');
  const stateOf = (changes: object) => {
    const { readRange, info } = tensorsOf(path);
    const text = Buffer.from(readRange(stateName, 0, info(stateName)!.byteLength)).toString();
    return Buffer.from(JSON.stringify({ ...JSON.parse(text), ...changes }));
  };
  it.each([
    ['no JSON', { [stateName]: Buffer.from('{'.repeat(9)) }, /cannot be read: SyntaxError/],
    ['another type', { [stateName]: stateOf({ quant_type: 'af4' }) }, /quant_type/],
    ['another shape', { [stateName]: stateOf({ shape: [129, 130] }) }, /U8\[8385\] is needed/],
    ['a shape beyond all numbers', { [stateName]: stateOf({ shape: [2 ** 40, 2 ** 40] }) }, /its shape is/],
    ['no shape', { [stateName]: stateOf({ shape: [0] }) }, /shape/],
    [
      'blocks of another size',
      { [stateName]: stateOf({ blocksize: 128 }) },
      /absmax is U8\[258\], and U8\[129\]/,
    ],
    ['no scales', { [`${name}.absmax`]: null }, /absmax is missing/],
    ['a short map', { [`${name}.quant_map`]: new Uint8Array(32) }, /F32\[16\] is needed/],
    ['no scales of scales', { [`${name}.nested_absmax`]: null }, /nested_absmax is missing/],
    [
      'another kind than its name says',
      { [stateName]: stateOf({ quant_type: 'fp4' }) },
      /describes it as fp4/,
    ],
    ['a description of megabytes', { [stateName]: new Uint8Array(2 ** 20) }, /no description/],
  ])('%s', (_, changes, message) => {
    expect(() => packedWeights(tensorsOf(path, changes))).toThrow(message);
  });
});

it('are found in time that grows with their number', () => {
  const state = Buffer.from(
    JSON.stringify({ quant_type: 'nf4', blocksize: 64, dtype: 'float32', shape: [2] }),
  );
  const bytes: Record<string, number> = { '.absmax': 4, '.quant_map': 64, '': 1 };
  const infoOf = (name: string, dtype: 'U8' | 'F32', byteLength: number) => ({
    name,
    dtype,
    shape: [dtype === 'F32' ? byteLength / 4 : byteLength],
    byteOffset: 0,
    byteLength,
  });
  const infos = new Map(
    Array.from({ length: 20_000 }, (_, i) => `w${i}.weight`)
      .flatMap((name) => [
        ...Object.entries(bytes).map(([suffix, length]) =>
          infoOf(name + suffix, suffix ? 'F32' : 'U8', length),
        ),
        infoOf(`${name}.quant_state.bitsandbytes__nf4`, 'U8', state.length),
      ])
      .map((info) => [info.name, info]),
  );
  const begun = performance.now();
  const found = packedWeights({
    names: [...infos.keys()],
    info: (name) => infos.get(name) ?? null,
    readRange: () => state,
  });
  expect(found.size).toBe(20_000);
  expect(performance.now() - begun).toBeLessThan(5000);
});

it('a folder names the weights alone, though its parts lie in other shards, and tells how they are kept', () => {
  const model = join(folder, 'model');
  const copy = temporaryFolder();
  cpSync(model, copy, { recursive: true });
  const whole = new WeightFolder(model);
  const file = new SafetensorsFile(join(model, 'model.safetensors'), 'model_invalid');
  const shards = [/\.(quant_map|nested_\w+|absmax)$/, /weight$|bitsandbytes/];
  const weight_map: Record<string, string> = {};
  shards.forEach((of, i) => {
    const tensors = [...file.tensors.values()].filter(({ name }) => of.test(name));
    for (const { name } of tensors) weight_map[name] = `model-${i}.safetensors`;
    writeSafetensors(
      join(copy, `model-${i}.safetensors`),
      tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape, data: () => file.read(name) })),
    );
  });
  writeFileSync(join(copy, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  writeFileSync(join(copy, 'model.safetensors'), '');
  const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8')) as object;
  writeFileSync(
    join(copy, 'config.json'),
    JSON.stringify({ ...config, transformers_weights: 'model.safetensors.index.json' }),
  );
  const cut = new WeightFolder(copy);
  expect(cut.quantization).toBe('NF4');
  expect(cut.names.toSorted()).toEqual(whole.names.toSorted());
  expect(cut.names.filter((name) => !name.endsWith('.weight'))).toEqual([]);
  for (const name of cut.names) expect(Buffer.compare(cut.read(name), whole.read(name))).toBe(0);
  for (const each of [cut, whole, file]) each.close();
});
