import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { causalProduct } from '../../../src-main/engine/graph/causalProduct.ts';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import type { Scoring } from '../../../src-main/engine/graph/maskedScores.ts';
import {
  multiply,
  scalarLike,
  scale,
  select,
  softcapped,
} from '../../../src-main/engine/graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis, transpose } from '../../../src-main/engine/graph/ops/layout.ts';
import { batchMatmul } from '../../../src-main/engine/graph/ops/linear.ts';
import { softmax } from '../../../src-main/engine/graph/ops/neural.ts';
import { sum } from '../../../src-main/engine/graph/ops/reduce.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { lineStep, withFirstKeys } from '../../../src-main/options/passLayouts.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

const { tf } = loadTensorflow();
const [batch, d] = [2, 3];

interface Case {
  tokens: number;
  block: number;
  heads: number;
  keyHeads: number;
  scoring: Scoring;
  /** Sequence of each position, row by row. */
  segments?: number[][];
  firstKeys?: readonly number[];
}

it.each([
  ['on a processor', { device: 'cpu' }, 16],
  ['on a card', { device: 'gpu' }, 4],
  ['as a run was planned', { device: 'gpu', parts: { queryBlock: 256, logitElements: 1 } }, 8],
] as const)('%s handles 2,048 queries in so many blocks: %#', (_, options, blocks) => {
  const graph = new Graph({ fusion: false, ...options });
  const [q, k, v] = ['q', 'k', 'v'].map((name) => graph.placeholder(name, [1, 2, 2048, d], 'f32'));
  causalProduct(q!, k!, v!, { scale: 1, softcap: null, window: null });
  // One product with the keys and one with the values each.
  expect(graph.main.nodes.filter(({ op }) => op === 'BatchMatMulV2')).toHaveLength(2 * blocks);
});

const random = createRandom(11);
const numbers = (shape: readonly number[]) =>
  Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () => 2 * random.next() - 1);

/** The same without blocks: every key head repeated for its queries, every score computed, the mask written out. */
function plain(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { tokens, heads, keyHeads, scoring, segments }: Case,
): Tensor {
  const { graph } = q;
  const repeated = (x: Tensor) =>
    concat(
      Array.from({ length: heads }, (_, head) => sliceAxis(x, 1, Math.floor((head * keyHeads) / heads), 1)),
      1,
    );
  const sees = (row: number, i: number, j: number) =>
    j <= i &&
    (scoring.window === null || i - j < scoring.window) &&
    (!segments || segments[row]![i] === segments[row]![j]);
  const mask = Array.from({ length: batch * tokens * tokens }, (_, at) => {
    const [row, i, j] = [Math.floor(at / tokens ** 2), Math.floor(at / tokens) % tokens, at % tokens];
    return Number(sees(row, i, j));
  });
  const visible = graph.constant(mask, 'bool', [batch, 1, tokens, tokens]);
  const product = scale(batchMatmul(q, repeated(k), { transposeY: true }), scoring.scale);
  const scores = scoring.softcap === null ? product : softcapped(product, scoring.softcap);
  const p = softmax(select(visible, scores, scalarLike(scores, -1e30)));
  return reshape(transpose(batchMatmul(p, repeated(v)), [0, 2, 1, 3]), [batch * tokens, heads * d]);
}

async function open(known: Case, fusion: boolean) {
  const { tokens, heads, keyHeads, block, scoring, segments, firstKeys } = known;
  const graph = new Graph({ fusion });
  const q = graph.placeholder('q', [batch, heads, tokens, d], 'f32');
  const k = graph.placeholder('k', [batch, keyHeads, tokens, d], 'f32');
  const v = graph.placeholder('v', [batch, keyHeads, tokens, d], 'f32');
  const blocked = causalProduct(q, k, v, scoring, {
    block,
    segments: segments
      ? {
          numbers: graph.constant(segments.flat(), 'f32', [batch, tokens]),
          longest: longestOf(segments),
          firstKey: firstKeys ? (position: number) => firstKeys[Math.floor(position / lineStep)]! : null,
        }
      : null,
  });
  const weights = graph.constant(numbers(blocked.shape), 'f32', blocked.shape);
  const outcome = (value: Tensor) => {
    const loss = sum(multiply(value, weights), [0, 1]);
    const [dq, dk, dv] = gradients([loss], [graph.constant(1)], [q, k, v]);
    return { value, dq: dq!, dk: dk!, dv: dv! };
  };
  const session = await openSession(tf, graph, {
    blocked: { inputs: { q, k, v }, outputs: outcome(blocked) },
    plain: { inputs: { q, k, v }, outputs: outcome(plain(q, k, v, known)) },
  });
  return { session, feeds: { q: numbers(q.shape), k: numbers(k.shape), v: numbers(v.shape) } };
}

/** The longest run of equal numbers. */
function longestOf(segments: number[][]): number {
  let longest = 0;
  for (const row of segments)
    for (const number of row) longest = Math.max(longest, row.filter((other) => other === number).length);
  return longest;
}

const scoring: Scoring = { scale: 0.7, softcap: null, window: null };
const all: Case = { tokens: 10, block: 4, heads: 2, keyHeads: 2, scoring };
const twoOrThree = [
  [0, 0, 0, 1, 1, 1, 1, 2, 2, 2],
  [0, 0, 1, 1, 1, 1, 1, 1, 2, 2],
];
/** Three blocks, whose rows lie side by side in each row of the batch. */
const sideBySide = [
  [150, 90, 60],
  [130, 100, 70],
];
const fitted: Case = {
  tokens: 300,
  block: 128,
  heads: 2,
  keyHeads: 1,
  scoring,
  segments: sideBySide.map((row) => row.flatMap((length, number) => Array<number>(length).fill(number))),
  firstKeys: withFirstKeys({ batch, tokens: 300, longestExample: 150 }, sideBySide).firstKeys!,
};
const cases: Record<string, Case> = {
  'a last block that is not full': all,
  'one block': { ...all, block: 16 },
  'blocks of one query': { ...all, block: 1 },
  'grouped heads': { ...all, heads: 6, keyHeads: 2 },
  'one key head': { ...all, heads: 4, keyHeads: 1 },
  'a window shorter than a block': { ...all, scoring: { ...scoring, window: 3 } },
  'a window longer than a block': { ...all, scoring: { ...scoring, window: 6 } },
  'a window of two': { ...all, scoring: { ...scoring, window: 2 } },
  'a window longer than the rows': { ...all, scoring: { ...scoring, window: 64 } },
  segments: { ...all, segments: twoOrThree },
  'segments, a window and grouped heads': {
    ...all,
    heads: 4,
    segments: twoOrThree,
    scoring: { ...scoring, window: 3 },
  },
  'no keys that no segment of the run has': fitted,
  'soft-capped scores': { ...all, scoring: { ...scoring, softcap: 0.5 } },
};

describe.each([
  ['plain', false],
  ['compiled by XLA', true],
])('values and gradients are those of the product without blocks, %s', (_, fusion) => {
  it.each(Object.entries(cases))('%s', async (_name, known) => {
    const { session, feeds } = await open(known, fusion);
    const [blocked, expected] = [session.run('blocked', feeds), session.run('plain', feeds)];
    session.close();
    for (const name of ['value', 'dq', 'dk', 'dv'] as const) {
      const values = expected[name];
      expect(Math.max(...values.map(Math.abs)), name).toBeGreaterThan(1e-3);
      values.forEach((value, i) => {
        expect(Math.abs(blocked[name][i]! - value), `${name}[${i}]`).toBeLessThan(2e-6);
      });
    }
  });
});

describe('a block is multiplied only with keys that one of its rows can see', () => {
  /** The rows whose result changes to NaN where the value at a position is NaN: those that were multiplied with it. */
  async function reachedFrom(position: number, known: Case): Promise<number[]> {
    const { session, feeds } = await open(known, false);
    for (let i = 0; i < d; i++) feeds.v[position * d + i] = NaN;
    const { value } = session.run('blocked', feeds);
    session.close();
    const width = known.heads * d;
    return Array.from({ length: known.tokens }, (_, row) => row).filter((row) =>
      value!.subarray(row * width, row * width + width).some(Number.isNaN),
    );
  }

  it('not with later blocks', async () => {
    expect(await reachedFrom(8, all)).toEqual([8, 9]);
    expect(await reachedFrom(4, all)).toEqual([4, 5, 6, 7, 8, 9]);
  });
  it('not with keys beyond the window of its first row', async () => {
    expect(await reachedFrom(1, cases['a window shorter than a block']!)).toEqual([0, 1, 2, 3]);
    expect(await reachedFrom(2, cases['a window shorter than a block']!)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
  it('not with keys further back than the longest segment', async () => {
    // The longest has 6 positions: rows 8 and 9 begin at 8, and reach back to 3.
    expect(await reachedFrom(2, cases['segments']!)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
  it('not with keys before the first that is foreseen for it', async () => {
    expect(fitted.firstKeys).toEqual([0, 0, 128]);
    const rows = await reachedFrom(127, fitted);
    expect([rows.length, rows.at(-1)]).toEqual([256, 255]);
    // The longest segment alone would be looked for from 107 on.
    expect((await reachedFrom(127, { ...fitted, firstKeys: [0, 0, 0] })).at(-1)).toBe(299);
  });
});
