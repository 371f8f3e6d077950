import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { assignWithMinimumSize } from '../../../src-main/engine/adapters/pivots/minimumSizeAssignment.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { recorded } from '../../support/paths.ts';

interface AssignmentCase {
  points: number;
  clusters: number;
  minimumSize: number;
  costs: number[];
  optimum: number;
}
const cases = JSON.parse(readFileSync(join(recorded, 'assignments.json'), 'utf8')) as AssignmentCase[];

function sizesOf(cluster: Int32Array, clusters: number): number[] {
  const sizes = new Array<number>(clusters).fill(0);
  for (const c of cluster) sizes[c]!++;
  return sizes;
}

/**
 * Whether an assignment is optimal under the bound: an assignment is a flow, and a flow is optimal exactly if its
 * residual graph has no cycle of negative cost. Nodes are clusters and a sink; an edge a -> b moves a point of a; an
 * edge from the sink to a gives a one more point, from a to the sink takes one away, which only a cluster with more
 * than the minimum allows.
 */
function isOptimal(costs: Float64Array, cluster: Int32Array, clusters: number, minimumSize: number): boolean {
  const nodes = clusters + 1;
  const edges = new Float64Array(nodes * nodes).fill(Infinity);
  cluster.forEach((a, p) => {
    for (let b = 0; b < clusters; b++)
      if (b !== a) {
        const at = a * nodes + b;
        edges[at] = Math.min(edges[at]!, costs[p * clusters + b]! - costs[p * clusters + a]!);
      }
  });
  sizesOf(cluster, clusters).forEach((size, c) => {
    edges[c * nodes + clusters] = 0;
    if (size > minimumSize) edges[clusters * nodes + c] = 0;
  });
  // Floyd and Warshall: a node that reaches itself at a negative cost lies on such a cycle.
  for (let via = 0; via < nodes; via++)
    for (let a = 0; a < nodes; a++)
      for (let b = 0; b < nodes; b++) {
        const through = edges[a * nodes + via]! + edges[via * nodes + b]!;
        if (through < edges[a * nodes + b]!) edges[a * nodes + b] = through;
      }
  return Array.from({ length: nodes }, (_, a) => edges[a * nodes + a]!).every((cost) => !(cost < -1e-9));
}

it.each(cases)(
  'reaches the optimum of linear programming: $points points, $clusters clusters of at least $minimumSize',
  ({ points, clusters, minimumSize, costs, optimum }) => {
    const cluster = assignWithMinimumSize(Float64Array.from(costs), points, clusters, minimumSize);
    const total = cluster.reduce((sum, c, p) => sum + costs[p * clusters + c]!, 0);
    expect(total).toBeCloseTo(optimum, 6);
    expect(Math.min(...sizesOf(cluster, clusters))).toBeGreaterThanOrEqual(minimumSize);
    expect(isOptimal(Float64Array.from(costs), cluster, clusters, minimumSize)).toBe(true);
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
      const assignment = Int32Array.from(
        { length: points },
        (_, p) => Math.floor(code / clusters ** p) % clusters,
      );
      if (Math.min(...sizesOf(assignment, clusters)) >= minimumSize) best = Math.min(best, cost(assignment));
    }
    expect(cost(found)).toBeCloseTo(best, 9);
  }
});

it('handles equal costs without running in circles', () => {
  const cluster = assignWithMinimumSize(new Float64Array(40 * 4).fill(1), 40, 4, 10);
  expect(sizesOf(cluster, 4)).toEqual([10, 10, 10, 10]);
});

it.each([
  // The rows of a gate_proj of Llama 3 8B: 4 bases of rank 128; as many rows as there are; nearly all in one cluster.
  { points: 14336, clusters: 4, minimumSize: 128, favour: 1 },
  { points: 14336, clusters: 4, minimumSize: 3584, favour: 4 },
  { points: 14336, clusters: 16, minimumSize: 128, favour: 4 },
  { points: 14336, clusters: 16, minimumSize: 896, favour: 4 },
])(
  'is optimal and fast where $points points prefer one of $clusters clusters of at least $minimumSize',
  ({ points, clusters, minimumSize, favour }) => {
    const random = createRandom(points + minimumSize);
    // Cluster 0 is cheaper than all others by up to `favour`.
    const costs = Float64Array.from(
      { length: points * clusters },
      (_, i) => 5 + random.next() + (i % clusters === 0 ? -favour : 0),
    );
    const startedAt = process.cpuUsage();
    const cluster = assignWithMinimumSize(costs, points, clusters, minimumSize);
    const { user } = process.cpuUsage(startedAt);
    expect(Math.min(...sizesOf(cluster, clusters))).toBeGreaterThanOrEqual(minimumSize);
    expect(isOptimal(costs, cluster, clusters, minimumSize)).toBe(true);
    // A search over all points for every lacking one takes minutes here.
    expect(user / 1e6).toBeLessThan(3);
  },
);

it('ends with an error where costs are not numbers', () => {
  expect(() => assignWithMinimumSize(new Float32Array(160).fill(Number.NaN), 40, 4, 5)).toThrow(
    'not numbers',
  );
});
