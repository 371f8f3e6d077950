import { rowLengths } from '../../data/mix/laidOutRun.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import { scoredLengths } from '../../options/scoredLengths.ts';
import { positionScores, sumPerRow } from '../model/loss.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { ScoreRequest, ScoreResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { layOutBatch } from '../model/batches.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
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
    const parts = scoredLengths(rowLengths(file), {
      batch,
      context: model.config.contextLength,
      isUniform: model.config.ropes.some(dependsOnLength),
    });
    const entries = Object.fromEntries(
      parts.map(({ tokens }) => [String(tokens), scoreEntry(model, { batch, tokens })]),
    );
    const session = await model.open(context.tf, entries);
    opening = session;
    opened.load(session);

    const rows: ScoreResult['rows'] = [];
    let done = 0;
    for (const { tokens, rows: fitting } of parts) {
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
