import type { RouterRecord } from '../../contract/runRecords.ts';
import type { LinearSite } from '../../shape/adapterSites.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import { absolute, multiply } from '../graph/ops/elementwise.ts';
import { concat, reshape } from '../graph/ops/layout.ts';
import { sum } from '../graph/ops/reduce.ts';
import type { HostArray } from '../graph/session.ts';

/** Watches the weights of the experts while a forward pass is built. */
interface RoutingWatch {
  watch(site: LinearSite, weights: Tensor): void;
  /** Null where the method has no experts. */
  build(graph: Graph, rows: number): RoutingGraph | null;
}

/** What a forward pass tells of its routing. */
export interface RoutingGraph {
  sites: readonly LinearSite[];
  experts: number;
  /** f32 [rows]: 1 at the tokens that count. */
  counted: Tensor;
  /** f32 [sites * 2 * experts]: of each site the sums over the tokens of its weights, then of their absolute values. */
  sums: Tensor;
}

export function createRoutingWatch(): RoutingWatch {
  const seen: { site: LinearSite; weights: Tensor }[] = [];
  return {
    watch: (site, weights) => void seen.push({ site, weights }),
    build(graph, rows) {
      const first = seen[0];
      if (!first) return null;
      const counted = graph.placeholder(`counted_${rows}`, [rows], 'f32');
      const column = reshape(counted, [rows, 1]);
      const sums = seen.flatMap(({ weights }) => [
        sum(multiply(weights, column), [0]),
        sum(multiply(absolute(weights), column), [0]),
      ]);
      return {
        sites: seen.map(({ site }) => site),
        experts: first.weights.shape[1]!,
        counted,
        sums: concat(sums, 0),
      };
    },
  };
}

/** Adds up the routing of several batches. */
export class RoutingMean {
  readonly #graph: Pick<RoutingGraph, 'sites' | 'experts'>;
  readonly #sums: Float64Array;
  #tokens = 0;

  constructor(graph: Pick<RoutingGraph, 'sites' | 'experts'>) {
    this.#graph = graph;
    this.#sums = new Float64Array(graph.sites.length * 2 * graph.experts);
  }

  /** @param tokens that were counted in `sums` */
  add(sums: HostArray, tokens: number): void {
    sums.forEach((value, i) => (this.#sums[i]! += value));
    this.#tokens += tokens;
  }

  /** Means over all tokens; null where there were none. */
  result(): Omit<RouterRecord, 'step'> | null {
    if (this.#tokens === 0) return null;
    const { sites, experts } = this.#graph;
    const of = (part: 0 | 1) =>
      sites.flatMap((_, site) =>
        Array.from(
          { length: experts },
          (_value, expert) => this.#sums[(2 * site + part) * experts + expert]! / this.#tokens,
        ),
      );
    return { tokens: this.#tokens, mean: of(0), magnitude: of(1) };
  }
}
