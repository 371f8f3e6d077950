import FlatQueue from 'flatqueue';

/**
 * Assigns points to clusters at the least total cost, such that every cluster gets at least `minimumSize` points
 * (the assignment step of k-means constrained with a minimum cluster size; Bradley, Bennett and Demiriz 2000,
 * Levy-Kramer 2018, where it is a minimum-cost flow).
 *
 * Solved exactly by successive shortest paths. Start: every point at its cheapest cluster, which is optimal without the
 * bounds. Then, as long as a cluster lacks points, the cheapest way to bring one more into it is a path over clusters
 * from one that can spare a point, each edge a -> b moving the point of a with the smallest cost(b) - cost(a). Each
 * such augmentation keeps the flow optimal for the sizes reached, so the end is optimal.
 *
 * The points of each edge lie in a queue by cost: O(n k log n) to make, O(k log n) for each move and O(k^3) for each
 * lacking point.
 *
 * @param costs [points * clusters], row by row
 * @returns the cluster of each point
 */
export function assignWithMinimumSize(
  costs: ArrayLike<number>,
  points: number,
  clusters: number,
  minimumSize: number,
): Int32Array {
  if (clusters * minimumSize > points)
    throw new Error(`${clusters} clusters of at least ${minimumSize} need more than ${points} points`);
  const cluster = new Int32Array(points);
  const sizes = new Int32Array(clusters);
  for (let p = 0; p < points; p++) {
    let best = 0;
    for (let c = 1; c < clusters; c++) if (costs[p * clusters + c]! < costs[p * clusters + best]!) best = c;
    cluster[p] = best;
    sizes[best]!++;
  }
  if (sizes.every((size) => size >= minimumSize)) return cluster;

  // Keeps rounding noise from closing a cycle of zero cost.
  let margin = 0;
  for (let i = 0; i < points * clusters; i++) margin = Math.max(margin, 1e-12 * Math.abs(costs[i]!));
  const edges = new MoveEdges(costs, cluster, clusters);
  for (;;) {
    const target = sizes.findIndex((size) => size < minimumSize);
    if (target < 0) return cluster;
    const path = cheapestPath(edges, sizes, minimumSize, target, margin);
    if (path.length === 1) throw new Error('minimum-size assignment: costs are not numbers');
    const moves = path.slice(1).map((to, i) => edges.cheapest(path[i]!, to)!.point);
    moves.forEach((point, i) => edges.move(point, path[i + 1]!));
    sizes[path[0]!]!--;
    sizes[target]!++;
  }
}

/** The cheapest move of one point from a cluster to another, for all pairs of clusters, while points move. */
class MoveEdges {
  readonly #costs: ArrayLike<number>;
  readonly #cluster: Int32Array;
  readonly #clusters: number;
  /** By from * clusters + to; a point that has left stays until it comes to the top. */
  readonly #queues: FlatQueue[];

  /** @param cluster of each point; `move` changes it */
  constructor(costs: ArrayLike<number>, cluster: Int32Array, clusters: number) {
    this.#costs = costs;
    this.#cluster = cluster;
    this.#clusters = clusters;
    const members = Array.from({ length: clusters }, () => [] as number[]);
    cluster.forEach((c, point) => members[c]!.push(point));
    this.#queues = Array.from({ length: clusters ** 2 }, () => new FlatQueue());
    members.forEach((points, from) => points.forEach((point) => this.#enqueue(point, from)));
  }

  /** Null where `from` has no point. */
  cheapest(from: number, to: number): { point: number; cost: number } | null {
    const queue = this.#queues[from * this.#clusters + to]!;
    for (let point = queue.peek(); point !== undefined; point = queue.peek()) {
      if (this.#cluster[point] === from) return { point, cost: queue.peekValue()! };
      queue.pop();
    }
    return null;
  }

  move(point: number, to: number): void {
    this.#cluster[point] = to;
    this.#enqueue(point, to);
  }

  #enqueue(point: number, from: number): void {
    const at = point * this.#clusters;
    for (let to = 0; to < this.#clusters; to++) {
      const cost = this.#costs[at + to]! - this.#costs[at + from]!;
      if (to !== from) this.#queues[from * this.#clusters + to]!.push(point, cost);
    }
  }
}

/**
 * The cheapest path of clusters from any that has more than `minimumSize` points to `target` (Bellman-Ford: edges may
 * be negative along optimal flows, cycles are not).
 */
function cheapestPath(
  edges: MoveEdges,
  sizes: Int32Array,
  minimumSize: number,
  target: number,
  margin: number,
): number[] {
  const clusters = sizes.length;
  const distance = Float64Array.from(sizes, (size) => (size > minimumSize ? 0 : Infinity));
  const previous = new Int32Array(clusters).fill(-1);
  for (let round = 0; round < clusters; round++) {
    let changed = false;
    for (let a = 0; a < clusters; a++)
      for (let b = 0; b < clusters; b++) {
        const through = a === b ? Infinity : distance[a]! + (edges.cheapest(a, b)?.cost ?? Infinity);
        if (through < distance[b]! - margin) {
          distance[b] = through;
          previous[b] = a;
          changed = true;
        }
      }
    if (!changed) break;
  }
  const path = [target];
  for (let at = target; previous[at]! >= 0; at = previous[at]!) {
    path.unshift(previous[at]!);
    if (path.length > clusters) throw new Error('minimum-size assignment: a path closed into a cycle');
  }
  return path;
}
