import { initialValue } from '../adapters/initialValues.ts';
import { PivotChooser } from '../adapters/pivots/pivots.ts';
import type { Tensorflow } from '../graph/session.ts';
import type { WeightSource } from '../model/weightSource.ts';
import type { AdapterParameter, ModelGraph } from '../model/modelGraph.ts';
import type { Variable } from '../graph/variables.ts';
import type { EngineEvent } from '../messages.ts';

/**
 * Gives every adapter parameter its value before training. Clustering the rows of a large model takes minutes (PMRC):
 * progress is told with the time left, a stop is heeded between modules, and what has been found until then is in the
 * cache for the next start.
 *
 * @param context.isStopped asked before each parameter
 * @returns false where a stop was asked for
 */
export async function prepareAdapter(
  { adapterParameters }: Pick<ModelGraph, 'adapterParameters'>,
  weights: WeightSource,
  context: {
    tf: Tensorflow;
    seed: number;
    cacheFolder: string;
    assign(variable: Variable, bytes: Uint8Array): void;
    emit(event: EngineEvent): void;
    isStopped(): Promise<boolean>;
  },
): Promise<boolean> {
  const { tf, seed, cacheFolder, assign, emit, isStopped } = context;
  const estimate = createTimeEstimate(adapterParameters.map(workOf));
  const chooser = new PivotChooser(tf);
  try {
    for (const [i, parameter] of adapterParameters.entries()) {
      if (await isStopped()) return false;
      assign(parameter.variable, await initialValue(parameter, weights, seed, { chooser, cacheFolder }));
      emit({
        type: 'progress',
        label: 'Preparing the adapter',
        done: i + 1,
        total: adapterParameters.length,
        secondsLeft: estimate.after(i),
      });
    }
  } finally {
    chooser.close();
  }
  return true;
}

/** Elements of the weight that has to be clustered or taken apart; everything else takes no time beside it. */
function workOf({ spec, place }: AdapterParameter): number {
  const isSought =
    (spec.initial.kind === 'pivots' && place!.adapter.pivots === 'pmrc') ||
    (spec.initial.kind === 'bases' && spec.initial.strategy === 'svd');
  return isSought ? place!.shape.dIn * place!.shape.dOut : 0;
}

/**
 * The rate is taken over so many of the latest modules: those from the cache, at a resumed start, are much faster than
 * the others.
 */
const rateWindow = 7;

/**
 * @param work of each item, any unit
 * @param now milliseconds
 */
export function createTimeEstimate(work: readonly number[], now: () => number = () => performance.now()) {
  const recent = [{ at: now(), work: 0 }];
  let left = work.reduce((a, b) => a + b, 0);
  return {
    /**
     * Seconds left after item i is done; null while nothing that takes time is done, or nothing is left. Called in
     * order.
     */
    after(i: number): number | null {
      left -= work[i]!;
      if (work[i]! > 0) recent.push({ at: now(), work: recent.at(-1)!.work + work[i]! });
      if (recent.length > rateWindow + 1) recent.shift();
      const [first, last] = [recent[0]!, recent.at(-1)!];
      if (left === 0 || recent.length === 1) return null;
      return (left * (last.at - first.at)) / (last.work - first.work) / 1000;
    },
  };
}
