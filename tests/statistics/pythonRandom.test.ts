import { expect, it } from 'vitest';
import { PythonRandom } from '../../src-main/statistics/pythonRandom.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** `random.Random(seed).sample(range(n), k)`, one after another, of Python 3.11. */
it.each([
  [
    0,
    [6917, 3155, 6209, 7292, 3445],
    [331, 2121, 4188, 3980, 3317, 6420, 6798, 2484],
    [15, 11, 6, 16, 4, 19],
    [71, 48, 128, 272, 75, 158, 50, 37, 169, 241, 286, 51],
  ],
  [
    1234,
    [6374, 3610, 957, 61, 742],
    [7462, 6610, 4769, 286, 5501, 5677, 687, 806],
    [11, 7, 0, 17, 16, 5],
    [247, 237, 76, 46, 93, 58, 7, 257, 249, 127, 33, 277],
  ],
  [
    2 ** 32 - 1,
    [5204, 5075, 1664, 1764, 4975],
    [4279, 2386, 4940, 2785, 3122, 5507, 5640, 7158],
    [8, 11, 15, 13, 2, 3],
    [70, 244, 258, 187, 83, 31, 169, 19, 193, 224, 291, 131],
  ],
])('draws by the seed %i what Python draws', (seed, five, eight, six, twelve) => {
  const random = new PythonRandom(seed);
  expect(random.sample(upTo(7473), 5)).toEqual(five);
  expect(random.sample(upTo(7473), 8)).toEqual(eight);
  expect(random.sample(upTo(20), 6)).toEqual(six);
  expect(random.sample(upTo(300), 12)).toEqual(twelve);
  expect(() => random.sample(upTo(3), 4)).toThrow(RangeError);
});
