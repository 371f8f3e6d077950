import { describe, expect, it } from 'vitest';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { drawnTokens } from '../../../src-main/engine/inference/drawnTokens.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom, type Random } from '../../../src-main/statistics/random.ts';

const { tf } = loadTensorflow();

interface Asked {
  logits: readonly ArrayLike<number>[];
  uniform: readonly number[];
  temperature?: number;
  /** Absent: every token may be drawn. */
  topP?: number;
}

/** Draws tokens by the graph of a device. */
async function openDraws(
  rows: number,
  words: number,
  options: ConstructorParameters<typeof Graph>[0] = { fusion: false },
) {
  const graph = new Graph(options);
  const inputs = {
    logits: graph.placeholder('logits', [rows, words], 'f32'),
    uniform: graph.placeholder('uniform', [rows], 'f32'),
    temperature: graph.placeholder('temperature', [], 'f32'),
  };
  const topP = graph.placeholder('top_p', [], 'f32');
  const { logits, uniform, temperature } = inputs;
  const session = await openSession(tf, graph, {
    all: { inputs, outputs: { next: drawnTokens(logits, uniform, { temperature, topP: null }) } },
    nucleus: {
      inputs: { ...inputs, topP },
      outputs: { next: drawnTokens(logits, uniform, { temperature, topP }) },
    },
  });
  const draw = (asked: Asked): number[] => {
    const values = new Float32Array(rows * words);
    asked.logits.forEach((row, i) => values.set(row, i * words));
    const feeds = {
      logits: values,
      uniform: Float32Array.from(asked.uniform),
      temperature: Float32Array.of(asked.temperature ?? 1),
    };
    return Array.from(
      asked.topP === undefined
        ? session.run('all', feeds).next
        : session.run('nucleus', { ...feeds, topP: Float32Array.of(asked.topP) }).next,
    );
  };
  return { draw, close: () => session.close() };
}

/**
 * The token by sorting and adding in f64. @returns `margin`, how far the number is from another token's, and topP from
 * another nucleus's
 */
function referenceDraw(logits: ArrayLike<number>, uniform: number, temperature: number, topP: number) {
  const highest = Array.from(logits).reduce((most, logit) => Math.max(most, logit), -Infinity);
  const weights = Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const nucleus: number[] = [];
  let mass = 0;
  let nucleusMargin = Infinity;
  for (const token of order) {
    if (topP < 1 && mass >= topP * total) break;
    nucleus.push(token);
    mass += weights[token]!;
    if (topP < 1) nucleusMargin = Math.min(nucleusMargin, Math.abs(mass / total - topP));
  }
  const edge = topP < 1 ? weights[nucleus.at(-1)!]! : -1;
  const inOrder = nucleus.sort((a, b) => Number(weights[a] === edge) - Number(weights[b] === edge) || a - b);
  let sum = 0;
  let margin = Infinity;
  let token = -1;
  for (const candidate of inOrder) {
    sum += weights[candidate]! / mass;
    margin = Math.min(margin, Math.abs(sum - uniform));
    if (token < 0 && uniform < sum) token = candidate;
  }
  return { token, margin, nucleusMargin, nucleus };
}

/** Draws of random logits: how many are told for certain, and those among them that differ. */
function compare(
  draw: (asked: Asked) => number[],
  random: Random,
  shape: { rows: number; words: number; rounds: number },
) {
  const wrong: unknown[] = [];
  let certain = 0;
  for (let round = 0; round < shape.rounds; round++) {
    const temperature = 0.3 + 1.5 * random.next();
    const topP = [undefined, 0.95, 0.5, 0.1, 0.999, 1][round % 6];
    const scale = [0.01, 1, 3, 10][random.integer(4)]!;
    // Logits of bf16 models are often equal.
    const isCoarse = random.next() < 0.3;
    const logits = Array.from({ length: shape.rows }, () =>
      Float32Array.from({ length: shape.words }, () => {
        const logit = 20 + scale * random.normal();
        return isCoarse ? Math.round(8 * logit) / 8 : logit;
      }),
    );
    const uniform = Array.from({ length: shape.rows }, () => Math.fround(random.next()));
    const found = draw({ logits, uniform, temperature, ...(topP !== undefined && { topP }) });
    found.forEach((token, row) => {
      const expected = referenceDraw(logits[row]!, uniform[row]!, temperature, topP ?? 1);
      if (expected.margin < 1e-5 || expected.nucleusMargin < 2e-6) return;
      certain++;
      if (token !== expected.token) wrong.push({ round, row, found: token, ...expected, topP, temperature });
    });
  }
  return { wrong, certain };
}

describe.each([
  ['a processor, nothing compiled', { fusion: false }],
  ['a processor', { fusion: true }],
  ['a card', { fusion: true, device: 'gpu' }],
] as const)('the graph of %s', (name, options) => {
  it.each([
    { rows: 3, words: 5, rounds: 30 },
    { rows: 32, words: 300, rounds: 40 },
    { rows: 2, words: 5000, rounds: 40 },
  ])('$words words: draws what sorting and adding in f64 draws', async ({ rows, words, rounds }) => {
    const { draw, close } = await openDraws(rows, words, options);
    const { wrong, certain } = compare(draw, createRandom(words), { rows, words, rounds });
    close();
    expect(wrong).toEqual([]);
    expect(certain).toBeGreaterThan(0.7 * rows * rounds);
  });

  it('knows the ends of a nucleus', async () => {
    const words = 200;
    const { draw, close } = await openDraws(2, words, options);
    const both = (logits: ArrayLike<number>, more: Omit<Asked, 'logits' | 'uniform'>) =>
      draw({ logits: [logits, logits], uniform: [0, 1], ...more });
    const equal = new Float32Array(words).fill(-7);
    expect(both(equal, {})).toEqual([0, words - 1]);
    // Of equally likely tokens the first ones: 0.25 * 200.
    expect(both(equal, { topP: 0.25 })).toEqual([0, 49]);
    const one = equal.map((_, i) => (i === 120 ? 30 : -7));
    expect(both(one, { topP: 0.9 })).toEqual([120, 120]);
    const impossible = equal.map((_, i) => (i > 3 && i < 9 ? -7 : -Infinity));
    expect(both(impossible, {})).toEqual([4, 8]);
    expect(both(impossible, { topP: 0.7 })).toEqual([4, 7]);
    const descending = equal.map((_, i) => -i);
    for (const temperature of [1e-3, 1e-30, 1e-45])
      for (const topP of [undefined, 0.9])
        expect(both(descending, { temperature, ...(topP && { topP }) })).toEqual([0, 0]);
    // Rows of a cache that hold nothing may compute anything.
    for (const topP of [undefined, 0.9])
      for (const token of both(new Float32Array(words).fill(NaN), topP ? { topP } : {}))
        expect(token).toSatisfy((id: number) => Number.isInteger(id) && id >= 0 && id < words);
    close();
  });
});

it('a large vocabulary loses none to rounding', async () => {
  const words = 128_256;
  const { draw, close } = await openDraws(4, words, { fusion: true });
  const random = createRandom(3);
  const { wrong, certain } = compare(draw, random, { rows: 4, words, rounds: 6 });
  expect(wrong).toEqual([]);
  expect(certain).toBeGreaterThan(0);
  const equal = new Float32Array(words);
  const uniform = [0, 0.5 + 1e-7, 0.99999, 1];
  const ids = draw({ logits: [equal, equal, equal, equal], uniform });
  ids.forEach((id, i) => expect(Math.abs(id - uniform[i]! * words)).toBeLessThan(2));
  // Exactly three quarters of them.
  expect(draw({ logits: [equal, equal, equal, equal], uniform, topP: 0.75 })[3]).toBe(0.75 * words - 1);
  close();
}, 120_000);

it.each([undefined, 0.8])('draws follow the distribution: top p %s', async (topP) => {
  const rows = 1000;
  const logits = [1.2, -0.5, 0.3, 2, 0, 0.9, -1.5, 1.4, -Infinity, 0.1];
  const temperature = 1.3;
  const { draw, close } = await openDraws(rows, logits.length);
  const random = createRandom(8);
  const counts = logits.map(() => 0);
  for (let call = 0; call < 20; call++) {
    const uniform = Array.from({ length: rows }, () => random.next());
    const all = Array.from({ length: rows }, () => logits);
    for (const id of draw({ logits: all, uniform, temperature, ...(topP && { topP }) })) counts[id]!++;
  }
  close();
  const { nucleus } = referenceDraw(logits, 0, temperature, topP ?? 1);
  const weights = logits.map((logit, i) => (nucleus.includes(i) ? Math.exp(logit / temperature) : 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const expected = weights.map((weight) => (20 * rows * weight) / total);
  const possible = expected.flatMap((count, i) => (count > 0 ? [i] : []));
  expect(possible.length).toBeLessThan(topP ? 8 : 10);
  const chiSquare = possible.reduce((sum, i) => sum + (counts[i]! - expected[i]!) ** 2 / expected[i]!, 0);
  // Its 99.9th percentile with 8 degrees of freedom.
  expect(chiSquare).toBeLessThan(26.1);
  expect(counts.filter((count) => count > 0)).toHaveLength(possible.length);
});
