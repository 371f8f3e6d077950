import { expect, it } from 'vitest';
import { CacheRows } from '../../../src-main/engine/inference/cacheRows.ts';
import type { Decoder } from '../../../src-main/engine/inference/decodingGraph.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const size = { batch: 4, pastSlots: [8, 16, 32], recentSlots: 3, promptSlots: 40, prefillTokens: 4 };
const heads = 2;
const greedy = { temperature: 0, topP: 1, uniform: () => NaN };

/**
 * A decoder whose cache holds, instead of keys, the token, its position and its head: so it can be read which text a
 * row has. It says what each call reads.
 */
function fakeDecoder(dependsOnLength = false) {
  type Slot = [token: number, position: number, head: number];
  let past: Slot[] = [];
  let recent: Slot[] = [];
  let prompts: Slot[] = [];
  const calls: string[] = [];
  const empty = (count: number) => Array.from({ length: count }, (): Slot => [-1, -1, -1]);
  const seen: number[][] = [];
  /** Texts whose next token was asked for. */
  const filled: string[] = [];
  const at = (values: unknown) => (values as Int32Array)[0]!;
  const text = (slots: readonly Slot[], head: number) => {
    expect(slots.map(([, position]) => position)).toEqual(slots.map((_, i) => i));
    expect(slots.every((slot) => slot[2] === head)).toBe(true);
    return slots.map(([token]) => token);
  };
  const run = (name: string, feeds: Record<string, Int32Array | Float32Array>) => {
    calls.push(name);
    if (name === 'clear') {
      past = empty(size.batch * heads * size.pastSlots[0]!);
      recent = empty(size.batch * heads * size.recentSlots);
      prompts = empty(heads * size.promptSlots);
    } else if (name === 'join') {
      const all = [...past, ...recent, ...prompts];
      past = Array.from(feeds['indices']!, (index) => all[index]!);
    } else if (name === 'prefill') {
      const first = at(feeds['firstSlot']);
      const [positions, shared, start] = [feeds['positions']!, feeds['shared']!, feeds['start']!];
      feeds['ids']!.forEach((id, i) => {
        expect(first + i).toBeLessThan(size.promptSlots);
        for (let head = 0; head < heads; head++)
          prompts[head * size.promptSlots + first + i] = [id, positions[i]!, head];
      });
      feeds['last']!.forEach((i, place) => {
        if (place > 0 && i === 0) return;
        for (let head = 0; head < heads; head++) {
          const own = prompts.slice(head * size.promptSlots, (head + 1) * size.promptSlots);
          const read = [...own.slice(0, shared[i]), ...own.slice(start[i], first + i + 1)];
          filled.push(read.map(([token]) => token).join());
        }
      });
      return { next: new Int32Array(size.batch) };
    } else {
      const slots = Number(name.slice('decode'.length));
      expect(past).toHaveLength(size.batch * heads * slots);
      const slot = at(feeds['slot']);
      seen.length = 0;
      feeds['ids']!.forEach((id, row) => {
        const length = feeds['lengths']![row]!;
        for (let head = 0; head < heads; head++) {
          const place = row * heads + head;
          recent[place * size.recentSlots + slot] = [id, length + slot, head];
          if (length === 0) continue;
          const before = past.slice(place * slots, place * slots + length);
          const since = recent.slice(place * size.recentSlots, place * size.recentSlots + slot + 1);
          seen[row] = text([...before, ...since], head);
        }
      });
      return { next: new Int32Array(size.batch) };
    }
    return {};
  };
  const decoder = {
    size,
    keyValueHeads: heads,
    dependsOnLength,
    tokensPerCall: 1,
    ways: ['greedy'] as const,
    lengthInputs: () => ({}),
    session: { run } as unknown as Decoder['session'],
  };
  return { decoder, seen, calls, filled };
}

it.each([false, true])(
  'every row sees its own text, whatever comes and goes: length-dependent %s',
  (depends) => {
    const random = createRandom(6);
    const { decoder, seen, filled } = fakeDecoder(depends);
    const cache = new CacheRows(decoder, { task: 0, draw: greedy });
    const shots = [1, 2, 3, 4, 5, 6, 7];
    const texts: (number[] | null)[] = [null, null, null, null];
    for (let step = 0; step < 300; step++) {
      const asked: { row: number; text: number[] }[] = [];
      for (let row = 0; row < 4; row++) {
        const before = texts[row];
        if (before && (before.length > 28 || random.next() < 0.1)) {
          cache.leave(row);
          texts[row] = null;
        }
        if (texts[row] || random.next() < 0.3) continue;
        // Some begin alike, one may be the beginning of another.
        const own = Array.from({ length: random.integer(9) }, () => 10 + random.integer(3));
        const fresh = [...shots.slice(0, random.next() < 0.7 ? 7 : 1 + random.integer(6)), ...own];
        asked.push({ row, text: fresh });
      }
      filled.length = 0;
      expect(cache.prefill(asked)).toHaveLength(asked.length);
      // By each head.
      for (const { text } of asked)
        expect(filled.filter((other) => other === text.join()).length).toBeGreaterThanOrEqual(heads);
      for (const { row, text } of asked)
        if (random.next() < 0.2) cache.leave(row);
        else texts[row] = text;
      if (asked.length > 0 || cache.isFull) cache.join();
      const ids = texts.map((text) => (text ? 20 + random.integer(50) : null));
      cache.step(ids);
      texts.forEach((text, row) => text?.push(ids[row]!));
      expect(Array.from({ length: 4 }, (_, row) => seen[row] ?? null)).toEqual(texts);
    }
  },
);

it('computes what prompts begin with once', () => {
  const { decoder, calls } = fakeDecoder();
  const cache = new CacheRows(decoder, { task: 0, draw: greedy });
  const shots = Array.from({ length: 12 }, (_, i) => i);
  const prefills = () => calls.filter((name) => name === 'prefill').length;
  cache.prefill([{ row: 0, text: [...shots, 50, 51] }]);
  expect(prefills()).toBe(4);
  // One token of each is new: all are computed by one call.
  cache.prefill([1, 2, 3].map((row) => ({ row, text: [...shots, 60 + row] })));
  expect(prefills()).toBe(5);
  cache.join();
  cache.prefill([{ row: 0, text: [...shots, 70, 71, 72] }]);
  expect(prefills()).toBe(6);
});

it('does not share what another adapter has read', () => {
  const { decoder, calls } = fakeDecoder();
  const cache = new CacheRows(decoder, { task: 0, draw: greedy });
  const text = Array.from({ length: 8 }, (_, i) => i);
  const prefills = () => calls.filter((name) => name === 'prefill').length;
  cache.prefill([{ row: 0, text: [...text, 50], adapter: 1 }]);
  expect(prefills()).toBe(3);
  // By the same one a token is new; by another one all nine are.
  cache.prefill([{ row: 1, text: [...text, 51], adapter: 1 }]);
  expect(prefills()).toBe(4);
  cache.prefill([{ row: 2, text: [...text, 52], adapter: 0 }]);
  expect(prefills()).toBe(7);
});
