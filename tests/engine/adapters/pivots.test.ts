import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assignWithMinimumSize } from '../../../src-main/engine/adapters/pivots/minimumSizeAssignment.ts';
import { minimumSizeKMeans } from '../../../src-main/engine/adapters/pivots/minimumSizeKMeans.ts';
import { PivotChooser } from '../../../src-main/engine/adapters/pivots/pivots.ts';
import { RowProducts } from '../../../src-main/engine/adapters/pivots/rowProducts.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/data/random.ts';
import { recorded } from '../../support/paths.ts';

const { tf } = loadTensorflow();
const read = <T>(name: string): T => JSON.parse(readFileSync(join(recorded, name), 'utf8')) as T;

interface AssignmentCase {
  points: number;
  clusters: number;
  minimumSize: number;
  costs: number[];
  optimum: number;
}

describe('assignment with a minimum cluster size', () => {
  it.each(read<AssignmentCase[]>('assignments.json'))(
    'reaches the optimum of linear programming: $points points, $clusters clusters of at least $minimumSize',
    ({ points, clusters, minimumSize, costs, optimum }) => {
      const cluster = assignWithMinimumSize(Float64Array.from(costs), points, clusters, minimumSize);
      const total = cluster.reduce((sum, c, p) => sum + costs[p * clusters + c]!, 0);
      expect(total).toBeCloseTo(optimum, 6);
      for (let c = 0; c < clusters; c++)
        expect(cluster.filter((x) => x === c).length).toBeGreaterThanOrEqual(minimumSize);
    },
  );

  it('is optimal where every assignment can be tried', () => {
    const random = createRandom(4);
    for (let round = 0; round < 30; round++) {
      const [points, clusters, minimumSize] = [7, 3, 2];
      const costs = Float64Array.from(
        { length: points * clusters },
        () => random.next() * (random.integer(4) + 1),
      );
      const found = assignWithMinimumSize(costs, points, clusters, minimumSize);
      const cost = (assignment: ArrayLike<number>) =>
        Array.from(assignment).reduce((sum, c, p) => sum + costs[p * clusters + c]!, 0);
      let best = Infinity;
      for (let code = 0; code < clusters ** points; code++) {
        const assignment = Array.from(
          { length: points },
          (_, p) => Math.floor(code / clusters ** p) % clusters,
        );
        const sizes = [0, 1, 2].map((c) => assignment.filter((x) => x === c).length);
        if (Math.min(...sizes) >= minimumSize) best = Math.min(best, cost(assignment));
      }
      expect(cost(found)).toBeCloseTo(best, 9);
    }
  });

  it('handles equal costs without running in circles', () => {
    const cluster = assignWithMinimumSize(new Float64Array(40 * 4).fill(1), 40, 4, 10);
    for (let c = 0; c < 4; c++) expect(cluster.filter((x) => x === c).length).toBe(10);
  });
});

describe('k-means with a minimum cluster size', () => {
  it('clusters as well as k-means-constrained, best of many seeds each', async () => {
    const { dimensions, rows, cases } = read<{
      dimensions: number;
      rows: number[];
      cases: { clusters: number; minimumSize: number; inertia: number }[];
    }>('kmeans.json');
    const values = Float32Array.from(rows);
    for (const { clusters, minimumSize, inertia } of cases) {
      const engine = await RowProducts.open(tf, values.length / dimensions, dimensions, clusters);
      const found = Array.from({ length: 30 }, (_, seed) =>
        minimumSizeKMeans(values, engine, { minimumSize, seed }),
      );
      engine.close();
      expect(Math.min(...found.map((clustering) => clustering.inertia)) / inertia).toBeLessThan(1.02);
      for (const { cluster } of found)
        for (let c = 0; c < clusters; c++)
          expect(cluster.filter((x) => x === c).length).toBeGreaterThanOrEqual(minimumSize);
    }
  });
});

describe('pivots', () => {
  const random = createRandom(9);
  const [count, dimensions] = [40, 6];
  const rows = Float32Array.from({ length: count * dimensions }, () => random.next() - 0.5);
  const source = { count, dimensions, values: () => rows };
  const options = { clusters: 4, rank: 5, seed: 3 };
  const chooser = new PivotChooser(tf);

  it('pmrc: r different rows of each cluster, nearest to its centroid first, the same for the same seed', async () => {
    const pivots = await chooser.choose('pmrc', source, options);
    expect(new Set(pivots).size).toBe(20);
    expect(await chooser.choose('pmrc', source, options)).toEqual(pivots);
    const engine = await RowProducts.open(tf, count, dimensions, 4);
    const { cluster } = minimumSizeKMeans(rows, engine, { minimumSize: 5, seed: 3 });
    engine.close();
    for (let c = 0; c < 4; c++) {
      const members = [...Array(count).keys()].filter((p) => cluster[p] === c);
      const centroid = Array.from(
        { length: dimensions },
        (_, d) => members.reduce((sum, p) => sum + rows[p * dimensions + d]!, 0) / members.length,
      );
      const distance = (p: number) =>
        Math.hypot(...centroid.map((value, d) => rows[p * dimensions + d]! - value));
      members.sort((a, b) => distance(a) - distance(b));
      expect([...pivots.slice(c * 5, c * 5 + 5)]).toEqual(members.slice(0, 5));
    }
  });

  it('serial: contiguous rows in order; random: different rows', async () => {
    expect([...(await chooser.choose('serial', source, options))]).toEqual([...Array(20).keys()]);
    const chosen = await chooser.choose('random', source, options);
    expect(new Set(chosen).size).toBe(20);
    expect(Math.max(...chosen)).toBeLessThan(count);
  });

  it('says which rank fits where k r exceeds the rows', async () => {
    await expect(chooser.choose('pmrc', source, { clusters: 4, rank: 11, seed: 0 })).rejects.toThrow(
      /4 x 11 = 44 different rows of W, which has 40/,
    );
  });
});
