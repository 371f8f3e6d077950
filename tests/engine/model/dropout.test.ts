import { expect, it } from 'vitest';
import type { LinearSite } from '../../../src-main/shape/adapterSites.ts';
import { fusedModules, targetModules } from '../../../src-main/contract/training.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { dropOut, dropoutOffset } from '../../../src-main/engine/model/dropout.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

const [rows, width] = [200, 100];
const query: LinearSite = { layer: 0, module: 'q_proj' };

/** Dropout of ones: 0 or 1 / (1 - p). */
async function dropped(options: { site?: LinearSite; seed?: [number, number]; p: number }) {
  const { site = query, seed = [7, 1], p } = options;
  const graph = new Graph({ fusion: false });
  const value = graph.placeholder('value', [rows, width], 'f32');
  const seeds = graph.placeholder('seed', [2], 'i32');
  const out = dropOut(value, { site, seed: seeds, p });
  const entry = { inputs: { value, seed: seeds }, outputs: { out } };
  const session = await openSession(loadTensorflow().tf, graph, { run: entry });
  const result = session.run('run', {
    value: new Float32Array(rows * width).fill(1),
    seed: Int32Array.from(seed),
  }).out;
  session.close();
  return [...result];
}

/** Part of the values that both keep or both drop: p^2 + (1 - p)^2 where the masks know nothing of each other. */
const agreement = (a: number[], b: number[]) =>
  a.filter((value, i) => (value === 0) === (b[i] === 0)).length / a.length;

it.each([0.05, 0.1, 0.5, 0.9])(
  'p = %s: that part is dropped, everywhere alike, and the rest grows by 1 / (1 - p)',
  async (p) => {
    const out = await dropped({ p });
    const grown = Math.fround(1 / (1 - p));
    expect(new Set(out)).toEqual(new Set([0, grown]));
    const deviation = (n: number) => Math.sqrt((p * (1 - p)) / n);
    const part = (values: number[]) => values.filter((value) => value === 0).length / values.length;
    // Five standard deviations: one in two million by chance, and the seed is fixed.
    expect(Math.abs(part(out) - p)).toBeLessThan(5 * deviation(out.length));
    for (let row = 0; row < rows; row++)
      expect(Math.abs(part(out.slice(row * width, (row + 1) * width)) - p)).toBeLessThan(
        5 * deviation(width),
      );
    for (let column = 0; column < width; column++)
      expect(Math.abs(part(out.filter((_, i) => i % width === column)) - p)).toBeLessThan(
        5 * deviation(rows),
      );
  },
);

it('the same seed and module draw the same mask; another step, seed, module or layer another', async () => {
  const p = 0.5;
  const first = await dropped({ p });
  expect(await dropped({ p })).toEqual(first);
  const others = [
    await dropped({ p, seed: [7, 2] }),
    await dropped({ p, seed: [8, 1] }),
    await dropped({ p, site: { layer: 0, module: 'k_proj' } }),
    await dropped({ p, site: { layer: 1, module: 'q_proj' } }),
  ];
  const all = [first, ...others];
  for (let a = 0; a < all.length; a++)
    for (let b = 0; b < a; b++)
      expect(Math.abs(agreement(all[a]!, all[b]!) - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / (rows * width)));
});

it('gives every module of every layer masks of its own, fused ones, too', () => {
  const offsets = [0, 1, 2].flatMap((layer) =>
    [...targetModules, ...fusedModules].map((module) => dropoutOffset({ layer, module })),
  );
  expect(new Set(offsets).size).toBe(offsets.length);
});
