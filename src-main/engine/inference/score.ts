import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import { positionScores, sumPerRow } from '../model/loss.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { ScoreRequest, ScoreResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { layOutBatch, paddedLength, rowLengths } from '../model/batches.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { dependsOnLength } from '../model/rotary.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { openModel } from './openModel.ts';

/**
 * Log-likelihood of the labelled tokens of every row of a token file. Rows are padded to one of a few lengths, each of
 * which has an entry of its own.
 */
export async function score(request: ScoreRequest, context: JobContext): Promise<ScoreResult> {
  const file = new TokenFileReader(request.tokenFile);
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    for (const task of new Set(file.tasks)) checkTask(model.adapter, task);
    const batch = Math.max(1, Math.min(request.batch, file.rowCount));
    const lengths = rowLengths(file);
    const longest = paddedLength([file], model.config.contextLength);
    // Where rope scaling follows the length of the batch, all rows must have the same.
    const follows = model.config.ropes.some(dependsOnLength);
    const buckets = follows ? [longest] : bucketLengths(lengths, longest, batch);
    const entries = Object.fromEntries(
      buckets.map((tokens) => [String(tokens), scoreEntry(model, { batch, tokens })]),
    );
    const session = await model.open(context.tf, entries);
    opening = session;
    opened.load(session);

    const rows: ScoreResult['rows'] = [];
    let done = 0;
    for (const tokens of buckets) {
      const fitting = Array.from(lengths.keys()).filter((row) => bucketOf(lengths[row]!, buckets) === tokens);
      for (let first = 0; first < fitting.length; first += batch) {
        await throwIfStopped(context);
        const numbers = fitting.slice(first, first + batch);
        const taken = numbers.map((row) => file.row(row));
        const { ids, labels, tasks } = layOutBatch(taken, batch, tokens);
        const { loss, missed } = session.run(String(tokens), { ids, labels, tasks });
        taken.forEach((row, i) => {
          let labelled = 0;
          for (let t = 1; t < Math.min(row.ids.length, tokens); t++) labelled += row.trained[t]!;
          rows[numbers[i]!] = { lossSum: loss![i]!, tokens: labelled, greedy: missed![i] === 0 };
        });
        done += taken.length;
        context.emit({ type: 'progress', label: 'Scoring', done, total: file.rowCount });
      }
    }
    return { rows, peakMemoryBytes: peakMemoryBytes() };
  } finally {
    opening?.close();
    opened.close();
    file.close();
  }
}

function scoreEntry(model: ModelGraph, { batch, tokens }: BatchLayout) {
  const ids = model.graph.placeholder(`ids_${tokens}`, [batch * tokens], 'i32');
  const labels = model.graph.placeholder(`labels_${tokens}`, [batch * tokens], 'i32');
  const hidden = wholeRowsHidden(model, ids, { batch, tokens }, null);
  const { loss, missed } = positionScores(hidden, model.headWeight(), labels, model.config);
  return {
    inputs: { ids, labels, ...model.rowInputs(batch * tokens) },
    outputs: { loss: sumPerRow(loss, batch), missed: sumPerRow(missed, batch) },
  };
}

/**
 * A length is worth an entry of its own, which must be compiled, where it spares so many batches the longer one, and
 * this part of all tokens.
 */
const worthwhile = { batches: 4, tokens: 0.05 };

/** The lengths that rows are padded to, ascending: the longest, and halves of it (multiples of 8) where they pay. */
export function bucketLengths(lengths: Int32Array, longest: number, batch: number): number[] {
  const buckets = [longest];
  for (;;) {
    const shortest = buckets[0]!;
    const half = 8 * Math.ceil(shortest / 16);
    const fitting = lengths.reduce((count, length) => count + Number(length <= half), 0);
    const spared = (fitting * (shortest - half)) / (lengths.length * longest);
    if (fitting < worthwhile.batches * batch || spared < worthwhile.tokens) return buckets;
    buckets.unshift(half);
  }
}

/** The shortest bucket that holds a row; the last one cuts it. */
function bucketOf(length: number, buckets: readonly number[]): number {
  return buckets.find((tokens) => length <= tokens) ?? buckets.at(-1)!;
}
