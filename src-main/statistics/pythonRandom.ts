/**
 * Python's generator of random numbers (Mersenne Twister MT19937, Matsumoto and Nishimura 1998), as far as drawing
 * without replacement needs it: lm-evaluation-harness draws solved examples by it, and prompts must be the same.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(size);
  #next = size;

  /** @param seed a whole number from 0 to 2^32 - 1, as `random.Random(seed)` */
  constructor(seed: number) {
    // Python seeds by an array of the number's 32-bit digits.
    const state = this.#state;
    fillState(state, 19_650_218);
    let i = 1;
    for (let k = 0; k < size; k++) {
      state[i] = (state[i]! ^ Math.imul(mixed(state[i - 1]!), 1_664_525)) + seed;
      if (++i === size) i = wrap(state);
    }
    for (let k = 0; k < size - 1; k++) {
      state[i] = (state[i]! ^ Math.imul(mixed(state[i - 1]!), 1_566_083_941)) - i;
      if (++i === size) i = wrap(state);
    }
    state[0] = 0x80000000;
  }

  /** `random.sample(items, count)`. */
  sample<T>(items: readonly T[], count: number): T[] {
    const n = items.length;
    if (count > n) throw new RangeError(`cannot draw ${count} of ${n}`);
    const setSize = count > 5 ? 21 + 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 21;
    if (n <= setSize) {
      const pool = [...items];
      return Array.from({ length: count }, (_, i) => {
        const drawn = this.#below(n - i);
        const item = pool[drawn]!;
        pool[drawn] = pool[n - i - 1]!;
        return item;
      });
    }
    const drawn = new Set<number>();
    return Array.from({ length: count }, () => {
      let at = this.#below(n);
      while (drawn.has(at)) at = this.#below(n);
      drawn.add(at);
      return items[at]!;
    });
  }

  /** A whole number from 0 to below `limit` (at most 2^31). */
  #below(limit: number): number {
    const bits = 32 - Math.clz32(limit);
    let drawn = this.#word() >>> (32 - bits);
    while (drawn >= limit) drawn = this.#word() >>> (32 - bits);
    return drawn;
  }

  #word(): number {
    if (this.#next === size) this.#renew();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #renew(): void {
    const state = this.#state;
    for (let i = 0; i < size; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % size]! & 0x7fffffff);
      state[i] = state[(i + 397) % size]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

const size = 624;

function mixed(word: number): number {
  return word ^ (word >>> 30);
}

/** The last number goes before the first one. */
function wrap(state: Uint32Array): number {
  state[0] = state[size - 1]!;
  return 1;
}

function fillState(state: Uint32Array, seed: number): void {
  state[0] = seed;
  for (let i = 1; i < size; i++) state[i] = Math.imul(mixed(state[i - 1]!), 1_812_433_253) + i;
}
