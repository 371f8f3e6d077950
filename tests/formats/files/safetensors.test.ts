import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();

/** A file with the header given and so many bytes of data. */
function fileWith(header: unknown, dataBytes: number, name = 'x.safetensors'): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return path;
}

function open(path: string): SafetensorsFile {
  return new SafetensorsFile(path, 'model_invalid');
}

it('reads what it wrote, tensors in any order, values made when their turn comes', () => {
  const path = join(folder, 'round.safetensors');
  const floats = Float32Array.from([1.5, -2, 3]);
  writeSafetensors(
    path,
    [
      { name: 'b', dtype: 'I32', shape: [2], data: () => new Uint8Array(Int32Array.of(7, -8).buffer) },
      { name: 'a', dtype: 'F32', shape: [3, 1], data: new Uint8Array(floats.buffer) },
      { name: 'c', dtype: 'BF16', shape: [1], data: Uint8Array.of(1, 2) },
    ],
    { note: 'x' },
  );
  const file = open(path);
  expect([...file.tensors.keys()]).toEqual(['a', 'b', 'c']);
  expect(file.metadata).toEqual({ format: 'pt', note: 'x' });
  expect(new Float32Array(file.read('a').buffer)).toEqual(floats);
  expect(new Int32Array(file.read('b').buffer)).toEqual(Int32Array.of(7, -8));
  expect(file.readRange('a', 4, 8)).toEqual(new Uint8Array(floats.buffer, 4, 4));
  expect(() => file.readRange('a', 8, 16)).toThrow();
  file.close();
});

it('reads the file that the Python library wrote', () => {
  const file = open(join(fixtures, 'tiny-llama', 'model.safetensors'));
  expect(file.tensors.get('model.norm.weight')).toMatchObject({ dtype: 'F32', shape: [48] });
  file.close();
});

const good = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

describe('refuses', () => {
  it.each<[string, unknown, number, RegExp]>([
    ['a truncated file', { a: good }, 4, /need 8 bytes of data, the file has 4 \(truncated\)/],
    ['bytes that belong to nothing', { a: good }, 12, /need 8 bytes of data, the file has 12/],
    ['a hole', { a: good, b: { ...good, data_offsets: [12, 20] } }, 20, /begins at byte 12, 8 was expected/],
    [
      'overlapping tensors',
      { a: good, b: { ...good, data_offsets: [4, 12] } },
      12,
      /begins at byte 4, 8 was expected/,
    ],
    [
      'a size that does not match',
      { a: { ...good, shape: [3] } },
      8,
      /F32\[3\] needs 12 bytes, its offsets give 8/,
    ],
    ['an unknown type', { a: { ...good, dtype: 'Q4' } }, 8, /unknown type "Q4"/],
    [
      'a type that is a property of every object',
      { a: { ...good, dtype: 'constructor' } },
      8,
      /unknown type/,
    ],
    ['a negative size', { a: { ...good, shape: [-2] } }, 8, /impossible shape \[-2\]/],
    ['a fraction', { a: { ...good, shape: [0.5] } }, 8, /impossible shape/],
    ['sizes that overflow', { a: { ...good, shape: [2 ** 40, 2 ** 40] } }, 8, /needs .* bytes/],
    ['offsets that run backwards', { a: { ...good, data_offsets: [8, 0] } }, 8, /impossible offsets/],
    ['metadata that are no strings', { __metadata__: { a: 1 }, a: good }, 8, /metadata are not strings/],
    ['a header that is no object', '[1]', 0, /not an object/],
    ['a header that is no JSON', '{"a":', 0, /not JSON/],
  ])('%s', (_name, header, dataBytes, message) => {
    expect(() => open(fileWith(header, dataBytes))).toThrow(message);
  });

  it('a header that claims to be larger than the file', () => {
    const path = join(folder, 'huge.safetensors');
    const length = Buffer.alloc(16);
    length.writeBigUInt64LE(0xffffffffffffn);
    writeFileSync(path, length);
    expect(() => open(path)).toThrow(/claims 281474976710655 bytes, the file has 16/);
    writeFileSync(path, Buffer.alloc(3));
    expect(() => open(path)).toThrow(/3 bytes are too few/);
  });
});

it('20,000 damaged files: an error of ours or a sound file, never anything else', () => {
  const original = readFileSync(
    fileWith({ __metadata__: { k: 'v' }, a: good, b: { ...good, data_offsets: [8, 16] } }, 16),
  );
  const random = createRandom(11);
  const path = join(folder, 'fuzz.safetensors');
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(
      original.subarray(0, random.integer(4) === 0 ? random.integer(original.length) : original.length),
    );
    for (let edits = random.integer(4); edits >= 0 && bytes.length > 0; edits--)
      bytes[random.integer(bytes.length)] = random.integer(256);
    writeFileSync(path, bytes);
    try {
      const file = open(path);
      for (const name of file.tensors.keys()) file.read(name);
      file.close();
    } catch (error) {
      expect(error).toBeInstanceOf(StudioError);
    }
  }
});
