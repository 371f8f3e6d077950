import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import { positionScores, sumPerRow } from '../model/loss.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import type { ScoreRequest, ScoreResult } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { layOutBatch, paddedLength } from '../model/batches.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { openModel } from './openModel.ts';

/** Log-likelihood of the labelled tokens of every row of a token file. */
export async function score(request: ScoreRequest, context: JobContext): Promise<ScoreResult> {
  const file = new TokenFileReader(request.tokenFile);
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    for (const task of new Set(file.tasks)) checkTask(model.adapter, task);
    const batch = Math.max(1, Math.min(request.batch, file.rowCount));
    const tokens = paddedLength([file], model.config.contextLength);
    const ids = model.graph.placeholder('ids', [batch * tokens], 'i32');
    const labels = model.graph.placeholder('labels', [batch * tokens], 'i32');
    const hidden = wholeRowsHidden(model, ids, { batch, tokens }, null);
    const scores = positionScores(hidden, model.headWeight(), labels, model.config);
    const session = await model.open(context.tf, {
      score: {
        inputs: { ids, labels, ...model.rowInputs(batch * tokens) },
        outputs: { loss: sumPerRow(scores.loss, batch), missed: sumPerRow(scores.missed, batch) },
      },
    });
    opening = session;
    opened.load(session);

    const rows: ScoreResult['rows'] = [];
    for (let first = 0; first < file.rowCount; first += batch) {
      await throwIfStopped(context);
      const taken = Array.from({ length: Math.min(batch, file.rowCount - first) }, (_, i) =>
        file.row(first + i),
      );
      const laid = layOutBatch(taken, batch, tokens);
      const out = session.run('score', { ids: laid.ids, labels: laid.labels, tasks: laid.tasks });
      taken.forEach((row, i) => {
        let labelled = 0;
        for (let t = 1; t < Math.min(row.ids.length, tokens); t++) labelled += row.trained[t]!;
        rows.push({ lossSum: out.loss[i]!, tokens: labelled, greedy: out.missed[i] === 0 });
      });
      context.emit({ type: 'progress', label: 'Scoring', done: rows.length, total: file.rowCount });
    }
    return { rows, peakMemoryBytes: peakMemoryBytes() };
  } finally {
    opening?.close();
    opened.close();
    file.close();
  }
}
