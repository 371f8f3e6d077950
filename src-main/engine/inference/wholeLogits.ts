import { sliceAxis } from '../graph/ops/layout.ts';
import { Session, type Tensorflow } from '../graph/session.ts';
import { headLogits } from '../model/head.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';

/** Positions whose logits are fetched together. */
const rowsPerFetch = 64;

/**
 * Logits of every position of one sequence, in pieces of at most 64 positions.
 * @returns session to close, its assignment, and a reader of the piece that begins at a position
 */
export async function openLogitsGraph(tf: Tensorflow, model: ModelGraph, tokens: number) {
  const ids = model.graph.placeholder('ids', [tokens], 'i32');
  const hidden = wholeRowsHidden(model, ids, { batch: 1, tokens }, null);
  const pieces = Array.from({ length: Math.ceil(tokens / rowsPerFetch) }, (_, i) => {
    const begin = i * rowsPerFetch;
    const part = sliceAxis(hidden, 0, begin, Math.min(rowsPerFetch, tokens - begin));
    return headLogits(part, model.headWeight(), model.config);
  });
  const assignment = model.assignment();
  const session = await Session.open(tf, model.graph, {
    assign: assignment.entry,
    ...Object.fromEntries(
      pieces.map((logits, i) => [
        `piece${i}`,
        { inputs: { ids, ...model.rowInputs(tokens) }, outputs: { logits } },
      ]),
    ),
  });
  return {
    session,
    assignment,
    /** Yields [rows * vocabulary] arrays, in order. @param task read only by an adapter that tells tasks apart */
    *read(sequence: Int32Array, task = 0): Generator<Float32Array> {
      const tasks = new Int32Array(tokens).fill(task);
      for (let i = 0; i < pieces.length; i++)
        yield session.run(`piece${i}`, { ids: sequence, tasks })['logits'] as Float32Array;
    },
  };
}
