import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { GgufFile } from '../../../src-main/formats/gguf/ggufFile.ts';
import { writeGguf } from '../../../src-main/formats/gguf/writeGguf.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = temporaryFolder();
const good = join(folder, 'good.gguf');
const values = Float32Array.of(1, 2, 3, 4, 5, 6);

beforeAll(() =>
  writeGguf(
    good,
    [
      { key: 'general.architecture', type: 'string', value: 'llama' },
      { key: 'a.count', type: 'u32', value: 7 },
      { key: 'a.large', type: 'u64', value: 2 ** 40 },
      { key: 'a.names', type: 'string', values: ['', 'é', '🙂'] },
      { key: 'a.scores', type: 'f32', values: [0.5, -1] },
      { key: 'a.flag', type: 'bool', value: true },
    ],
    [
      { name: 'x', type: 'F32', shape: [2, 3], data: () => [new Uint8Array(values.buffer)] },
      { name: 'y', type: 'Q8_0', shape: [1, 32], data: () => [new Uint8Array(20), new Uint8Array(14)] },
    ],
  ),
);

/** What a file of these bytes is refused with. */
function refusal(bytes: Uint8Array): StudioError {
  const path = join(folder, 'bad.gguf');
  writeFileSync(path, bytes);
  try {
    new GgufFile(path, 'model_invalid').close();
  } catch (error) {
    if (error instanceof StudioError) return error;
    throw error;
  }
  throw new Error('it was read');
}

/** The good file with a change at a byte. */
function changed(at: number, ...bytes: number[]): Uint8Array {
  const copy = readFileSync(good);
  copy.set(bytes, at);
  return copy;
}

/** Where a text stands in the good file. */
const placeOf = (text: string) => readFileSync(good).indexOf(text);

describe('a GGUF file', () => {
  it('is read as it was written', () => {
    const file = new GgufFile(good, 'model_invalid');
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.architecture': 'llama',
      'a.count': 7,
      'a.large': 2 ** 40,
      'a.names': ['', 'é', '🙂'],
      'a.scores': [0.5, -1],
      'a.flag': true,
    });
    expect(file.tensors.get('x')).toMatchObject({ type: 'F32', shape: [2, 3], byteLength: 24 });
    expect(new Float32Array(file.readRange('x', 4, 12).buffer)).toEqual(Float32Array.of(2, 3));
    expect(file.tensors.get('y')!.byteOffset % 32).toBe(0);
    expect(() => file.readRange('x', 0, 25)).toThrow('do not exist');
    file.close();
  });

  const full = [255, 255, 255, 255, 255, 255, 255, 255];
  const large = [0, 0, 0, 0, 0, 1, 0, 0];
  /** Bytes after the name of a tensor: the number of sizes (4), sizes (8 each), type (4), offset (8). */
  it.each([
    ['another beginning', () => changed(0, 0x50), /begins with "PGUF", not with GGUF/],
    ['version 1', () => changed(4, 1), /version 1; the studio reads versions 2 and 3/],
    ['a big-endian file', () => changed(4, 0, 0, 0, 3), /big-endian/],
    [
      'more tensors than a number can count',
      () => changed(8, ...full),
      /number of tensors is 18446744073709551615/,
    ],
    ['more tensors than any model has', () => changed(8, ...large), /claims 1099511627776 tensors/],
    ['more keys than any model has', () => changed(16, ...large), /claims 1099511627776 keys/],
    ['one key more than there are', () => changed(16, 7), /./],
    ['a text that is longer than the file', () => changed(24, 255, 255), /claims 65535 bytes/],
    [
      'a list that is longer than the file',
      () => changed(placeOf('a.scores') + 16, ...large),
      /a\.scores claims/,
    ],
    [
      'an unknown type of value',
      () => changed(placeOf('a.count') + 7, 99),
      /a\.count has the unknown type 99/,
    ],
    ['a list of lists', () => changed(placeOf('a.scores') + 12, 9), /a\.scores is a list of lists/],
    [
      'the same key twice',
      () => changed(placeOf('a.large'), ...Buffer.from('a.count')),
      /the key a\.count twice/,
    ],
    ['the same tensor twice', () => changed(placeOf('y\u0002'), 0x78), /tensor x twice/],
    ['no sizes', () => changed(placeOf('x\u0002') + 1, 0), /tensor x claims 0 sizes/],
    ['five sizes', () => changed(placeOf('x\u0002') + 1, 5), /tensor x claims 5 sizes/],
    ['a size of 0', () => changed(placeOf('x\u0002') + 5, 0), /impossible sizes 0 x 2/],
    [
      'sizes whose product overflows',
      () => changed(placeOf('x\u0002') + 5, ...large, ...large),
      /impossible sizes 1099511627776 x 1099511627776/,
    ],
    [
      'more numbers than the file has',
      () => changed(placeOf('y\u0002') + 13, 200),
      /tensor y ends at byte .*truncated/,
    ],
    [
      'rows that fill no blocks',
      () => changed(placeOf('y\u0002') + 5, 33),
      /rows of 33 numbers, and Q8_0 blocks of 32/,
    ],
    ['a type that is not read', () => changed(placeOf('x\u0002') + 21, 16), /tensor x as IQ2_XXS/],
    ['a type that nobody knows', () => changed(placeOf('x\u0002') + 21, 77), /tensor x as type 77/],
    ['a tensor within another', () => changed(placeOf('y\u0002') + 25, 0), /tensor y begins within another/],
    ['a tensor between two places', () => changed(placeOf('y\u0002') + 25, 33), /between two places/],
  ])('is refused for %s', (_, bytes, message) => {
    const error = refusal(bytes());
    expect(error.message).toMatch(message);
    expect(['model_invalid', 'model_unsupported']).toContain(error.code);
    expect(error.remedy).not.toBe('');
  });

  it('is refused wherever it ends before its end, and whatever single bytes are', () => {
    const whole = readFileSync(good);
    // What fills the last tensor up to the next place belongs to nobody.
    for (let length = 0; length < whole.length - 30; length++)
      expect(refusal(whole.subarray(0, length)).code).toBe('model_invalid');
    const random = createRandom(1);
    for (let i = 0; i < 1000; i++) {
      const bytes = Buffer.from(whole);
      for (let n = 0; n < 3; n++) bytes[random.integer(bytes.length)] = random.integer(256);
      const path = join(folder, 'drawn.gguf');
      writeFileSync(path, bytes);
      try {
        const file = new GgufFile(path, 'model_invalid');
        for (const { name, byteLength } of file.tensors.values()) file.readRange(name, 0, byteLength);
        file.close();
      } catch (error) {
        expect(error).toBeInstanceOf(StudioError);
      }
    }
  });
});
