import { StudioError } from '../../contract/errors.ts';
import { writeSafetensors } from '../../formats/files/safetensors.ts';
import { sliceAxis } from '../graph/ops/layout.ts';
import { hostBytes, type Tensorflow } from '../graph/session.ts';
import { headLogits } from '../model/head.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import type { JobContext } from '../jobContext.ts';
import type { LogitsRequest, LogitsResult } from '../protocol.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { openModel } from './openModel.ts';

/** Writes the logits of one sequence as f32 `logits` [tokens, vocabulary]. */
export async function logits(request: LogitsRequest, context: JobContext): Promise<LogitsResult> {
  const opened = openModel(request.model, context);
  try {
    const { contextLength, vocabularySize } = opened.model.config;
    const wrong = request.ids.find((id) => id >= vocabularySize);
    if (wrong !== undefined)
      throw new StudioError(
        'usage',
        `Token id ${wrong} is outside the vocabulary of ${vocabularySize}.`,
        `Give ids from 0 to ${vocabularySize - 1}.`,
      );
    checkTask(opened.model.adapter, request.task ?? 0);
    if (request.ids.length > contextLength)
      throw new StudioError(
        'usage',
        `${request.ids.length} tokens are longer than the model's context of ${contextLength}.`,
        'Give fewer ids.',
      );
    const graph = await openLogitsGraph(context.tf, opened.model, request.ids.length);
    try {
      opened.load(graph.session);
      const tokens = request.ids.length;
      const values = new Float32Array(tokens * vocabularySize);
      let at = 0;
      for (const piece of graph.read(Int32Array.from(request.ids), request.task)) {
        values.set(piece, at);
        at += piece.length;
      }
      writeSafetensors(request.outFile, [
        { name: 'logits', dtype: 'F32', shape: [tokens, vocabularySize], data: hostBytes(values) },
      ]);
      return { tokens, vocabulary: vocabularySize };
    } finally {
      graph.session.close();
    }
  } finally {
    opened.close();
  }
}

/** Positions whose logits are fetched together. */
const rowsPerFetch = 64;

/**
 * Logits of every position of one sequence, in pieces of at most 64 positions.
 * @returns the session to load and to close, and a reader of the piece that begins at a position
 */
export async function openLogitsGraph(tf: Tensorflow, model: ModelGraph, tokens: number) {
  const ids = model.graph.placeholder('ids', [tokens], 'i32');
  const hidden = wholeRowsHidden(model, ids, { batch: 1, tokens }, null);
  const pieces = Array.from({ length: Math.ceil(tokens / rowsPerFetch) }, (_, i) => {
    const begin = i * rowsPerFetch;
    const part = sliceAxis(hidden, 0, begin, Math.min(rowsPerFetch, tokens - begin));
    return headLogits(part, model.headWeight(), model.config);
  });
  const inputs = { ids, ...model.rowInputs(tokens) };
  const entries = Object.fromEntries(
    pieces.map((logits, i) => [`piece${i}`, { inputs, outputs: { logits } }]),
  );
  const session = await model.open(tf, entries);
  return {
    session,
    /** Yields [rows * vocabulary] arrays, in order. @param task read only by an adapter that tells tasks apart */
    *read(sequence: Int32Array, task = 0): Generator<Float32Array> {
      const tasks = new Int32Array(tokens).fill(task);
      for (let i = 0; i < pieces.length; i++)
        yield session.run(`piece${i}`, { ids: sequence, tasks }).logits as Float32Array;
    },
  };
}
