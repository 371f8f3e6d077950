import type { LinearSite } from '../../shape/adapterSites.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import { absolute, multiply } from '../graph/ops/elementwise.ts';
import { concat, reshape } from '../graph/ops/layout.ts';
import { sum } from '../graph/ops/reduce.ts';
import { positionScores, sumPerRow } from '../model/loss.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';

/** What every pass over a batch is fed. */
export function rowInputs(model: ModelGraph, layout: BatchLayout) {
  const { graph } = model;
  const rows = layout.batch * layout.tokens;
  const inputs = {
    ids: graph.placeholder('ids', [rows], 'i32'),
    labels: graph.placeholder('labels', [rows], 'i32'),
    ...model.rowInputs(rows),
  };
  if (layout.longestExample === undefined) return inputs;
  const positions = graph.placeholder('positions', [rows], 'f32');
  const segments = graph.placeholder('segments', [rows], 'f32');
  return { ...inputs, positions, segments };
}

export type RowInputs = ReturnType<typeof rowInputs>;

/** Whether rows of a batch hold several examples, and where. */
export const packingOf = (inputs: RowInputs) => ('positions' in inputs ? inputs : null);

/** The forward pass without dropout, with what it tells of the experts. */
export function scoring(model: ModelGraph, layout: BatchLayout, inputs: RowInputs) {
  const watched = createRoutingWatch();
  const packing = packingOf(inputs);
  const hidden = wholeRowsHidden(model, inputs.ids, layout, null, { packing, watch: watched.watch });
  const routing = watched.build(model.graph, layout.batch * layout.tokens);
  const { loss, missed } = positionScores(hidden, model.headWeight(), inputs.labels, model.config);
  const score = {
    inputs: { ...inputs, ...(routing && { counted: routing.counted }) },
    outputs: {
      loss: sumPerRow(loss, layout.batch),
      missed: sumPerRow(missed, layout.batch),
      ...(routing && { routing: routing.sums }),
    },
  };
  return { score, routing };
}

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

function createRoutingWatch(): RoutingWatch {
  const seen: { site: LinearSite; weights: Tensor }[] = [];
  return {
    watch: (site, weights) => void seen.push({ site, weights }),
    build(graph, rows) {
      const first = seen[0];
      if (!first) return null;
      const counted = graph.placeholder('counted', [rows], 'f32');
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
