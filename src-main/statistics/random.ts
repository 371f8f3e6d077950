/** A seeded stream of numbers: equal seeds give equal streams on every machine. */
export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** A standard normal number (Box and Muller 1958). */
  normal(): number;
  /** Uniform integer in [0, limit). */
  integer(limit: number): number;
  /** As many of them as there is room for: the same as one by one, in a tenth of the time. */
  fillIntegers(into: Int32Array, limit: number): Int32Array;
  /** A shuffled copy (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[];
  /** Shuffles row numbers where they are: as `shuffle`, without the room of a list. */
  shuffleInPlace(items: Uint32Array): Uint32Array;
}

/** The sfc32 generator (Chris Doty-Humphrey's PractRand), seeded through splitmix32. */
export function createRandom(seed: number): Random {
  let mix = seed >>> 0;
  const word = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  // Signed words: V8 keeps them as they are, where unsigned ones would be made anew on the heap with every step.
  let [a, b, c, counter] = [word() | 0, word() | 0, word() | 0, 1];
  const next32 = () => {
    const result = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result >>> 0;
  };
  for (let i = 0; i < 12; i++) next32();
  const next = () => next32() / 2 ** 32;
  const fillIntegers = (into: Int32Array, limit: number) => {
    // In the function's own variables, which stay in registers.
    let [x, y, z, step] = [a, b, c, counter];
    const scale = limit / 2 ** 32;
    for (let i = 0; i < into.length; i++) {
      const result = (x + y + step) | 0;
      step = (step + 1) | 0;
      x = y ^ (y >>> 9);
      y = (z + (z << 3)) | 0;
      z = (((z << 21) | (z >>> 11)) + result) | 0;
      into[i] = (result >>> 0) * scale;
    }
    [a, b, c, counter] = [x, y, z, step];
    return into;
  };
  const integer = (limit: number) => Math.floor(next() * limit);
  const shuffleInPlace = <L extends { length: number; [index: number]: unknown }>(result: L): L => {
    for (let i = result.length - 1; i > 0; i--) {
      const j = integer(i + 1);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  };
  return {
    next,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    integer,
    fillIntegers,
    shuffle: <T>(items: readonly T[]): T[] => shuffleInPlace([...items]),
    shuffleInPlace,
  };
}

/**
 * A 31-bit seed for one purpose of a run, from the run's seed and a path of names and numbers (FNV-1a). Different
 * purposes get unrelated streams, and adding a purpose changes no other.
 */
export function seedFrom(seed: number, ...path: (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode([seed, ...path].join('/')))
    hash = Math.imul(hash ^ byte, 0x01000193);
  // One round of mixing: FNV's low bits depend too little on its last bytes.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) & 0x7fffffff;
}
