import type { EvalMetric, RouterRecord } from '../../contract/runRecords.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { packRows } from '../../data/packing.ts';
import type { TokenFileReader } from '../../formats/files/tokenFile.ts';
import type { HostArray } from '../graph/session.ts';
import type { BatchLayout } from '../model/wholeRows.ts';
import { batchFeeds, batchFromFile, rowLengths, type Batch } from '../model/batches.ts';
import type { RoutingGraph } from './scoring.ts';
import type { TrainingGraph } from './trainingGraph.ts';

/** What an evaluation finds; null where there was nothing to score, or no expert to watch. */
export interface Evaluation {
  metric: Omit<EvalMetric, 'step'> | null;
  routing: Omit<RouterRecord, 'step'> | null;
}

/**
 * Held-out loss: the mean over all labels of the first `heldOutRows` rows, without dropout. Rows weigh by their labels.
 * @param spare batches whose routing is watched where no row is held out
 */
export function evaluateHeldOut(
  { session, routing }: Pick<TrainingGraph, 'session' | 'routing'>,
  rows: TokenFileReader | null,
  config: Pick<TrainConfig, 'heldOutRows' | 'packing'>,
  layout: BatchLayout,
  spare: readonly Batch[],
): Evaluation {
  const count = Math.min(rows?.rowCount ?? 0, config.heldOutRows);
  const mean = routing && new RoutingMean(routing);
  const score = (batch: Batch) => {
    const scores = session.run('score', batchFeeds(batch));
    mean?.add(scores.routing!, batch.tokens);
    return scores.loss;
  };
  if (!rows || count === 0) {
    if (mean) spare.forEach(score);
    return { metric: null, routing: mean?.result() ?? null };
  }
  let [lossSum, labelled] = [0, 0];
  const numbers = Array.from({ length: count }, (_, row) => row);
  const packs = config.packing
    ? packRows(rowLengths(rows), numbers, layout.tokens)
    : numbers.map((row) => [row]);
  for (let first = 0; first < packs.length; first += layout.batch) {
    const batch = batchFromFile(packs.slice(first, first + layout.batch), rows, layout);
    for (const loss of score(batch)) lossSum += loss;
    labelled += batch.labelled;
  }
  const metric = labelled === 0 ? null : { loss: lossSum / labelled, rows: count, tokens: labelled };
  return { metric, routing: mean?.result() ?? null };
}

/** Adds up the routing of several batches. */
class RoutingMean {
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
