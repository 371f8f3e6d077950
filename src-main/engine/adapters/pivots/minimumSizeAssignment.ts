/**
 * Assigns points to clusters at the least total cost, such that every cluster gets at least `minimumSize` points
 * (the assignment step of k-means constrained with a minimum cluster size; Bradley, Bennett and Demiriz 2000, Levy-Kramer
 * 2018, where it is a minimum-cost flow).
 *
 * Solved exactly by successive shortest paths. Start: every point at its cheapest cluster, which is optimal without the
 * bounds. Then, as long as a cluster lacks points, the cheapest way to bring one more into it is a path over clusters from one that can
 * spare a point, each edge a -> b moving the point of a with the smallest cost(b) - cost(a). Each such augmentation keeps the flow
 * optimal for the sizes reached, so the end is optimal. Work: (lacking points) x (k^2 + k n) at most, and k is small.
 *
 * @param costs [points * clusters], row by row
 * @returns the cluster of each point
 */
export function assignWithMinimumSize(
  costs: Float64Array,
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

  const moveCost = new Float64Array(clusters * clusters);
  const movePoint = new Int32Array(clusters * clusters);
  const refreshEdgesFrom = (from: Iterable<number>) => {
    const wanted = new Set(from);
    for (const a of wanted) {
      moveCost.fill(Infinity, a * clusters, (a + 1) * clusters);
      movePoint.fill(-1, a * clusters, (a + 1) * clusters);
    }
    for (let p = 0; p < points; p++) {
      const a = cluster[p]!;
      if (!wanted.has(a)) continue;
      for (let b = 0; b < clusters; b++) {
        const difference = costs[p * clusters + b]! - costs[p * clusters + a]!;
        if (b !== a && difference < moveCost[a * clusters + b]!) {
          moveCost[a * clusters + b] = difference;
          movePoint[a * clusters + b] = p;
        }
      }
    }
  };

  refreshEdgesFrom(sizes.keys());
  for (;;) {
    const target = sizes.findIndex((size) => size < minimumSize);
    if (target < 0) return cluster;
    const path = cheapestPath(moveCost, sizes, minimumSize, target);
    const moves = path.slice(1).map((to, i) => movePoint[path[i]! * clusters + to]!);
    moves.forEach((point, i) => (cluster[point] = path[i + 1]!));
    sizes[path[0]!]!--;
    sizes[target]!++;
    refreshEdgesFrom(path);
  }
}

/**
 * The cheapest path of clusters from any that has more than `minimumSize` points to `target` (Bellman-Ford: edges may be
 * negative along optimal flows, cycles are not).
 */
function cheapestPath(
  moveCost: Float64Array,
  sizes: Int32Array,
  minimumSize: number,
  target: number,
): number[] {
  const clusters = sizes.length;
  const distance = Float64Array.from(sizes, (size) => (size > minimumSize ? 0 : Infinity));
  const previous = new Int32Array(clusters).fill(-1);
  for (let round = 0; round < clusters; round++) {
    let changed = false;
    for (let a = 0; a < clusters; a++)
      for (let b = 0; b < clusters; b++) {
        const through = distance[a]! + moveCost[a * clusters + b]!;
        // The margin keeps rounding noise from closing a cycle of zero cost.
        if (a !== b && through < distance[b]! - 1e-12 * (1 + Math.abs(through))) {
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
